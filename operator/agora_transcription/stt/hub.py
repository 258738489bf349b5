"""The events of Socket.IO, and the sessions that they begin, feed and end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.stt import protocol
from agora_transcription.stt.metrics import STATES
from agora_transcription.stt.protocol import Close, Refused
from agora_transcription.stt.session import Limits, Session
from agora_transcription.stt.wire import MAX_WAITING, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Engine
    from agora_transcription.stt.metrics import SttMetrics

__all__ = ["Hub"]

IDLE_SECONDS: Final = 60.0
"""How long a connection may have no session."""

LAST_SECONDS: Final = 2.0
"""How long the events after a session's last words may take when the service stops."""

NAMESPACE: Final = "/"

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Client:
    """A client, as a session sees it.

    Attributes:
        sid: Socket.IO's name of it.
        connection: Engine.IO's name of it.
        told: Whether it knows that it has no session.
    """

    sid: str
    connection: str
    wire: Wire
    session: Session | None = None
    task: asyncio.Task[None] | None = None
    told: bool = False

    @property
    def waiting(self) -> int:
        return self.wire.waiting(self.connection)

    async def tell(self, event: str, payload: dict[str, Any] | None = None) -> None:
        if self.waiting > MAX_WAITING:
            self.wire.drop(self.connection)
            return
        await self.wire.sio.emit(event, payload, to=self.sid)


class Hub:
    """The session manager: all clients and sessions of a service."""

    def __init__(self, settings: SttSettings, engine: Engine, metrics: SttMetrics) -> None:
        self.max_sessions = settings.max_sessions or engine.capacity
        self.draining = False
        self.wire = Wire(settings.allow_origin, metrics, idle=IDLE_SECONDS)
        self._limits = Limits(settings.idle_timeout, settings.session_limit)
        self._engine = engine
        self._metrics = metrics
        self._clients: dict[str, _Client] = {}
        self._running: dict[Session, asyncio.Task[None]] = {}
        for event, handler in (
            ("connect", self._connect),
            ("disconnect", self._disconnect),
            ("start-session", self._start),
            ("audio-chunk", self._hear),
            ("stop-session", self._stop),
        ):
            self.wire.sio.on(event, handler)
        metrics.watch(self._lag, self.wire.most_waiting, lambda: self.wire.connected)
        for state in STATES:
            metrics.sessions.labels(state).set_function(self._counter(state))

    async def overflow(self, connection: str, message: str) -> bool:
        """Say that more has come at once than is taken, of which nothing was acted on; a session ends for it.

        Args:
            connection: Where.
            message: What may come at once.

        Returns:
            Whether there is anybody who could be told.
        """
        self._metrics.dropped.labels("batch").inc()
        client = next((each for each in self._clients.values() if each.connection == connection), None)
        if client is None:
            return False
        if client.session is not None:
            client.session.fail(message, Close.TOO_BIG)
        else:
            await self._complain(client, Refused(message, Close.TOO_BIG))
        return True

    async def drain(self, seconds: float) -> None:
        """Let nobody in any more, end the sessions with their last words, and then the connections.

        Args:
            seconds: That a session's last words may take.
        """
        self.draining = True
        logger.info("Ends %d sessions", len(self._running))
        for session in tuple(self._running):
            session.drain(seconds)
        if self._running:
            await asyncio.wait(tuple(self._running.values()), timeout=seconds + LAST_SECONDS)
        await self.wire.hang_up_all()

    async def close(self) -> None:
        """Let go of everything."""
        for task in tuple(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self.wire.close()

    async def _connect(self, sid: str, *_: object) -> None:
        connection = self.wire.sio.manager.eio_sid_from_sid(sid, NAMESPACE)
        self._clients[sid] = _Client(sid, connection, self.wire)

    async def _disconnect(self, sid: str, *_: object) -> None:
        client = self._clients.pop(sid, None)
        if client is not None and client.task is not None:
            client.task.cancel()

    async def _start(self, sid: str, *arguments: Any) -> None:  # noqa: ANN401 - JSON is anything
        client = self._clients[sid]
        if client.session is not None:
            await self._complain(client, Refused("a session is running"))
            return
        try:
            rate = protocol.read_start(arguments)
        except Refused as refused:
            await self._complain(client, refused)
            return
        reason, full = self._full()
        if reason:
            self._metrics.rejected.labels(reason).inc()
            await self._complain(client, Refused(full, Close.TRY_LATER))
            await client.tell("session-closed", protocol.closed(Close.TRY_LATER, full))
            return
        session = Session(client, self._engine, rate, self._limits, self._metrics)
        client.session, client.told = session, False
        client.task = self._running[session] = asyncio.create_task(session.run(), name="stt-session")
        # A task that is cancelled before its first step runs no `finally`.
        client.task.add_done_callback(lambda _: self._ended(client, session))
        self.wire.in_use(client.connection, used=True)

    def _full(self) -> tuple[str, str]:
        """Why there is no room for a session, as a label and for the client; empty where there is."""
        if self.draining:
            return "draining", "the service stops"
        if len(self._running) >= self.max_sessions:
            return "capacity", f"no room: {self.max_sessions} sessions are running"
        if self._engine.check() is not None:
            return "engine", "the engine is not ready"
        return "", ""

    def _ended(self, client: _Client, session: Session) -> None:
        del self._running[session]
        client.session = client.task = None
        self.wire.in_use(client.connection, used=False)

    async def _hear(self, sid: str, *arguments: Any) -> None:  # noqa: ANN401 - JSON is anything
        client = self._clients[sid]
        if client.session is None:
            self._metrics.dropped.labels("audio").inc()
            await self._no_session(client)
            return
        try:
            client.session.hear(arguments)
        except Refused as refused:
            await self._complain(client, refused)

    async def _stop(self, sid: str, *_: object) -> None:
        client = self._clients[sid]
        if client.session is None:
            await self._no_session(client)
        else:
            client.session.stop()

    async def _no_session(self, client: _Client) -> None:
        """Say it once: a client may have a second of audio under way when its session ends."""
        if not client.told:
            client.told = True
            await self._complain(client, Refused("no session is running"))

    async def _complain(self, client: _Client, refused: Refused) -> None:
        self._metrics.failed(refused.code)
        await client.tell("session-error", protocol.error(str(refused), refused.code))

    def _lag(self) -> float:
        return max((session.lag for session in tuple(self._running)), default=0.0)

    def _counter(self, state: str) -> Callable[[], float]:
        return lambda: sum(session.state == state for session in tuple(self._running))
