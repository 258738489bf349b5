"""What clients send, and what they get."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.stt import protocol
from agora_transcription.stt.engines.base import Kind, Result
from agora_transcription.stt.protocol import Close, Refused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
PAYLOADS = JSON | st.fixed_dictionaries(
    {}, optional={"sampleRate": JSON, "audio_base_64": JSON, "sample_rate": JSON, "more": JSON}
)
RATES = st.integers(8000, 48000)


def encoded(audio: bytes, **more: Any) -> list[Any]:
    return [{"audio_base_64": base64.b64encode(audio).decode(), **more}]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 16000.0])
def test_a_start_has_a_rate(rate: float) -> None:
    assert protocol.read_start([{"sampleRate": rate, "more": 1}]) == rate


@pytest.mark.parametrize("rate", [7999, 48001, 0, -16000, 16000.5, "16000", True, None, [16000], float("nan"), 10**400])
def test_a_start_without_one_is_refused(rate: object) -> None:
    with pytest.raises(Refused, match="sampleRate of 8000 to 48000"):
        protocol.read_start([{"sampleRate": rate}])


@given(st.lists(PAYLOADS, max_size=3))
def test_a_start_is_a_rate_or_refused(arguments: list[Any]) -> None:
    with contextlib.suppress(Refused):
        assert 8000 <= protocol.read_start(arguments) <= 48000


@given(RATES, st.binary(max_size=16000).map(lambda audio: audio[: len(audio) // 2 * 2]), st.booleans())
def test_audio_comes_through_as_it_was_sent(rate: int, audio: bytes, declared: bool) -> None:  # noqa: FBT001 - a case
    assert protocol.read_chunk(encoded(audio, **({"sample_rate": rate} if declared else {})), rate) == audio


@given(st.lists(PAYLOADS, max_size=3), RATES)
def test_a_chunk_is_whole_samples_of_a_second_at_most_or_refused(arguments: list[Any], rate: int) -> None:
    with contextlib.suppress(Refused):
        audio = protocol.read_chunk(arguments, rate)
        assert len(audio) % 2 == 0
        assert len(audio) <= rate * 2


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 48000])
def test_a_second_may_be_sent_at_once_and_no_more(rate: int) -> None:
    second = bytes(rate * 2)
    assert len(protocol.read_chunk(encoded(second), rate)) == rate * 2
    with pytest.raises(Refused, match="longer than 1 s") as refused:
        protocol.read_chunk(encoded(second + bytes(6)), rate)
    assert refused.value.code == Close.TOO_BIG


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "needs audio_base_64"),
        ({"audio_base_64": None}, "needs audio_base_64"),
        ({"audio_base_64": "AAA"}, "not base64"),
        ({"audio_base_64": "AA\nAA"}, "not base64"),
        ({"audio_base_64": "ÄÄÄÄ"}, "not base64"),
        ({"audio_base_64": "__-_"}, "not base64"),
        ({"audio_base_64": "data:audio/wav;base64,AAAA"}, "not base64"),
        ({"audio_base_64": "AAAA"}, "whole samples"),
        ({"audio_base_64": "AAA=", "sample_rate": 8000}, "must be that of start-session, 16000"),
        ({"audio_base_64": "AAA=", "sample_rate": None}, "must be that of start-session, 16000"),
    ],
)
def test_what_is_wrong_with_a_chunk_is_said(payload: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        protocol.read_chunk([payload], 16000)


def test_an_empty_chunk_is_no_audio_and_no_fault() -> None:
    assert protocol.read_chunk(encoded(b""), 16000) == b""


def test_messages_are_those_of_the_documentation() -> None:
    assert protocol.started("1", 16000, "m") == {
        "message_type": "session_started",
        "session_id": "1",
        "config": {"sample_rate": 16000, "audio_format": "pcm_16000", "model_id": "m"},
    }
    timed = {"text": "a", "words": [{"text": "a", "start": 0.0, "end": 0.5, "type": "word"}]}
    assert protocol.transcript(Result(Kind.TIMED, timed)) == {
        "message_type": "committed_transcript_with_timestamps",
        **timed,
    }
    # A relay hands on what it got, its own name of the message in it.
    assert protocol.transcript(Result(Kind.PARTIAL, {"message_type": "x", "text": "a"})) == {
        "message_type": "partial_transcript",
        "text": "a",
    }
    assert json.dumps(protocol.error("no", Close.TRY_LATER)) == '{"error": "no", "code": 1013}'
    assert json.dumps(protocol.closed(Close.NORMAL, "")) == '{"code": 1000, "reason": ""}'
