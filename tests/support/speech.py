"""Speech to recognize: ten sentences of `tests/data/speech`, and what the wheel of Moonshine brings."""

from __future__ import annotations

import json
import re
import wave
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soxr
from moonshine_voice.utils import get_assets_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BECKETT", "DICKENS", "Speech", "beckett", "dickens", "sentences", "words_of"]

FOLDER = Path(__file__).parents[1] / "data" / "speech"

DICKENS = """
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the
epoch of belief, it was the epoch of incredulity, it was the season of light, it was the season of darkness, it was the
spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all going
direct to heaven, we were all going direct the other way. In short, the period was so far like the present period, that
some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of
comparison only.
"""
"""What is read in `dickens`, by a person."""

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
"""What is said in `beckett`, by a person."""


class Speech(NamedTuple):
    """PCM, signed 16 bit, little-endian, mono, and what is said in it."""

    audio: bytes
    rate: int
    text: str

    @property
    def seconds(self) -> float:
        return len(self.audio) / 2 / self.rate

    def at(self, rate: int) -> Speech:
        """The same at another rate."""
        samples = np.frombuffer(self.audio, "<i2")
        return Speech(soxr.resample(samples, self.rate, rate).astype("<i2").tobytes(), rate, self.text)

    def then_silence(self, seconds: float) -> Speech:
        """The same with silence after it."""
        return Speech(self.audio + bytes(2 * int(seconds * self.rate)), self.rate, self.text)

    def chunks(self, seconds: float = 0.1) -> Iterator[bytes]:
        """Cut as a microphone would."""
        size = 2 * int(seconds * self.rate)
        for at in range(0, len(self.audio), size):
            yield self.audio[at : at + size]


def sentences() -> list[Speech]:
    """The ten."""
    return [
        _read(FOLDER / entry["file"], entry["text"]) for entry in json.loads((FOLDER / "sentences.json").read_text())
    ]


def dickens() -> Speech:
    """44 seconds at 48 kHz."""
    return _read(Path(get_assets_path()) / "two_cities.wav", DICKENS)


def beckett() -> Speech:
    """10 seconds."""
    return _read(Path(get_assets_path()) / "beckett.wav", BECKETT)


def words_of(text: str) -> list[str]:
    """The words, as they are compared: in lower case, without punctuation."""
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def _read(path: Path, text: str) -> Speech:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return Speech(file.readframes(file.getnframes()), file.getframerate(), text)
