"""Agora's notifications: what they say, whether they are Agora's, and which object they wake. No I/O.

A notification decides nothing. It has its object looked at sooner than the next poll, and the words of event 102 become
the reason in the history once a query has confirmed the end: polling remains the truth, so a notification may be lost,
late, doubled or forged without harm.

Whoever can read a tenant's `notificationSecret` can wake the tenant's own objects and no others: a body counts only if
it is signed with the secret of the object that it is about. Every answer to a well-formed body is the same, and costs
the same work, so nobody learns from outside which tasks there are.

Facts of Agora: "Receive notifications about channel events" and the notification page of real-time speech-to-text.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from agora_transcription.agora.answers import state_of
from agora_transcription.agora.explanations import presentable, read_json
from agora_transcription.agora.models import Dialect
from agora_transcription.controller.steps import Farewell
from agora_transcription.controller.transitions import WORD_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

__all__ = ["Event", "Notification", "Receiver", "Result", "is_signed", "parse"]

MAX_AGE: Final = timedelta(hours=1)
"""A notification that was sent longer ago, or will be sent later, has no effect: Agora gives up its retries sooner."""

MAX_NOTICES: Final = 10_000
"""How many notifications are remembered to drop their duplicates."""

MAX_ID: Final = 256
"""Characters of an id: what is longer is none."""

MILLISECONDS: Final = 10**11
"""From here on a Unix time counts milliseconds: Agora's pages say so, and their examples show seconds."""

TEST_CHANNEL: Final = "test_webhook"
"""The channel of the notification with which Agora's console tests an address."""

_NOBODYS_KEY: Final = secrets.token_bytes(32)


class Event(IntEnum):
    """The events that an object is woken for."""

    JOINED = 101
    """The agent is in the channel."""
    LEFT = 102
    """The task has ended; its message is the only place where Agora says why."""
    TOKEN_EXPIRES = 104
    """The agent's RTC token expires in about 30 s."""


class Result(StrEnum):
    """What became of a notification, as the metric names it."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    STALE = "stale"
    """Sent too long ago, or in the future."""
    UNSUPPORTED = "unsupported"
    """Of another event."""
    TEST = "test"
    """Agora's console tests the address."""
    UNKNOWN = "unknown"
    """No object has the task."""
    NO_SECRET = "no_secret"  # noqa: S105 - says that there is none
    """The object's Secret has no notificationSecret."""
    BAD_SIGNATURE = "bad_signature"
    MALFORMED = "malformed"
    """No JSON object."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification, as far as anybody is interested in it.

    Attributes:
        notice_id: The same for every delivery of it.
        event: An `Event`, or another one of Agora's numbers; -1 for none.
        task_id: The Agora task that it is about; empty for none.
        sent: When it was sent; None where that cannot be read.
        farewell: What it says of the task's end; None if it is not about one.
        is_test: Agora's console tests the address.
    """

    notice_id: str
    event: int
    task_id: str
    sent: datetime | None
    farewell: Farewell | None
    is_test: bool


def parse(body: bytes) -> Notification | None:
    """Read a notification; None for what is no JSON object. Nothing raises, whatever the bytes."""
    document = read_json(body)
    if not isinstance(document, dict):
        return None
    payload = document.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    task_id = _id(payload.get("agent_id")) or _id(document.get("sid"))
    event = document.get("eventType")
    return Notification(
        notice_id=_id(document.get("noticeId")),
        event=event if isinstance(event, int) and not isinstance(event, bool) else -1,
        task_id=task_id,
        sent=_moment(document.get("notifyMs")),
        farewell=_farewell(task_id, payload) if event == Event.LEFT else None,
        is_test=payload.get("channelName") == TEST_CHANNEL,
    )


def is_signed(body: bytes, signature: str, secret: SecretStr | None) -> bool:
    """Whether a body is signed with a secret, in constant time; without a secret it costs the same, and is not.

    Args:
        body: The raw body.
        signature: The header `Agora-Signature-V2`: HMAC-SHA256 in lower-case hexadecimal digits.
        secret: The secret; None if there is none.
    """
    key = secret.get_secret_value().encode() if secret else _NOBODYS_KEY
    expected = hmac.digest(key, body, "sha256").hex().encode()
    return hmac.compare_digest(expected, signature.encode(errors="replace")) and secret is not None


class Receiver:
    """Decides what becomes of each notification."""

    def __init__(
        self,
        owner: Callable[[str], str | None],
        secret: Callable[[str], SecretStr | None],
        wake: Callable[[str, Notification], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare one that remembers nothing.

        Args:
            owner: The uid of the object that has an Agora task.
            secret: The notification secret of an object, by its uid; must do no I/O.
            wake: Told an object's uid, and what was notified about it.
            clock: The time, with its time zone.
        """
        self._owner = owner
        self._secret = secret
        self._wake = wake
        self._clock = clock
        self._notices: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def receive(self, body: bytes, signature: str) -> Result:
        """Take in a body; an object is woken only if the result is `ACCEPTED`."""
        notification = parse(body)
        uid = self._owner(notification.task_id) if notification else None
        secret = self._secret(uid) if uid else None
        signed = is_signed(body, signature, secret)
        if notification is None:
            return Result.MALFORMED
        if uid is None:
            return Result.TEST if notification.is_test else Result.UNKNOWN
        if secret is None:
            return Result.NO_SECRET
        if not signed:
            return Result.BAD_SIGNATURE
        return self._judge(uid, notification)

    def _judge(self, uid: str, notification: Notification) -> Result:
        """Judge what is signed."""
        now = self._clock()
        if notification.event not in set(Event) or not notification.notice_id:
            return Result.UNSUPPORTED
        if notification.sent is not None and abs(now - notification.sent) > MAX_AGE:
            return Result.STALE
        # With the task: nobody can use up the noticeIds of others.
        if self._is_known((notification.task_id, notification.notice_id), now):
            return Result.DUPLICATE
        self._wake(uid, notification)
        return Result.ACCEPTED

    def _is_known(self, notice: tuple[str, str], now: datetime) -> bool:
        # Until it would be stale, even if it came ahead of the time that it was sent.
        while self._notices and now - next(iter(self._notices.values())) > 2 * MAX_AGE:
            self._notices.popitem(last=False)
        if notice in self._notices:
            return True
        self._notices[notice] = now
        if len(self._notices) > MAX_NOTICES:
            self._notices.popitem(last=False)
        return False


def _farewell(task_id: str, payload: dict[str, object]) -> Farewell | None:
    word, message = payload.get("status"), payload.get("message")
    if not isinstance(word, str) or not (state := state_of(Dialect.V7, word)).ended:
        return None
    return Farewell(task_id, state, presentable(message, limit=WORD_LIMIT) if isinstance(message, str) else "")


def _id(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= MAX_ID else ""


def _moment(value: object) -> datetime | None:
    """A Unix time in seconds or milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if value >= MILLISECONDS else value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
