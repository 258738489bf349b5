"""What may arrive on a connection, told before python-socketio acts on it.

The library trusts its clients: a packet that cannot be read leaves a task behind, raises in its read loop, or is
answered 200 and lost. Here it is a refusal, and the connection is closed. Of Socket.IO's packets the protocol needs
three: CONNECT, DISCONNECT and EVENT; nobody here asks for an acknowledgement or takes binary attachments.
"""

from __future__ import annotations

import re
from typing import Any, Final

from engineio.payload import Payload
from socketio.packet import CONNECT, DISCONNECT, EVENT
from socketio.packet import Packet as AnyPacket

__all__ = ["MAX_BATCH", "MAX_MESSAGE", "Malformed", "Packet", "is_frame", "is_upgrade_frame", "split"]

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

SEPARATOR: Final = "\x1e"


class Malformed(Exception):
    """No client of the protocol sends this."""


class Packet(AnyPacket):  # type: ignore[misc]  # published without types
    """A Socket.IO packet; reading one raises `Malformed` where it is not one of those that the service takes."""

    def decode(self, encoded_packet: object) -> int:
        """Read a packet; answers that no attachments follow."""
        try:
            if not isinstance(encoded_packet, str) or super().decode(encoded_packet):
                raise Malformed
        except (ValueError, RecursionError, IndexError, TypeError):
            raise Malformed from None
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


def is_upgrade_frame(text: str) -> bool:
    """Whether it is one of the two with which a connection goes from polling to a WebSocket."""
    return text in {"2probe", "5"}


def split(body: bytes) -> list[str]:
    """Take the body of a polling request apart.

    Raises:
        Malformed: It is none.
    """
    try:
        packets = body.decode().split(SEPARATOR)
    except UnicodeDecodeError:
        raise Malformed from None
    if not all(map(is_frame, packets)):
        raise Malformed
    return packets
