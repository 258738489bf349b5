"""Agora's notifications: which ones wake an object, and that nothing else does."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agora_transcription.agora import State
from agora_transcription.controller import notifications
from agora_transcription.controller.notifications import Event, Notification, Receiver, Result, is_signed, parse
from agora_transcription.controller.steps import Farewell

VECTOR = (
    b'{"eventType":10,"noticeId":"4eb720f0-8da7-11e9-a43e-53f411c2761f","notifyMs":1560408533119,'
    b'"payload":{"a":"1","b":2},"productId":1}'
)
"""The example of Agora's page on verifying signatures, with the secret `secret`."""
VECTOR_SHA256 = "de96da5acf03b0021ac3b4fa2225e7ae6f3533a30d50bb02c08ea4fa748bda24"
VECTOR_SHA1 = "5a3bb6a6d9fad2ea9ae3fb707a14c9d7f3136df1"

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
SECRET = "notification-secret-of-team-a"
OTHER_SECRET = "notification-secret-of-team-b"


def body_of(event: int = 102, *, task_id: str = "agent-a", notice: str = "notice-1", **changes: Any) -> bytes:
    payload = {
        "agent_id": task_id,
        "start_ts": 1795248000,
        "stop_ts": 1795248300,
        "channel": "standup",
        "status": "STOPPED",
        "message": "Idle for too long",
    }
    envelope = {
        "sid": task_id,
        "noticeId": notice,
        "productId": 20,
        "eventType": event,
        "notifyMs": int(NOW.timestamp() * 1000),
        "payload": payload | changes.pop("payload", {}),
    }
    return json.dumps(envelope | changes).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Tenants:
    """Team a and team b have an object each; team c's Secret has no notificationSecret."""

    def __init__(self) -> None:
        self.now = NOW
        self.owners = {"agent-a": "uid-a", "agent-b": "uid-b", "agent-c": "uid-c"}
        self.secrets = {"uid-a": SecretStr(SECRET), "uid-b": SecretStr(OTHER_SECRET)}
        self.woken: list[tuple[str, Notification]] = []
        self.receiver = Receiver(
            self.owners.get, self.secrets.get, lambda *woken: self.woken.append(woken), lambda: self.now
        )

    def receive(self, body: bytes, signed: str | None = None) -> Result:
        return self.receiver.receive(body, signature(body) if signed is None else signed)


@pytest.fixture
def tenants() -> Tenants:
    return Tenants()


def test_agoras_own_example_is_signed() -> None:
    assert is_signed(VECTOR, VECTOR_SHA256, SecretStr("secret"))


@pytest.mark.parametrize(
    ("body", "signed", "secret"),
    [
        (VECTOR + b" ", VECTOR_SHA256, "secret"),
        (VECTOR, VECTOR_SHA256, "another"),
        (VECTOR, VECTOR_SHA1, "secret"),
        (VECTOR, VECTOR_SHA256[:-1], "secret"),
        (VECTOR, "", "secret"),
        (VECTOR, "\udcff\u00e9", "secret"),
        (VECTOR, VECTOR_SHA256, None),
    ],
    ids=["body", "secret", "SHA-1", "cut off", "none", "no ASCII", "no secret"],
)
def test_anything_else_is_not(body: bytes, signed: str, secret: str | None) -> None:
    assert not is_signed(body, signed, SecretStr(secret) if secret else None)


def test_a_signed_end_wakes_its_object_with_its_words(tenants: Tenants) -> None:
    assert tenants.receive(body_of()) is Result.ACCEPTED
    [(uid, notification)] = tenants.woken
    assert uid == "uid-a"
    assert notification.event == Event.LEFT
    assert notification.farewell == Farewell("agent-a", State.STOPPED, "Idle for too long")


@pytest.mark.parametrize("event", [101, 104])
def test_the_other_two_events_wake_and_tell_of_no_end(tenants: Tenants, event: int) -> None:
    assert tenants.receive(body_of(event)) is Result.ACCEPTED
    [(_, notification)] = tenants.woken
    assert (notification.event, notification.farewell) == (event, None)


