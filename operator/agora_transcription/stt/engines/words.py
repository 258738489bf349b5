"""When each word of a text was said: the text is laid over its audio, by PocketSphinx.

Nothing is guessed. A text with a word that the dictionary does not know has no times, nor one that does not fit.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from agora_transcription.stt.engines.recognizers import TimedWord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pocketsphinx import Decoder

__all__ = ["FRAME_SECONDS", "Aligner", "Spoken", "align", "aligner", "spoken", "spoken_words"]

FRAME_SECONDS: Final = 0.01
"""What PocketSphinx counts in."""

VARIANT: Final = re.compile(r"\(\d+\)$")
"""Which pronunciation of a word it was, as in `the(2)`."""


class Spoken(NamedTuple):
    """A word as it is spoken: a dictionary's word, in frames since the segment began."""

    word: str
    first: int
    last: int


def aligner() -> Aligner | None:
    """One for a worker; None where PocketSphinx is not installed."""
    if find_spec("pocketsphinx") is None:
        return None
    from pocketsphinx import Decoder  # noqa: PLC0415 - it may not be there

    return Aligner(Decoder(lm=None, loglevel="FATAL"))


class Aligner:
    """Lays texts over audio.

    Args:
        decoder: One without a language model, of its own.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._beginning = decoder.get_cmn()

    def words(self, text: str, audio: bytes) -> list[TimedWord] | None:
        """When each word of a text was said; None where that cannot be known.

        Args:
            text: What is said.
            audio: PCM of `segments.RATE`, all of the segment.
        """
        tokens = align(text, lambda word: self._decoder.lookup_word(word) is not None)
        if tokens is None:
            return None
        decoder = self._decoder
        # As with the first one: what another session has said before must not matter.
        decoder.set_cmn(self._beginning)
        try:
            decoder.set_align_text(" ".join(word for _, words in tokens for word in words))
        except RuntimeError:  # its message has the text in it
            return None
        decoder.start_utt()
        decoder.process_raw(audio, full_utt=True)
        decoder.end_utt()
        return _timed(tokens, spoken_words(spoken(decoder)))


def align(text: str, known: Callable[[str], bool]) -> list[tuple[str, list[str]]] | None:
    """The words of a text, each with those of the dictionary that are said for it; None where one is not known.

    Args:
        text: As it is committed, with capitals and punctuation.
        known: Whether the dictionary has a word.
    """
    tokens = []
    for token in text.split():
        word = re.sub(r"^[^\w']+|[^\w']+$", "", token.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).lower()
        if not re.search(r"\w", word):
            continue  # a dash between two words is not said
        candidates = [[word], [word.strip("'")], [part for part in word.split("-") if part]]
        said = next((words for words in candidates if words and all(map(known, words))), None)
        if said is None:
            return None
        tokens.append((token, said))
    return tokens or None


def spoken(decoder: Decoder) -> list[Spoken]:
    """All that a decoder has heard in its last utterance; of no words, nothing."""
    if decoder.hyp() is None:
        return []
    return [Spoken(entry.word, entry.start_frame, entry.end_frame) for entry in decoder.seg() or ()]


def spoken_words(heard: Iterable[Spoken]) -> list[Spoken]:
    """The words among what was heard, without silence, noises and the marks of pronunciations."""
    return [Spoken(VARIANT.sub("", each.word), *each[1:]) for each in heard if each.word[0] not in "<[+"]


def _timed(tokens: list[tuple[str, list[str]]], heard: Sequence[Spoken]) -> list[TimedWord] | None:
    if [word for _, words in tokens for word in words] != [each.word for each in heard]:
        return None
    timed, rest = [], iter(heard)
    for token, words in tokens:
        entries = [next(rest) for _ in words]
        end = (entries[-1].last + 1) * FRAME_SECONDS
        timed.append(TimedWord(token, entries[0].first * FRAME_SECONDS, end))
    return timed
