"""What callers send, checked in the order and with the words of the backend that they were written for. No I/O.

That backend is JavaScript: 0, an empty string, null and false count as missing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from agora_transcription.agora import MAX_LIFETIME_SECONDS
from agora_transcription.api import Channel
from agora_transcription.gateway.answers import Refusal

__all__ = ["MAX_BODY", "ChannelRequest", "TaskRequest", "TokenRequest", "read_channel", "read_task", "read_token"]

MAX_BODY: Final = 16 * 1024
"""Bytes; a real one has some hundred."""

MAX_UID: Final = 2**32 - 1

NUMBER: Final = re.compile(r"[0-9]{1,10}")

ROLES: Final = {"publisher": True, "subscriber": False}

_CHANNEL: Final = TypeAdapter(Channel)


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """Body of start.json."""

    channel: str


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Body of stop.json and query.json."""

    task_id: str
    builder_token: str


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Body of tokens.json.

    Attributes:
        channel: The channel's name.
        uid: 1 to 2^32-1, as a string.
        publishes: Whether the role is that of a publisher.
        lifetime_seconds: 1 to 86400; what Agora would not honour is left off.
    """

    channel: str
    uid: str
    publishes: bool
    lifetime_seconds: int


def read_channel(body: bytes) -> ChannelRequest:
    """Read the body of start.json.

    Raises:
        Refusal: 400, with what is missing or wrong.
    """
    return ChannelRequest(_channel(_required(body, "channel")["channel"]))


def read_task(body: bytes) -> TaskRequest:
    """Read the body of stop.json and query.json.

    Raises:
        Refusal: 400, with what is missing or wrong.
    """
    fields = _required(body, "taskId", "builderToken")
    return TaskRequest(_text("taskId", fields["taskId"]), _text("builderToken", fields["builderToken"]))


def read_token(body: bytes) -> TokenRequest:
    """Read the body of tokens.json.

    Raises:
        Refusal: 400, with what is missing or wrong.
    """
    fields = _required(body, "channel", "uid", "expireTime")
    role = fields.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise Refusal(400, "role is incorrect")
    uid = _number("uid", fields["uid"])
    if uid > MAX_UID:
        raise Refusal(400, "uid is incorrect")
    lifetime = min(_number("expireTime", fields["expireTime"]), MAX_LIFETIME_SECONDS)
    return TokenRequest(_channel(fields["channel"]), str(uid), ROLES[role], lifetime)


def _required(body: bytes, *names: str) -> dict[str, Any]:
    """The fields of a body, once all that are needed are there."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Refusal(400, "the body is no JSON object")
    for name in names:
        if not fields.get(name):
            raise Refusal(400, f"{name} is required")
    return fields


def _channel(value: object) -> str:
    try:
        return _CHANNEL.validate_python(value, strict=True)
    except ValidationError:
        raise Refusal(400, "channel is incorrect") from None


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refusal(400, f"{name} is incorrect")
    return value


def _number(name: str, value: object) -> int:
    """A number above 0, which may come as a string."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not NUMBER.fullmatch(text) or int(text) == 0:
        raise Refusal(400, f"{name} is incorrect")
    return int(text)
