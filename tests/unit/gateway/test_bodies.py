"""Bodies are checked in the order and with the words of the backend that the clients were written for."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.gateway import bodies
from agora_transcription.gateway.answers import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = {"channel": "test", "uid": "1001", "expireTime": 3600, "role": "publisher"}


@pytest.mark.parametrize("missing", [None, "", 0, False, [], ...])
@pytest.mark.parametrize(
    ("read", "order"),
    [
        (bodies.read_channel, ["channel"]),
        (bodies.read_task, ["taskId", "builderToken"]),
        (bodies.read_token, ["channel", "uid", "expireTime"]),
    ],
)
def test_what_is_missing_is_named_in_its_order(read: Callable[[bytes], Any], order: list[str], missing: Any) -> None:
    """With all of them missing the first is named, and so on."""
    for given_so_far, name in enumerate(order):
        fields = {each: missing for each in order[given_so_far:] if missing is not ...}
        fields |= dict.fromkeys(order[:given_so_far], "1")
        assert refusal(read, fields) == (400, f"{name} is required")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"role": ...}, "role is incorrect"),
        ({"role": "audience"}, "role is incorrect"),
        ({"role": ["publisher"]}, "role is incorrect"),
        ({"role": "audience", "uid": "x"}, "role is incorrect"),
        ({"uid": "alice"}, "uid is incorrect"),
        ({"uid": "0"}, "uid is incorrect"),
        ({"uid": -1}, "uid is incorrect"),
        ({"uid": True}, "uid is incorrect"),
        ({"uid": 2**32}, "uid is incorrect"),
        ({"uid": "٣"}, "uid is incorrect"),
        ({"expireTime": 1.5}, "expireTime is incorrect"),
        ({"expireTime": "soon"}, "expireTime is incorrect"),
        ({"channel": "a/b"}, "channel is incorrect"),
        ({"channel": "x" * 65}, "channel is incorrect"),
        ({"channel": 5}, "channel is incorrect"),
        ({"channel": "a\n"}, "channel is incorrect"),
    ],
)
def test_what_cannot_be_right_is_named(changed: dict[str, Any], text: str) -> None:
    fields = {name: value for name, value in {**TOKEN, **changed}.items() if value is not ...}
    assert refusal(bodies.read_token, fields) == (400, text)


def test_ids_are_text() -> None:
    assert refusal(bodies.read_task, {"taskId": 5, "builderToken": "t"}) == (400, "taskId is incorrect")
    assert refusal(bodies.read_task, {"taskId": "5", "builderToken": {"a": 1}}) == (400, "builderToken is incorrect")


@pytest.mark.parametrize(
    ("changed", "uid", "publishes", "lifetime"),
    [
        ({}, "1001", True, 3600),
        ({"uid": 7, "role": "subscriber"}, "7", False, 3600),
        ({"expireTime": "60"}, "1001", True, 60),
        ({"expireTime": 999999}, "1001", True, 86400),
        ({"uid": 2**32 - 1, "more": "is ignored"}, "4294967295", True, 3600),
    ],
)
def test_what_a_token_is_asked_for(changed: dict[str, Any], uid: str, lifetime: int, *, publishes: bool) -> None:
    asked = bodies.read_token(json.dumps({**TOKEN, **changed}).encode())
    assert asked == bodies.TokenRequest("test", uid, publishes, lifetime)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"channel"', b"null", b"\xff", b"[" * 10_000])
def test_what_is_no_object_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(Refusal, match="400 the body is no JSON object"):
        bodies.read_channel(body)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists) | st.binary())
def test_whatever_is_sent_is_read_or_refused(value: Any) -> None:
    body = value if isinstance(value, bytes) else json.dumps({"channel": value}).encode()
    with contextlib.suppress(Refusal):
        assert bodies.read_channel(body).channel == value


def refusal(read: Callable[[bytes], Any], fields: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(Refusal) as raised:
        read(json.dumps(fields).encode())
    return raised.value.status, raised.value.text
