"""What comes in, looked at before Engine.IO sees it: the body of a request, and the messages of a WebSocket.

The library reads a body for as long as somebody writes one, and trusts what is in it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.stt import packets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]

__all__ = ["MAX_UNREAD", "Frames", "TooLong", "Unread", "body_of"]

MAX_UNREAD: Final = 4 * packets.MAX_MESSAGE
"""Bytes of a body that is too long, up to which it is read: who is still writing does not see the answer."""

READ_SECONDS: Final = 10.0
"""How long a body may take to come."""

ATTACHMENTS: Final = re.compile(r"45(\d{1,2})-")
"""How the packet begins that is followed by so many binary messages."""

logger = logging.getLogger(__name__)


class Unread(Exception):
    """A body has not come; the message is for the client.

    Attributes:
        status: Of the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class TooLong(Exception):
    """A body is longer than it may be, and has been read."""


async def body_of(receive: Receive, declared: int) -> bytes:
    """Read a body.

    Args:
        receive: From whom.
        declared: Its length as its head has it; 0 where that says nothing.

    Raises:
        TooLong: It is too long.
        Unread: It has not come, or there is so much of it that it is not read.
    """
    body, size, more = bytearray(), declared if declared > MAX_UNREAD else 0, True
    try:
        async with asyncio.timeout(READ_SECONDS):
            while more and size <= MAX_UNREAD:
                message = await receive()
                if message["type"] != "http.request":
                    raise Unread(400, "the body has not come")  # which nobody reads, and the log says
                part = message.get("body", b"")
                size += len(part)
                more = message.get("more_body", False)
                body += part if size <= packets.MAX_MESSAGE else b""
    except TimeoutError:
        raise Unread(408, f"the body has not come in {READ_SECONDS:g} s") from None
    if size > MAX_UNREAD:
        raise Unread(413, f"a request may have {packets.MAX_MESSAGE} bytes")
    if size > packets.MAX_MESSAGE:
        raise TooLong
    return bytes(body)


class Frames:
    """The messages of a WebSocket; called as the `receive` that Engine.IO gets."""

    def __init__(
        self,
        receive: Receive,
        on_overflow: Callable[[], Awaitable[bool]],
        on_malformed: Callable[[], None],
        *,
        upgrade: Callable[[], None] | None,
    ) -> None:
        """Read from a WebSocket.

        Args:
            receive: Of the server.
            on_overflow: Called for a message that is too large and discarded; answers whether the client was told.
            on_malformed: Called for one that no client of the protocol sends, which ends the WebSocket.
            upgrade: Where a connection becomes this WebSocket: called when it has.
        """
        self._receive = receive
        self._on_overflow = on_overflow
        self._on_malformed = on_malformed
        self._upgrade = upgrade
        self._probed = False
        self._attachments = 0

    async def __call__(self) -> Message:
        """Wait for the next message that Engine.IO may see."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            text = message.get("text")
            if text is None and self._attachments:
                self._attachments -= 1  # of an event that has been refused, or is about to be
            elif text is None or not self._fits(text):
                self._on_malformed()
                return {"type": "websocket.disconnect", "code": 1002}
            elif len(text) <= packets.MAX_MESSAGE:
                return message
            elif not await self._on_overflow():
                return {"type": "websocket.disconnect", "code": 1009}

    def _fits(self, text: str) -> bool:
        if self._upgrade is not None and text == ("5" if self._probed else "2probe"):
            if self._probed:
                self._upgrade()
                self._upgrade = None
            self._probed = True
            return True
        if begins := ATTACHMENTS.match(text):
            self._attachments += int(begins[1])
        return packets.is_frame(text)
