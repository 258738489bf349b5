"""A worker process as its parent sees it: started, watched, and started again when it dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Final, Protocol, cast

from agora_transcription.stt.engines.base import EngineFault
from agora_transcription.stt.engines.frames import Frame, FrameError, FrameReader, FrameType, pack

if TYPE_CHECKING:
    from asyncio.subprocess import Process

__all__ = ["WorkerProcess"]

LOAD_SECONDS: Final = 120.0
"""How long the models may take to load, on a slow disk."""

END_SECONDS: Final = 2.0
"""How long a worker has to end by itself once its socket is closed."""

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
"""Seconds before a worker is started again, each pause twice the one before it, until one was ready."""

STDERR: Final = 2

ENVIRONMENT: Final = {"MOONSHINE_ORT_SINGLE_THREAD": "1", "OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
"""A worker has one thread. The libraries would start one for each core that they see, also those that its container may
not use, and those wait for each other by spinning: two workers on two cores were eight times as slow with them."""

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """A session, for the worker that it is on."""

    def take(self, frame: Frame) -> None:
        """Take what the worker has said."""
        ...

    def end(self, fault: EngineFault | None = None) -> None:
        """Nothing more is heard."""
        ...


class WorkerProcess:
    """One of an engine's workers: the same one, however often its process is started.

    Args:
        engine: What it loads.
        timestamps: Whether the times of words are wanted.
        hang_seconds: How long it may say nothing before it is ended.

    Attributes:
        sessions: The sessions that are on it, by their numbers.
    """

    def __init__(self, engine: str, *, timestamps: bool, hang_seconds: float) -> None:
        self.sessions: dict[int, Listener] = {}
        self._arguments = (engine, "words" if timestamps else "none")
        self._hang_seconds = hang_seconds
        self._connection: _Connection | None = None
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether sessions can be opened on it."""
        return self._connection is not None and self._connection.ready.done() and not self._connection.lost.done()

    @property
    def pid(self) -> int | None:
        """The process that there is now."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            EngineFault: It will not be: it says why, or dies.
        """
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it, at once or in some seconds; its sessions fail."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self._end("the engine is stopped")

    def send(self, frame: bytes) -> None:
        """Send it a frame; to one that is gone, none."""
        if self._connection:
            self._connection.send(frame)

    async def _keep(self) -> None:
        """See to it that there is one."""
        pause = FIRST_PAUSE
        while True:
            try:
                if not self.ready:
                    await self._launch()
                pause = FIRST_PAUSE
                reason = await self._watch()
                logger.error("Worker %s has ended: %s; %d sessions fail", self.pid, reason, len(self.sessions))
                await self._end("the engine's worker has failed")
            except (EngineFault, OSError) as error:
                logger.error("A worker cannot be started: %s", error)  # noqa: TRY400 - the message says it all
            except Exception:
                # Whatever it is, nobody else would ever start it again.
                logger.exception("A worker cannot be kept")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    "agora_transcription.stt.engines.worker",
                    *self._arguments,
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    # Native code prints; the log is where that belongs.
                    stdout=STDERR,
                    env={**os.environ, **ENVIRONMENT},
                    pass_fds=[theirs.fileno()],
                    # A Ctrl-C in the terminal is for the parent, which then lets its sessions end.
                    start_new_session=True,
                )
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(lambda: _Connection(self.sessions), sock=ours)
        except BaseException:
            ours.close()
            raise
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await self._connection.decided.wait()
        except TimeoutError:
            self._connection.drop("its models are not loaded in time")
        except BaseException:
            await self._end("the engine is stopped")
            raise
        if not self.ready:
            reason = await self._connection.lost
            await self._end(reason)
            raise EngineFault(reason)

    async def _watch(self) -> str:
        """Ask it again and again whether it is there, until it is not; answers what is wrong with it."""
        assert self._connection is not None  # noqa: S101 - it is ready
        connection = self._connection
        while not connection.lost.done():
            connection.send(pack(FrameType.PING))
            # What has come in while this process itself was stopped is read before the time is up.
            await asyncio.wait([connection.lost], timeout=self._hang_seconds / 4)
            if connection.silent_seconds > self._hang_seconds:
                connection.drop(f"it has said nothing for {connection.silent_seconds:.0f} s")
        return await connection.lost

    async def _end(self, reason: str) -> None:
        """End the process, whatever it does, and fail its sessions."""
        if self._connection:
            self._connection.drop(reason)
        for session in list(self.sessions.values()):
            session.end(EngineFault(reason))
        if self._process is None:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class _Connection(asyncio.Protocol):
    """The socket to a worker: what it says goes to the sessions."""

    def __init__(self, sessions: dict[int, Listener]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.decided = asyncio.Event()
        """Whether it is ready, or lost."""
        self._sessions = sessions
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._loop = loop
        self._last = loop.time()

    @property
    def silent_seconds(self) -> float:
        """How long nothing has come."""
        return self._loop.time() - self._last

    def send(self, frame: bytes) -> None:
        # Never waits: the sessions' windows bound what can be under way.
        if self._transport and not self._transport.is_closing():
            self._transport.write(frame)

    def drop(self, reason: str) -> None:
        """Close it; what is under way is lost."""
        self._lose(reason)
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: the transports of uvloop only behave like asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._last = self._loop.time()
        try:
            for frame in self._reader.feed(data):
                self._take(frame)
        except FrameError as error:
            self.drop(f"it does not speak the protocol: {error}")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as declared there
        self._lose("it has died")

    def _take(self, frame: Frame) -> None:
        if frame.type == FrameType.READY and not self.ready.done():
            self.ready.set_result(None)
            self.decided.set()
        elif frame.type == FrameType.FAULT and frame.session == 0:
            self.drop(frame.payload.decode())
        elif frame.type == FrameType.LOG:
            logger.error("Worker: %s", frame.payload.decode())
        elif session := self._sessions.get(frame.session):
            session.take(frame)

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
            self.decided.set()
