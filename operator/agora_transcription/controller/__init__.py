"""From a watch event to one call to Agora and one guarded write: handlers -> queue -> reconciler -> plan."""
