"""From a watch event to one call to Agora and one guarded write: handlers -> queue -> reconciler -> plan."""

from agora_transcription import kube as _before_kopf  # noqa: F401 - it sees to what kopf imports
