"""Kubernetes' API server, for all who talk to it: how to enter, and what comes back."""