@pytest.mark.parametrize(
    ("body", "signed", "result"),
    [
        (body_of(), "", Result.BAD_SIGNATURE),
        (body_of(), signature(body_of(), OTHER_SECRET), Result.BAD_SIGNATURE),
        (body_of(), hmac.new(SECRET.encode(), body_of(), hashlib.sha1).hexdigest(), Result.BAD_SIGNATURE),
        (body_of(task_id="agent-b"), None, Result.BAD_SIGNATURE),
        (body_of(payload={"agent_id": "agent-b"}), None, Result.BAD_SIGNATURE),
        (body_of(task_id="agent-c"), None, Result.NO_SECRET),
        (body_of(task_id="agent-x"), None, Result.UNKNOWN),
        (body_of(task_id=""), None, Result.UNKNOWN),
        (body_of(task_id="a" * 257), None, Result.UNKNOWN),
        (body_of(200), None, Result.UNSUPPORTED),
        (body_of(eventType="102"), None, Result.UNSUPPORTED),
        (body_of(eventType=True), None, Result.UNSUPPORTED),
        (body_of(eventType=None), None, Result.UNSUPPORTED),
        (body_of(notice=""), None, Result.UNSUPPORTED),
        (body_of(noticeId=7), None, Result.UNSUPPORTED),
        (b"[]", None, Result.MALFORMED),
        (b"", None, Result.MALFORMED),
        (b"[" * 60_000, None, Result.MALFORMED),
        (b'{"eventType": ' + b"9" * 10_000 + b"}", None, Result.MALFORMED),
        (b"\xff\xfe{", None, Result.MALFORMED),
    ],
)
def test_nothing_else_wakes(tenants: Tenants, body: bytes, signed: str | None, result: Result) -> None:
    assert tenants.receive(body, signed) is result
    assert tenants.woken == []


def test_agoras_console_tests_the_address_with_a_notification_of_no_task(tenants: Tenants) -> None:
    test = {
        "noticeId": "n",
        "productId": 1,
        "eventType": 101,
        "payload": {"channelName": "test_webhook", "uid": 12121212},
    }
    assert tenants.receive(json.dumps(test).encode(), "whatever") is Result.TEST
    assert tenants.woken == []


def test_a_test_channel_opens_no_way_around_the_signature(tenants: Tenants) -> None:
    assert tenants.receive(body_of(payload={"channelName": "test_webhook"}), "") is Result.BAD_SIGNATURE


def test_an_id_of_the_envelope_will_do(tenants: Tenants) -> None:
    assert tenants.receive(body_of(payload={"agent_id": None})) is Result.ACCEPTED


# Duplicates ---------------------------------------------------------------------------------------------------------


def test_a_duplicate_wakes_once(tenants: Tenants) -> None:
    assert [tenants.receive(body_of()) for _ in range(3)] == [Result.ACCEPTED, Result.DUPLICATE, Result.DUPLICATE]
    assert tenants.receive(body_of(notice="notice-2")) is Result.ACCEPTED
    assert len(tenants.woken) == 2


def test_a_forged_notice_id_uses_up_nobodys(tenants: Tenants) -> None:
    tenants.receive(body_of(), "forged")
    other = body_of(task_id="agent-b")
    assert tenants.receive(other, signature(other, OTHER_SECRET)) is Result.ACCEPTED
    assert tenants.receive(body_of()) is Result.ACCEPTED


@given(offset=st.integers(-3600, 3600), later=st.floats(0, 3 * 3600))
def test_whatever_is_sent_again_however_late_has_no_second_effect(offset: int, later: float) -> None:
    tenants = Tenants()
    body = body_of(notifyMs=int((NOW.timestamp() + offset) * 1000))
    assert tenants.receive(body) is Result.ACCEPTED
    tenants.now += timedelta(seconds=later)
    tenants.receive(body_of(notice="another", notifyMs=int(tenants.now.timestamp())))  # the occasion to forget
    assert tenants.receive(body) in {Result.DUPLICATE, Result.STALE}


