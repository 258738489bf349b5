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
from agora_transcription.stt.engines.words import aligner

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_transcription.stt.engines.recognizers import TimedWord
    from agora_transcription.stt.engines.words import Aligner

__all__ = ["create"]

OPTIONS: Final = {
    # Segments come from outside: its own detector would cut them again.
    "vad_threshold": "0",
    "vad_max_segment_duration": "0",
    "return_audio_data": "false",
}


def create(*, timestamps: bool) -> MoonshineRecognizer:
    """Load the model; about half a second and 200 MB."""
    model = Path(get_assets_path()) / "tiny-en"
    return MoonshineRecognizer(Transcriber(model, ModelArch.TINY, options=OPTIONS), aligner() if timestamps else None)


class MoonshineRecognizer:
    """The model, shared by all sessions of a worker.

    Args:
        transcriber: The model.
        aligner: Finds the times of words, which this model knows nothing of.
    """

    def __init__(self, transcriber: Transcriber, aligner: Aligner | None) -> None:
        self._transcriber = transcriber
        self._aligner = aligner

    def detector(self) -> Callable[[bytes], float]:
        """A detector for a session."""
        return detection.detector()

    def begin(self) -> MoonshineUtterance:
        """Begin a segment: nothing is kept of the ones before."""
        return MoonshineUtterance(self._transcriber, self._aligner)


class MoonshineUtterance:
    """A segment: recognized as a whole each time, which is how the model works."""

    def __init__(self, transcriber: Transcriber, aligner: Aligner | None) -> None:
        self._transcriber = transcriber
        self._aligner = aligner
        self._audio = b""
        self._text = ""

    def text(self, audio: bytes, *, final: bool) -> str:
        """What is said in it."""
        # The same model hears the same in the same audio, be it final or not.
        _ = final
        if len(audio) != len(self._audio):
            samples = np.frombuffer(audio, "<i2").astype(np.float32) / 32768
            lines = self._transcriber.transcribe_without_streaming(samples, RATE).lines
            self._text = " ".join(line.text.strip() for line in lines if line.text.strip())
            self._audio = audio
        return self._text

    def words(self) -> list[TimedWord] | None:
        """When each word of the final text was said, by alignment."""
        return self._aligner.words(self._text, self._audio) if self._aligner else None

    def close(self) -> None:
        """Nothing is held."""
