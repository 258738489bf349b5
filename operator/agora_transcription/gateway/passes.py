"""The builderToken that the gateway hands out: a pass for one start of one object. No I/O.

The clients only send it back, so what is in it is the gateway's own affair: the same for both of Agora's APIs, and
never Agora's token. It is signed, so that nothing has to be kept: a stop is checked by any replica, after any restart,
and also once the object is gone. It holds no time and no chance: a repeated start is answered with the same one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Pass", "read", "sign"]

PREFIX: Final = "v1"
PURPOSE: Final = b"agora-transcription builderToken v1\0"
"""Signed as well, so that nothing else that this key may sign one day can be taken for a pass."""

MAX_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True)
class Pass:
    """What a start was answered for.

    Attributes:
        namespace: The object's.
        name: The object's.
        uid: The object's: of the next one of the same name it says nothing.
        task_id: Agora's task at that time. The operator may have replaced it since, and the caller knows this one.
    """

    namespace: str
    name: str
    uid: str
    task_id: str


def sign(granted: Pass, key: bytes) -> str:
    """Make the builderToken."""
    content = _encoded(json.dumps(astuple(granted), separators=(",", ":")).encode())
    return f"{PREFIX}.{content}.{_encoded(_signature(content, key))}"


def read(token: str, keys: Sequence[bytes]) -> Pass | None:
    """Read a builderToken; None where none of the keys has signed it."""
    if len(token) > MAX_LENGTH or not token.isascii():
        return None
    prefix, _, rest = token.partition(".")
    content, _, signature = rest.partition(".")
    if prefix != PREFIX:
        return None
    # All keys, and in constant time each: how long it takes says nothing about them.
    signed = [hmac.compare_digest(_encoded(_signature(content, key)).encode(), signature.encode()) for key in keys]
    return Pass(*json.loads(_decoded(content))) if any(signed) else None


def _signature(content: str, key: bytes) -> bytes:
    return hmac.new(key, PURPOSE + content.encode(), hashlib.sha256).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