def test_duplicates_are_forgotten_with_time_and_number(tenants: Tenants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "MAX_NOTICES", 10)
    for number in range(100):
        tenants.receive(body_of(notice=str(number)))
    assert len(tenants.receiver._notices) == 10
    tenants.now += timedelta(hours=3)
    tenants.receive(body_of(notice="last", notifyMs=int(tenants.now.timestamp())))
    assert len(tenants.receiver._notices) == 1


@pytest.mark.parametrize(
    ("sent", "result"),
    [
        (NOW.timestamp(), Result.ACCEPTED),
        (int(NOW.timestamp()), Result.ACCEPTED),
        (int(NOW.timestamp()) * 1000, Result.ACCEPTED),
        (int(NOW.timestamp()) - 3601, Result.STALE),
        ((int(NOW.timestamp()) - 3601) * 1000, Result.STALE),
        ((int(NOW.timestamp()) + 3601) * 1000, Result.STALE),
        (0, Result.STALE),
        # What cannot be read says nothing.
        (None, Result.ACCEPTED),
        ("1795248000", Result.ACCEPTED),
        (1e999, Result.ACCEPTED),
        (float("nan"), Result.ACCEPTED),
        (-(10**30), Result.ACCEPTED),
        (10**400, Result.ACCEPTED),
        (True, Result.ACCEPTED),
    ],
)
def test_times_are_in_seconds_or_milliseconds(tenants: Tenants, sent: object, result: Result) -> None:
    assert tenants.receive(body_of(notifyMs=sent)) is result


# Words --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "state", "words"),
    [
        ("STOPPED", "OK", State.STOPPED, "OK"),
        ("FAILED", "RTC connection error", State.FAILED, "RTC connection error"),
        ("FAILED", None, State.FAILED, ""),
        ("FAILED", "line\none\u0000\ud800two", State.FAILED, "line one two"),
    ],
)
def test_words_are_made_fit_to_be_shown(status: str, message: object, state: State, words: str) -> None:
    notification = parse(body_of(payload={"status": status, "message": message}))
    assert notification is not None
    assert notification.farewell == Farewell("agent-a", state, words)


def test_long_words_are_cut_to_what_the_resource_takes() -> None:
    notification = parse(body_of(payload={"message": "why " * 10_000}))
    assert notification is not None
    assert notification.farewell is not None
    assert len(notification.farewell.message) <= 256


@pytest.mark.parametrize("status", ["RUNNING", "STOPPING", "", None, 7, ["STOPPED"]])
def test_what_is_no_end_is_no_farewell(status: object) -> None:
    notification = parse(body_of(payload={"status": status}))
    assert notification is not None
    assert notification.farewell is None


# Anything at all ----------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["agent-a", "STOPPED"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
fields = st.sampled_from(["sid", "noticeId", "productId", "eventType", "notifyMs", "payload"])
payloads = st.dictionaries(st.sampled_from(["agent_id", "status", "message", "channelName"]), json_values)
envelopes = st.dictionaries(fields, json_values | payloads | st.sampled_from([101, 102, 104]))
bodies = st.binary(max_size=200) | envelopes.map(lambda envelope: json.dumps(envelope).encode())


@given(body=bodies, signed=st.text(max_size=80) | st.just(VECTOR_SHA256))
def test_no_bytes_raise_and_none_wake_without_a_signature(body: bytes, signed: str) -> None:
    tenants = Tenants()
    assert tenants.receiver.receive(body, signed) is not Result.ACCEPTED
    assert tenants.woken == []


@given(body=bodies, secret=st.sampled_from([SECRET, OTHER_SECRET]))
def test_signed_bytes_wake_at_most_the_object_of_their_own_tenant(body: bytes, secret: str) -> None:
    tenants = Tenants()
    result = tenants.receive(body, signature(body, secret))
    assert (result is Result.ACCEPTED) == bool(tenants.woken)
    assert {uid for uid, _ in tenants.woken} <= ({"uid-a"} if secret == SECRET else {"uid-b"})
