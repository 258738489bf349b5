"""WAV files into what engines take. Pure."""

from __future__ import annotations

import io
import sys
import wave
from array import array
from typing import Final

from agora_transcription.stt.engines.audio import SAMPLE_BYTES

__all__ = ["MAX_BYTES", "RATES", "InvalidWav", "samples_of"]

MAX_BYTES: Final = 32 * 2**20
"""Of a file: six minutes at 48 kHz in mono."""

RATES: Final = range(8000, 48001)
"""Hz."""


class InvalidWav(ValueError):
    """It is no WAV file of the kind that is taken; the message says why."""


def samples_of(content: bytes) -> tuple[int, bytes]:
    """Read a file.

    Args:
        content: PCM of 16 bit, mono or stereo, which becomes mono.

    Returns:
        The sample rate in Hz, and the samples: signed 16 bit, little-endian.

    Raises:
        InvalidWav: It is something else.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise InvalidWav(f"no WAV file with PCM: {str(error) or 'it ends too early'}") from None
    if width != SAMPLE_BYTES:
        raise InvalidWav(f"{width * 8} bit samples: 16 bit are needed")
    if channels not in {1, 2}:
        raise InvalidWav(f"{channels} channels: one or two are needed")
    if rate not in RATES:
        raise InvalidWav(f"{rate} Hz: {RATES[0]} to {RATES[-1]} are needed")
    whole = frames[: len(frames) - len(frames) % (SAMPLE_BYTES * channels)]
    if not whole:
        raise InvalidWav("it holds no samples")
    return rate, whole if channels == 1 else _mono(whole)


def _mono(frames: bytes) -> bytes:
    """The mean of both channels: neither can overflow."""
    samples = array("h", frames)
    if sys.byteorder == "big":
        samples.byteswap()
    mixed = array("h", ((left + right) >> 1 for left, right in zip(samples[::2], samples[1::2], strict=True)))
    if sys.byteorder == "big":
        mixed.byteswap()
    return mixed.tobytes()
