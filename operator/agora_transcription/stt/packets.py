"""What may arrive on a connection, told before python-socketio acts on it.

The library trusts its clients: a packet that cannot be read leaves a task behind, raises in its read loop, or is
answered 200 and lost. Here it is a refusal, and the connection is closed. Of Socket.IO's packets the protocol needs
three: CONNECT, DISCONNECT and EVENT; nobody here asks for an acknowledgement. An event with binary attachments is read
without them, so that it can be refused as any other one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from engineio.payload import Payload
from socketio.packet import BINARY_EVENT, CONNECT, DISCONNECT, EVENT
from socketio.packet import Packet as AnyPacket

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_BATCH", "MAX_MESSAGE", "Malformed", "Packet", "is_frame", "join", "split"]

MAX_MESSAGE: Final = 1_000_000
"""Bytes of a WebSocket message or of a polling request: above what the protocol allows, so that it can say so."""

MAX_BATCH: Final = 256
"""Packets of one polling request: a client sends at once what has come up during the request before."""

RESERVED: Final = {"connect", "disconnect", "connect_error", "*"}
"""Events of the library's own, which a client must not be able to cause by their names."""

# The library refuses more than 16, answers 200 all the same, and all that was in them is lost.
Payload.max_decode_packets = MAX_BATCH

FRAME: Final = re.compile(r"[13]|4[0-6].*", re.DOTALL)
"""CLOSE, PONG or a MESSAGE with a Socket.IO packet."""

ATTACHMENT: Final = re.compile(r"b[A-Za-z0-9+/]*={0,2}")
"""A binary message, as a polling request has it."""

SEPARATOR: Final = "\x1e"


class Malformed(Exception):
    """No client of the protocol sends this."""


class Packet(AnyPacket):  # type: ignore[misc]  # published without types
    """A Socket.IO packet; reading one raises `Malformed` where it is not one of those that the service takes."""

    packet_type: int

    def decode(self, encoded_packet: object) -> int:
        """Read a packet; answers that no attachments follow."""
        try:
            if not isinstance(encoded_packet, str):
                raise Malformed
            attachments = super().decode(encoded_packet)
        except (ValueError, RecursionError, IndexError, TypeError):
            raise Malformed from None
        if self.packet_type == BINARY_EVENT:
            self.packet_type = EVENT
        elif attachments:
            raise Malformed
        if self.packet_type not in {CONNECT, DISCONNECT, EVENT} or not _fits(self.packet_type, self.data):
            raise Malformed
        return 0


def _fits(packet_type: int, data: Any) -> bool:  # noqa: ANN401 - JSON is anything
    if packet_type == EVENT:
        return isinstance(data, list) and bool(data) and isinstance(data[0], str) and data[0] not in RESERVED
    return data is None or (packet_type == CONNECT and isinstance(data, dict))


def is_frame(text: str) -> bool:
    """Whether it is an Engine.IO packet that a client sends on an established connection."""
    return FRAME.fullmatch(text) is not None


def split(body: bytes) -> list[str]:
    """Take the body of a polling request apart.

    Returns:
        Its packets, without the attachments.

    Raises:
        Malformed: It is none.
    """
    try:
        packets = [packet for packet in body.decode().split(SEPARATOR) if not ATTACHMENT.fullmatch(packet)]
    except UnicodeDecodeError:
        raise Malformed from None
    if not all(map(is_frame, packets)):
        raise Malformed
    return packets


def join(packets: Iterable[str]) -> bytes:
    """Put the body of a polling request together."""
    return SEPARATOR.join(packets).encode()
