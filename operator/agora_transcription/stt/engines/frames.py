"""What is said between an engine and its worker processes: frames on a socket, with a length in front.

Nothing is pickled: a worker runs native code on what strangers send, and must not be able to run anything here.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from agora_transcription.stt.engines.base import Kind, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_PAYLOAD",
    "Frame",
    "FrameError",
    "FrameReader",
    "FrameType",
    "pack",
    "pack_numbers",
    "pack_result",
    "unpack_numbers",
    "unpack_result",
]

MAX_PAYLOAD: Final = 1 << 20
"""Bytes. Longer than any result, and some seconds of audio at any rate."""

_HEADER: Final = struct.Struct("!IBI")
_NUMBER: Final = struct.Struct("!d")


class FrameType(IntEnum):
    """What a frame is about."""

    # To the worker.
    OPEN = 1
    """A session begins; a number: its sample rate in Hz."""
    AUDIO = 2
    """PCM of a session, as `Recognition.send` takes it."""
    FINISH = 3
    """No more audio follows."""
    CLOSE = 4
    """Nobody listens to the session any more."""
    PING = 5

    # From the worker.
    READY = 16
    """The models are loaded; of no session."""
    PROCESSED = 17
    """Two numbers: how many seconds of a session's audio have been worked through, and how many that took."""
    RESULT = 18
    """A result of a session, as JSON."""
    ENDED = 19
    """What followed from FINISH has all been said."""
    FAULT = 20
    """A session, or where it is 0 the worker, cannot go on; a message in UTF-8."""
    PONG = 21
    LOG = 22
    """Something for the log, in UTF-8."""


class FrameError(Exception):
    """The other end does not speak in frames."""


class Frame(NamedTuple):
    """One of them; `session` is 0 where it is about the worker."""

    type: FrameType
    session: int
    payload: bytes


class FrameReader:
    """Puts together what arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take what has arrived, and answer the frames that are whole by now.

        Raises:
            FrameError: It is none; nothing after it can be read.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            length, number, session = _HEADER.unpack_from(self._buffer)
            if length > MAX_PAYLOAD:
                raise FrameError(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            try:
                frame_type = FrameType(number)
            except ValueError:
                raise FrameError(f"a frame of the unknown type {number}") from None
            yield Frame(frame_type, session, payload)


def pack(frame_type: FrameType, session: int = 0, payload: bytes = b"") -> bytes:
    """A frame's bytes.

    Raises:
        FrameError: It is longer than the other end would take.
    """
    if len(payload) > MAX_PAYLOAD:
        raise FrameError(f"a frame of {len(payload)} bytes")
    return _HEADER.pack(len(payload), frame_type, session) + payload


def pack_numbers(frame_type: FrameType, session: int, *numbers: float) -> bytes:
    """A frame with numbers in it."""
    return pack(frame_type, session, b"".join(map(_NUMBER.pack, numbers)))


def unpack_numbers(payload: bytes, count: int) -> list[float]:
    """The numbers in a frame.

    Raises:
        FrameError: There are not so many.
    """
    if len(payload) != count * _NUMBER.size:
        raise FrameError(f"{len(payload)} bytes in place of {count} numbers")
    return [number for (number,) in _NUMBER.iter_unpack(payload)]


def pack_result(session: int, result: Result) -> bytes:
    """A frame with a result in it."""
    whole = {"kind": result.kind, "payload": result.payload, "heardAt": result.heard_at}
    return pack(FrameType.RESULT, session, json.dumps(whole, separators=(",", ":")).encode())


def unpack_result(payload: bytes) -> Result:
    """The result in a frame.

    Raises:
        FrameError: There is none.
    """
    try:
        whole = json.loads(payload)
        return Result(Kind(whole["kind"]), dict(whole["payload"]), whole["heardAt"])
    except (ValueError, KeyError, TypeError) as error:
        raise FrameError("a result that is none") from error
