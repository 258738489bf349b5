"""Which words of a dictionary are said for a text."""

from __future__ import annotations

import pytest

from agora_transcription.stt.engines.words import Spoken, align, spoken_words

KNOWN = {"it", "was", "ten", "o'clock", "half", "hour", "dogs", "'tis", "mother-in-law"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It was.", [("It", ["it"]), ("was.", ["was"])]),
        ("o\N{RIGHT SINGLE QUOTATION MARK}clock", [("o\N{RIGHT SINGLE QUOTATION MARK}clock", ["o'clock"])]),
        ("\N{LEFT DOUBLE QUOTATION MARK}Ten,", [("\N{LEFT DOUBLE QUOTATION MARK}Ten,", ["ten"])]),
        ("Ten O'Clock!", [("Ten", ["ten"]), ("O'Clock!", ["o'clock"])]),
        ("It \N{EM DASH} was", [("It", ["it"]), ("was", ["was"])]),
        ("half-hour", [("half-hour", ["half", "hour"])]),
        ("mother-in-law", [("mother-in-law", ["mother-in-law"])]),
        ("the 'dogs'", None),
        ("'dogs'", [("'dogs'", ["dogs"])]),
        ("'Tis", [("'Tis", ["'tis"])]),
        ("10", None),
        ("\N{EM DASH} ...", None),
        ("", None),
    ],
)
def test_the_words_of_a_text_are_those_of_the_dictionary(text: str, words: list[tuple[str, list[str]]] | None) -> None:
    assert align(text, KNOWN.__contains__) == words


def test_silence_noise_and_pronunciations_are_no_words() -> None:
    heard = [Spoken("<s>", 0, 5), Spoken("the(2)", 6, 9), Spoken("[NOISE]", 10, 11), Spoken("++UM++", 12, 13)]
    assert spoken_words(heard) == [Spoken("the", 6, 9)]
