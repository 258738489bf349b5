"""From the sample rate of a session to the one of the engines here."""

from __future__ import annotations

import numpy as np
import soxr

__all__ = ["Resampler"]


class Resampler:
    """Resamples a stream of PCM, signed 16 bit, little-endian, mono, without seams between its pieces.

    Args:
        source: The rate that comes in, in Hz.
        target: The rate that goes out, in Hz.
    """

    def __init__(self, source: int, target: int) -> None:
        self._stream = soxr.ResampleStream(source, target, 1, dtype="int16") if source != target else None

    def feed(self, audio: bytes) -> bytes:
        """Take some, and answer what can be said by now."""
        return self._run(audio, last=False)

    def finish(self) -> bytes:
        """Answer the rest."""
        return self._run(b"", last=True)

    def _run(self, audio: bytes, *, last: bool) -> bytes:
        if self._stream is None:
            return audio
        resampled: bytes = self._stream.resample_chunk(np.frombuffer(audio, "<i2"), last=last).astype("<i2").tobytes()
        return resampled
