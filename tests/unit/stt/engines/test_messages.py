"""URLs, rates, results and errors of an ElevenLabs-compatible service."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.stt.engines.base import EngineFault, Kind, Result
from agora_transcription.stt.engines.messages import CODES, error_of, fault_of, model_of, rate_for, result_of, url_for

HOST = "wss://stt.example.org"


def test_what_the_url_does_not_say_is_added() -> None:
    parts = urlsplit(url_for(HOST, 16000, timestamps=True))
    assert (parts.scheme, parts.netloc, parts.path) == ("wss", "stt.example.org", "/v1/speech-to-text/realtime")
    assert parse_qs(parts.query) == {
        "model_id": ["scribe_v2_realtime"],
        "audio_format": ["pcm_16000"],
        "commit_strategy": ["vad"],
        "include_timestamps": ["true"],
    }


def test_what_the_url_says_stays() -> None:
    url = f"{HOST}/own/path?commit_strategy=manual&keyterms=a&keyterms=b%20c&empty="
    parts = urlsplit(url_for(url, 8000, timestamps=False))
    assert parts.path == "/own/path"
    query = parse_qs(parts.query, keep_blank_values=True)
    assert query["commit_strategy"] == ["manual"]
    assert query["keyterms"] == ["a", "b c"]
    assert query["empty"] == [""]
    assert query["include_timestamps"] == ["false"]


@pytest.mark.parametrize(("given_scheme", "scheme"), [("http", "ws"), ("https", "wss"), ("ws", "ws"), ("wss", "wss")])
def test_the_scheme_is_one_of_websockets(given_scheme: str, scheme: str) -> None:
    assert urlsplit(url_for(f"{given_scheme}://h", 8000, timestamps=True)).scheme == scheme


@pytest.mark.parametrize(
    ("rate", "sent"), [(8000, 8000), (11025, 16000), (16000, 16000), (32000, 44100), (48000, 48000)]
)
def test_audio_goes_at_the_lowest_rate_that_loses_nothing(rate: int, sent: int) -> None:
    assert rate_for(HOST, rate) == sent


def test_audio_goes_at_the_rate_that_the_url_names() -> None:
    assert rate_for(f"{HOST}?audio_format=pcm_16000", 48000) == 16000


@pytest.mark.parametrize("named", ["ulaw_8000", "pcm_", "pcm_12345", "pcm", "pcm_16000x"])
def test_a_format_that_nobody_here_can_make_is_refused(named: str) -> None:
    with pytest.raises(EngineFault):
        rate_for(f"{HOST}?audio_format={named}", 16000)


def test_the_model_is_the_one_that_the_url_names() -> None:
    assert model_of(HOST) == "scribe_v2_realtime"
    assert model_of(f"{HOST}?model_id=other") == "other"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_result_keeps_all_that_came_with_it(kind: Kind) -> None:
    body = {"message_type": kind.value, "text": "t", "language_code": "yue", "words": [{"logprob": -0.1}]}
    assert result_of(body) == Result(kind, {"text": "t", "language_code": "yue", "words": [{"logprob": -0.1}]})


@pytest.mark.parametrize("name", CODES)
def test_both_spellings_of_an_error_mean_the_same(name: str) -> None:
    assert error_of({"message_type": name}) == error_of({"message_type": "error", "error": name}) == name
    fault = fault_of(name)
    assert fault.code == CODES[name]
    assert name in str(fault)


junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["error", *Kind]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["message_type", "error", "text"]), junk))
def test_nothing_that_can_be_sent_breaks_it(body: dict[str, Any]) -> None:
    result, error = result_of(body), error_of(body)
    assert not (result and error)
    assert result is None or isinstance(result.payload["text"], str)
    assert error is None or fault_of(error).code in {1008, 1011, 1013}
