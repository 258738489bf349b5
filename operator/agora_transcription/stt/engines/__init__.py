"""What turns speech into text: engines in worker processes of their own, and relays to services elsewhere."""
