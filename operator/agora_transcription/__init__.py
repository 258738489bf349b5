"""A Kubernetes operator that keeps exactly one Agora speech-to-text task running for each TranscriptionTask."""

__version__ = "0.1.0"

USER_AGENT = f"agora-transcription/{__version__}"
"""As what this program introduces itself to Agora and to the API server."""

INSTALL_STT = "pip install '.[stt]' in a checkout, or pip install 'agora-transcription[stt]' once there is a release"
"""What to type where the packages of the extra are missing."""
