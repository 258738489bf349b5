"""The Socket.IO service for real-time transcription, and its speech engines. It knows nothing of Kubernetes."""
