"""An HTTP connection that costs little while it says nothing: it is given a deadline, and may be one of so many.

uvicorn times a connection only between two requests, and refuses whoever comes when there are too many, however few of
them ask for anything. Here those that ask for nothing make room for those that do, whoever they are: addresses tell
little behind a proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["AbortableProtocol", "BoundedProtocol", "Waiting"]

HEAD_SECONDS: Final = 20.0
"""How long the head of a request may take: the first from when the connection is made, others from their first byte."""


class AbortableProtocol(H11Protocol):
    """Offers every request a way to close its connection without an answer, as `scope["state"]["abort"]`.

    A WebSocket that the request becomes has it as well.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they come
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "abort": self.abort}

    def abort(self) -> None:
        """Cut the connection."""
        self.transport.abort()


class Waiting:
    """The connections of a server on which no request is under way; of too many the oldest is cut."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: dict[AbortableProtocol, None] = {}

    def add(self, connection: AbortableProtocol) -> None:
        """Say that one waits; saying so again does not make it younger."""
        self._connections[connection] = None
        if len(self._connections) > self._most:
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.abort()

    def discard(self, connection: AbortableProtocol) -> None:
        """Say that one does not."""
        self._connections.pop(connection, None)


class BoundedProtocol(AbortableProtocol):
    """A connection that waits among others, and not for long."""

    def __init__(self, *args: Any, waiting: Waiting, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they come
        super().__init__(*args, **kwargs)
        self._waiting = waiting
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._waiting.add(self)
        self._hurry()

    def data_received(self, data: bytes) -> None:
        """Read, and see what it was."""
        super().data_received(data)
        self._look(hurry=True)

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        self._look(hurry=bool(self.conn.trailing_data[0]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._settle()

    def _look(self, *, hurry: bool) -> None:
        answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if not answered and self.conn.their_state is not h11.IDLE:
            self._settle()
            return
        self._waiting.add(self)
        if hurry:
            self._hurry()

    def _hurry(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.abort)

    def _settle(self) -> None:
        self._waiting.discard(self)
        if self._late is not None:
            self._late.cancel()
            self._late = None
