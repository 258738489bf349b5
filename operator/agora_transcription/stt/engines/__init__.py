"""What turns speech into text: engines in worker processes of their own, and relays to services elsewhere."""

from __future__ import annotations

from agora_transcription.stt.engines.factory import create

__all__ = ["create"]
