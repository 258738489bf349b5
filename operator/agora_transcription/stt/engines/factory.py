"""Which engine the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Engine

__all__ = ["create"]


def create(settings: SttSettings) -> Engine:
    """The engine that the settings ask for; nothing is loaded before its `start`."""
    from agora_transcription.stt.engines.local import LocalEngine  # noqa: PLC0415 - a relay needs none of it

    return LocalEngine(settings.engine, settings.workers, timestamps=settings.timestamps == "words")
