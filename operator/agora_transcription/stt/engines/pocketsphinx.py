"""PocketSphinx: by far the worse of the two engines here. English; the model is in its wheel.

It recognizes while somebody speaks, and needs a decoder of 90 MB for it: decoders are lent, not owned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pocketsphinx import Decoder

from agora_transcription.stt.engines import detection
from agora_transcription.stt.engines.recognizers import TimedWord
from agora_transcription.stt.engines.words import FRAME_SECONDS, spoken, spoken_words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["create"]

SPARE: Final = 2
"""Decoders that are kept though nobody speaks."""


def create(*, timestamps: bool) -> PocketSphinxRecognizer:
    """Load the first decoder; about a third of a second."""
    return PocketSphinxRecognizer(timestamps=timestamps)


class PocketSphinxRecognizer:
    """The decoders of a worker.

    Args:
        timestamps: Whether the times of words are wanted.
    """

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._idle = [_decoder()]
        self._beginning: str = self._idle[0].get_cmn()

    def detector(self) -> Callable[[bytes], float]:
        """A detector for a session."""
        return detection.detector()

    def begin(self) -> PocketSphinxUtterance:
        """Begin a segment, with a decoder that is idle or a new one."""
        decoder = self._idle.pop() if self._idle else _decoder()
        # It adapts to a voice: the next one may be another's.
        decoder.set_cmn(self._beginning)
        return PocketSphinxUtterance(decoder, self._give_back, timestamps=self._timestamps)

    def _give_back(self, decoder: Decoder) -> None:
        if len(self._idle) < SPARE:
            self._idle.append(decoder)


class PocketSphinxUtterance:
    """A segment: what is new of it is recognized each time."""

    def __init__(self, decoder: Decoder, give_back: Callable[[Decoder], None], *, timestamps: bool) -> None:
        self._decoder = decoder
        self._give_back = give_back
        self._timestamps = timestamps
        self._taken = 0  # bytes
        self._begun = False
        self._broken = False
        self._closed = False

    def text(self, audio: bytes, *, final: bool) -> str:
        """What is said in it."""
        self._broken = True  # unless all of this goes well
        if len(audio) < self._taken:
            # It was cut before what has been taken of it.
            self._end()
        if not self._begun:
            self._decoder.start_utt()
            self._begun, self._taken = True, 0
        if new := audio[self._taken :]:  # it answers nothing at all with an IndexError
            self._decoder.process_raw(new)
        self._taken = len(audio)
        if final:
            self._end()
        hypothesis = self._decoder.hyp()
        self._broken = False
        return hypothesis.hypstr if hypothesis else ""

    def words(self) -> list[TimedWord] | None:
        """When each word of the final text was said."""
        if not self._timestamps:
            return None
        return [
            TimedWord(each.word, each.first * FRAME_SECONDS, (each.last + 1) * FRAME_SECONDS)
            for each in spoken_words(spoken(self._decoder))
        ]

    def close(self) -> None:
        """Give the decoder back, unless it has failed: in what state it is then, nobody knows."""
        if not self._closed:
            self._closed = True
            if not self._broken:
                self._end()
                self._give_back(self._decoder)

    def _end(self) -> None:
        if self._begun:
            self._decoder.end_utt()
            self._begun = False


def _decoder() -> Decoder:
    # All that it would print is for its developers.
    return Decoder(loglevel="FATAL")
