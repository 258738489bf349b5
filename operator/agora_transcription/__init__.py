"""A Kubernetes operator that keeps exactly one Agora speech-to-text task running for each TranscriptionTask."""

__version__ = "0.1.0"
