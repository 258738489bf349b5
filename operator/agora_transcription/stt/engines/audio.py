"""What audio is here: PCM, signed 16 bit, little-endian, mono."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SAMPLE_BYTES", "pieces", "seconds_of"]

SAMPLE_BYTES: Final = 2

PIECE_SECONDS: Final = 0.5
"""Audio that is handed on at once, at most: longer would go past the window of a session, keep other sessions waiting,
and be more than the other end of a relay takes in a message."""


def seconds_of(size: int, rate: int) -> float:
    """How long so many bytes of audio last, at so many samples per second."""
    return size / (SAMPLE_BYTES * rate)


def pieces(audio: bytes, rate: int) -> Iterator[bytes]:
    """Cut audio into pieces of whole samples that can be handed on."""
    size = SAMPLE_BYTES * int(PIECE_SECONDS * rate)
    for at in range(0, len(audio), size):
        yield audio[at : at + size]
