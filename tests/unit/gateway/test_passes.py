"""A builderToken says what was signed, to whoever has the key, and nothing else is one."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.gateway.passes import Pass, read, sign

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=32, max_size=64).map(str.encode)
"""As files have them: to HMAC a key is the same with zeros behind it."""

PASSES = st.builds(Pass, *(st.text(max_size=40) for _ in dataclasses.fields(Pass)))


@given(PASSES, KEYS)
def test_what_is_signed_is_read(granted: Pass, key: bytes) -> None:
    assert read(sign(granted, key), [key]) == granted


@given(PASSES, KEYS)
def test_the_same_pass_is_the_same_token(granted: Pass, key: bytes) -> None:
    assert sign(granted, key) == sign(dataclasses.replace(granted), key)


@given(PASSES, KEYS, KEYS)
def test_an_old_key_counts_as_long_as_it_is_there(granted: Pass, old: bytes, new: bytes) -> None:
    token = sign(granted, old)
    assert read(token, [new, old]) == granted
    assert (read(token, [new]) is None) == (new != old)


@given(PASSES, PASSES, KEYS)
def test_another_pass_is_another_token(one: Pass, other: Pass, key: bytes) -> None:
    assert (sign(one, key) == sign(other, key)) == (one == other)


@given(PASSES, KEYS, st.data())
def test_a_token_that_was_changed_anywhere_is_none(granted: Pass, key: bytes, data: st.DataObject) -> None:
    token = sign(granted, key)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii", categories=["L", "N", "P"]).filter(lambda c: c != token[place]))
    assert read(token[:place] + other + token[place + 1 :], [key]) is None
    assert read(token[:place] + token[place + 1 :], [key]) is None


@given(st.text(), KEYS)
def test_any_text_is_none(text: str, key: bytes) -> None:
    assert read(text, [key]) is None
    assert read(f"v1.{text}.{text}", [key]) is None


def test_half_a_character_is_none() -> None:
    """JSON can spell what no encoding has."""
    assert read("v1.\ud800.\ud800", [b"k" * 32]) is None


def test_what_is_too_long_is_none() -> None:
    granted = Pass("n" * 5000, "", "", "")
    assert read(sign(granted, b"k" * 32), [b"k" * 32]) is None


def test_nothing_in_it_is_agoras_token_or_the_channel() -> None:
    token = sign(Pass("rooms", "rtt-0", "uid", "task"), b"k" * 32)
    assert token.startswith("v1.")
    assert token.count(".") == 2
