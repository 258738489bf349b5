"""Which engine the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Engine

__all__ = ["create"]


def create(settings: SttSettings) -> Engine:
    """The engine that the settings ask for; what it needs is looked for when it is started."""
    # Of the four, one is imported.
    if settings.engine == "elevenlabs":
        from agora_transcription.stt.engines.elevenlabs import ElevenLabsEngine  # noqa: PLC0415 - see above

        return ElevenLabsEngine(settings)
    if settings.engine == "socketio":
        from agora_transcription.stt.engines.socketio import SocketIoEngine  # noqa: PLC0415 - the same

        return SocketIoEngine(settings)
    from agora_transcription.stt.engines.local import LocalEngine  # noqa: PLC0415 - the same

    return LocalEngine(
        settings.engine,
        settings.workers,
        sessions=settings.max_sessions,
        timestamps=settings.timestamps == "words",
    )
