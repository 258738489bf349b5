"""The connections under the sessions: who is there, what waits for whom, and how one is ended.

Engine.IO puts what it sends into a queue without an end, and waits without an end for a client to take it. Here the
queue is looked at with every packet, and a connection that has to go goes: first politely, then by cutting it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import socketio

from agora_transcription.stt.packets import MAX_MESSAGE, Malformed, Packet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from agora_transcription.stt.metrics import SttMetrics

__all__ = ["GOODBYE_SECONDS", "MAX_WAITING", "Link", "Wire"]

MAX_WAITING: Final = 256
"""Packets that wait for a client, until its connection is closed."""

GOODBYE_SECONDS: Final = 1.0
"""How long a client may take to read its last packets, and then to close its end."""

UPGRADE_SECONDS: Final = 10.0
"""How long a connection may take from polling to a WebSocket."""

SWEEP_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Link:
    """The handle of a WebSocket, from its request to its end.

    Attributes:
        abort: Cuts it.
        closed: When the server has let go of it.
    """

    abort: Callable[[], None]
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def cut(self, seconds: float) -> None:
        """Cut it, if it does not close by itself: its writer may wait for ever for a peer that takes nothing."""
        try:
            await asyncio.wait_for(self.closed.wait(), seconds)
        except TimeoutError:
            self.abort()


@dataclass(slots=True, eq=False)
class _Connection:
    """A connection of Engine.IO, over polling requests or a WebSocket.

    Attributes:
        link: The WebSocket that it is, or is about to become.
        requests: The methods of the polling requests that are under way.
        sessions: How many it has: one that is left ends after the next one has begun.
        idle_since: When its last session ended, or it was made.
        leaving: Whether it is being ended; what still comes on it is not looked at.
    """

    link: Link | None
    requests: set[str] = field(default_factory=set)
    sessions: int = 0
    idle_since: float = field(default_factory=time.monotonic)
    leaving: bool = False


class Wire:
    """The connection manager: Engine.IO under python-socketio, with limits."""

    def __init__(self, origins: tuple[str, ...], metrics: SttMetrics, *, idle: float) -> None:
        """Make a server without handlers.

        Args:
            origins: Of web pages that may connect; `*` for all.
            metrics: Where what is dropped is counted.
            idle: Seconds that a connection may have no session.
        """
        quiet = logging.getLogger(f"{__name__}.library")
        quiet.addFilter(_faults_only)
        self.sio = socketio.AsyncServer(
            async_mode="asgi",
            async_handlers=False,  # one after the other, and awaited: the order of audio, and back-pressure
            cors_allowed_origins="*" if "*" in origins else list(origins),
            cors_credentials=False,
            http_compression=False,
            max_http_buffer_size=MAX_MESSAGE,
            serializer=Packet,
            logger=quiet,
            engineio_logger=quiet,
        )
        self._metrics = metrics
        self._idle = idle
        self._connections: dict[str, _Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._on = dict(self.sio.eio.handlers)
        self.sio.eio.on("connect", self._connect)
        self.sio.eio.on("message", self._message)
        self.sio.eio.on("disconnect", self._disconnect)

    @property
    def connected(self) -> int:
        """How many clients there are."""
        return len(self._connections)

    def waiting(self, connection: str) -> int:
        """How many packets wait for a client; 0 where there is none."""
        socket = self.sio.eio.sockets.get(connection)
        return socket.queue.qsize() if socket is not None else 0

    def most_waiting(self) -> int:
        """How many packets wait for the client where they are most."""
        return max((socket.queue.qsize() for socket in tuple(self.sio.eio.sockets.values())), default=0)

    def knows(self, connection: str) -> bool:
        """Whether there is such a connection."""
        return connection in self._connections

    def connection_of(self, link: Link) -> str:
        """The connection that is a WebSocket, or is about to become it; empty where there is none."""
        return next((connection for connection, known in self._connections.items() if known.link is link), "")

    @contextlib.contextmanager
    def polling(self, connection: str, method: str) -> Iterator[bool]:
        """Say that a polling request is under way; answers whether it may be: one of each method at a time."""
        known = self._connections.get(connection)
        if known is None or method in known.requests:
            yield False
            return
        known.requests.add(method)
        try:
            yield True
        finally:
            known.requests.discard(method)

    @contextlib.contextmanager
    def upgrading(self, connection: str, link: Link) -> Iterator[Callable[[], None] | None]:
        """Say that a connection is about to become a WebSocket, which is cut if that takes too long.

        Yields:
            What to call when it has; None where it is a WebSocket already, or on the way to another one.
        """
        known = self._connections.get(connection)
        if known is None or (known.link is not None and not known.link.closed.is_set()):
            yield None
            return
        known.link = link
        late = asyncio.get_running_loop().call_later(UPGRADE_SECONDS, link.abort)
        try:
            yield late.cancel
        finally:
            late.cancel()
            socket = self.sio.eio.sockets.get(connection)
            if socket is not None and not socket.upgraded:
                socket.upgrading = False  # which the library forgets, and then answers each poll at once with nothing

    def in_use(self, connection: str, *, used: bool) -> None:
        """Say that a session of a connection begins, or ends: those that have none for long are closed."""
        known = self._connections.get(connection)
        if known is not None:
            known.sessions += 1 if used else -1
            known.idle_since = time.monotonic()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something that nobody waits for."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def drop(self, connection: str) -> None:
        """End a connection, without waiting for it."""
        self.spawn(self.hang_up(connection), "stt-hang-up")

    async def hang_up(self, connection: str) -> None:
        """End a connection: its last packets are sent, then it is closed, and cut if that is not enough.

        The transport is closed rather than Socket.IO's namespace: only then a client connects anew by itself.
        """
        socket, known = self.sio.eio.sockets.get(connection), self._connections.get(connection)
        if socket is None or known is None or known.leaving:
            return
        known.leaving = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(socket.queue.join(), GOODBYE_SECONDS)
        await socket.close(wait=False)
        socket.queue.put_nowait(None)  # so that the writer of a WebSocket ends, and closes it
        if known.link is not None:
            await known.link.cut(GOODBYE_SECONDS)

    async def hang_up_all(self) -> None:
        """End all connections."""
        await asyncio.gather(*(self.hang_up(connection) for connection in tuple(self._connections)))

    async def sweep(self) -> None:
        """End connections that have had no session for long, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            before = time.monotonic() - self._idle
            for connection, known in tuple(self._connections.items()):
                if not known.sessions and known.idle_since < before:
                    self.drop(connection)

    async def close(self) -> None:
        """Let go of everything."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sio.shutdown()

    async def _connect(self, connection: str, environ: dict[str, Any]) -> None:
        self._connections[connection] = _Connection(environ["asgi.scope"]["state"].get("link"))
        await self._on["connect"](connection, environ)

    async def _message(self, connection: str, data: object) -> None:
        known = self._connections.get(connection)
        if known is None or known.leaving:
            return
        if self.waiting(connection) > MAX_WAITING:
            logger.info("A client takes nothing: %d packets wait for it", self.waiting(connection))
            self.drop(connection)
            return
        try:
            await self._on["message"](connection, data)
        except Malformed:
            self._metrics.dropped.labels("malformed").inc()
            logger.info("A connection is closed: what came on it is no packet that the service takes")
            self.drop(connection)

    async def _disconnect(self, connection: str, reason: str) -> None:
        known = self._connections.pop(connection, None)
        await self._on["disconnect"](connection, reason)
        if reason == self.sio.reason.CLIENT_DISCONNECT:
            # The polling request that waits would go on waiting, for the next ping.
            self.sio.eio.sockets[connection].queue.put_nowait(None)
        if known is not None and known.link is not None:
            self.spawn(known.link.cut(2 * GOODBYE_SECONDS), "stt-cut")


def _faults_only(record: logging.LogRecord) -> bool:
    """Of the library only what is a fault of ours: its other lines hold payloads, and the names of live connections."""
    return record.exc_info is not None
