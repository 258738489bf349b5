"""RTC tokens, read and checked with the standard library only.

Agora's servers admit a bot to a channel by this token; the simulator does the same, so that a token for the wrong
channel, the wrong user or the wrong project is found on a laptop. Deliberately not the code that mints tokens: two
independent readings of the format do not share a mistake.

Layouts (AgoraIO/Tools, DynamicKey/AgoraDynamicKey): integers are little-endian, `S(x)` is a 16-bit length and bytes.

* 007: `"007" + base64(zlib(S(signature) + info))`; dates in `info` are seconds relative to its issue time.
* 006: `"006" + appId + base64(S(signature) + crc32(channel) + crc32(uid) + S(message))`; dates are absolute.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from typing import Final

__all__ = ["MAX_LIFETIME", "InvalidToken", "verify"]

MAX_LIFETIME: Final = 86400
"""Seconds that an RTC token may be valid for ("Deploy a token server")."""

MAX_SKEW: Final = 60
"""Seconds that the minting machine's clock may be ahead."""

JOIN_PRIVILEGE: Final = 1
RTC_SERVICE: Final = 1
MAX_CONTENT: Final = 65536
"""Bytes of an inflated token; a real one has some hundred."""


class InvalidToken(ValueError):
    """Why a token does not admit its bearer; never contains the token."""


def verify(token: str, *, app_id: str, certificate: str, channel: str, uid: str, now: float) -> float:
    """Check that a token admits a user to a channel.

    Args:
        token: Version 007 or 006.
        app_id: The project's App ID, 32 hexadecimal digits.
        certificate: The project's app certificate, 32 hexadecimal digits.
        channel: The channel to be joined.
        uid: The numeric user id, as a string.
        now: Unix seconds.

    Returns:
        When the right to join ends, in Unix seconds.

    Raises:
        InvalidToken: When it is malformed, forged, for something else, or not valid now or for too long.
    """
    readers = {"007": _read_007, "006": _read_006}
    read = readers.get(token[:3])
    if read is None:
        raise InvalidToken("is neither a version 007 nor a version 006 token")
    try:
        expires = read(token[3:], app_id, certificate, channel, uid, now)
    except (struct.error, UnicodeDecodeError, binascii.Error, zlib.error) as error:
        raise InvalidToken("is malformed") from error
    if expires <= now:
        raise InvalidToken("has expired")
    return expires


def _read_007(text: str, app_id: str, certificate: str, channel: str, uid: str, now: float) -> float:
    content = _Reader(_inflate(_unbase64(text)))
    signature = content.string()
    info = content.rest()
    fields = _Reader(info)
    if fields.string() != app_id.encode():
        raise InvalidToken("is of another App ID")
    issued, lifetime, salt, services = fields.u32(), fields.u32(), fields.u32(), fields.u16()
    key = _sign(struct.pack("<I", issued), certificate.encode())
    _check_signature(signature, _sign(_sign(struct.pack("<I", salt), key), info))
    if issued > now + MAX_SKEW:
        raise InvalidToken("is not valid yet")
    if lifetime > MAX_LIFETIME:
        raise InvalidToken("is valid for more than 24 hours")
    if services != 1 or fields.u16() != RTC_SERVICE:
        raise InvalidToken("is not for the RTC service alone")
    privileges = fields.privileges()
    if fields.string() != channel.encode():
        raise InvalidToken("is for another channel")
    if fields.string() != uid.encode():
        raise InvalidToken("is for another uid")
    fields.end()
    return issued + min(lifetime, _join_date(privileges) or lifetime)


def _read_006(text: str, app_id: str, certificate: str, channel: str, uid: str, now: float) -> float:
    if text[:32] != app_id:
        raise InvalidToken("is of another App ID")
    content = _Reader(_unbase64(text[32:]))
    signature, channel_sum, uid_sum, message = content.string(), content.u32(), content.u32(), content.string()
    content.end()
    if channel_sum != zlib.crc32(channel.encode()):
        raise InvalidToken("is for another channel")
    if uid_sum != zlib.crc32(uid.encode()):
        raise InvalidToken("is for another uid")
    _check_signature(signature, _sign(certificate.encode(), (app_id + channel + uid).encode() + message))
    fields = _Reader(message)
    fields.u32()  # the salt, which only makes signatures differ
    expires = fields.u32()
    privileges = fields.privileges()
    fields.end()
    if expires > now + MAX_LIFETIME + MAX_SKEW:
        raise InvalidToken("is valid for more than 24 hours")
    return min(expires, _join_date(privileges) or expires)


def _join_date(privileges: dict[int, int]) -> int:
    """When the right to join ends; 0 says: with the token."""
    if JOIN_PRIVILEGE not in privileges:
        raise InvalidToken("does not grant joining a channel")
    return privileges[JOIN_PRIVILEGE]


def _sign(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _check_signature(given: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(given, expected):
        raise InvalidToken("has a wrong signature")


def _unbase64(text: str) -> bytes:
    if not text.isascii():
        raise InvalidToken("is malformed")
    content = base64.b64decode(text, validate=True)
    # Bits that decoding drops could be changed without changing the content.
    if base64.b64encode(content).decode() != text:
        raise InvalidToken("is malformed")
    return content


def _inflate(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    content = inflater.decompress(packed, MAX_CONTENT)
    if not inflater.eof or inflater.unused_data:
        raise InvalidToken("is malformed")
    return content


class _Reader:
    """Takes fields off the front of a token's content."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def u16(self) -> int:
        return self._number("<H", 2)

    def u32(self) -> int:
        return self._number("<I", 4)

    def string(self) -> bytes:
        length = self.u16()
        if self._at + length > len(self._content):
            raise InvalidToken("is malformed")
        self._at += length
        return self._content[self._at - length : self._at]

    def privileges(self) -> dict[int, int]:
        return {self.u16(): self.u32() for _ in range(self.u16())}

    def rest(self) -> bytes:
        return self._content[self._at :]

    def end(self) -> None:
        if self._at != len(self._content):
            raise InvalidToken("is malformed")

    def _number(self, layout: str, size: int) -> int:
        (number,) = struct.unpack_from(layout, self._content, self._at)
        self._at += size
        return int(number)
