"""`python -m agora_transcription` is the command `agora-transcription`."""

from agora_transcription.cli import main

main()
