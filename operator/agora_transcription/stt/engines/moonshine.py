"""Moonshine: the better of the two engines here. English; the model is in the package's wheel.

Its own streams are not used: they share one speech detector, and drop the last half second when they are stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from moonshine_voice.moonshine_api import ModelArch
from moonshine_voice.transcriber import Transcriber
from moonshine_voice.utils import get_assets_path

from agora_transcription.stt.engines import detection
from agora_transcription.stt.engines.segments import RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_transcription.stt.engines.recognizers import TimedWord

__all__ = ["create"]

OPTIONS: Final = {
    # Segments come from outside: its own detector would cut them again.
    "vad_threshold": "0",
    "vad_max_segment_duration": "0",
    "return_audio_data": "false",
}


def create(*, timestamps: bool) -> MoonshineRecognizer:
    """Load the model; about half a second and 200 MB."""
    _ = timestamps
    return MoonshineRecognizer(Transcriber(Path(get_assets_path()) / "tiny-en", ModelArch.TINY, options=OPTIONS))


class MoonshineRecognizer:
    """The model, shared by all sessions of a worker."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber

    def detector(self) -> Callable[[bytes], float]:
        """A detector for a session."""
        return detection.detector()

    def begin(self) -> MoonshineUtterance:
        """Begin a segment: nothing is kept of the ones before."""
        return MoonshineUtterance(self._transcriber)


class MoonshineUtterance:
    """A segment: recognized as a whole each time, which is how the model works."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber
        self._length = 0
        self._text = ""

    def text(self, audio: bytes, *, final: bool) -> str:
        """What is said in it."""
        # The same model hears the same in the same audio, be it final or not.
        _ = final
        if len(audio) != self._length:
            samples = np.frombuffer(audio, "<i2").astype(np.float32) / 32768
            lines = self._transcriber.transcribe_without_streaming(samples, RATE).lines
            self._text = " ".join(line.text.strip() for line in lines if line.text.strip())
            self._length = len(audio)
        return self._text

    def words(self) -> list[TimedWord] | None:
        """It knows none."""
        return None

    def close(self) -> None:
        """Nothing is held."""
