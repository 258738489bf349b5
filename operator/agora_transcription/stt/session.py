"""One session, from its start to `session-closed`: audio in, results out, and every limit on the way.

What a client sends never waits: it is put into a buffer that is bounded, or refused. A task of the session's own hands
it to the engine, which takes it as fast as it can; another one tells the client what comes of it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from agora_transcription.stt import protocol
from agora_transcription.stt.arrivals import Arrivals
from agora_transcription.stt.endings import Ending
from agora_transcription.stt.engines.audio import seconds_of
from agora_transcription.stt.engines.base import EngineClosed, EngineFault, Kind
from agora_transcription.stt.opening import open_unless
from agora_transcription.stt.protocol import Close, Refused

if TYPE_CHECKING:
    from agora_transcription.stt.engines.base import Engine, Recognition, Result
    from agora_transcription.stt.metrics import SttMetrics

__all__ = ["Limits", "Peer", "Session"]

MAX_WAITING_PARTIALS: Final = 8
"""Packets that wait for a client, up to which it is told partial texts: the next one replaces them anyway."""

logger = logging.getLogger(__name__)


class Peer(Protocol):
    """The client's end."""

    async def tell(self, event: str, payload: dict[str, Any] | None = None) -> None:
        """Send an event; it waits in a queue for a client that is slow."""
        ...

    @property
    def waiting(self) -> int:
        """How many packets wait."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session may do what, in seconds."""

    idle: float
    length: float


class Session:
    """A transcription session; `run` is its whole life."""

    def __init__(self, peer: Peer, engine: Engine, rate: int, limits: Limits, metrics: SttMetrics) -> None:
        self.id = secrets.token_hex(16)
        self._peer = peer
        self._engine = engine
        self._rate = rate
        self._limits = limits
        self._metrics = metrics
        self._recognition: Recognition | None = None
        self._buffer: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Ending] = self._loop.create_future()
        self._over: asyncio.Future[Ending] = self._loop.create_future()
        self._timers: list[asyncio.TimerHandle] = []
        self._began = time.monotonic()
        self._arrivals = Arrivals(rate, self._began)
        self._faults = 0

    @property
    def state(self) -> str:
        """Opening, running or ending."""
        if self._ending.done():
            return "ending"
        return "opening" if self._recognition is None else "running"

    @property
    def lag(self) -> float:
        """Seconds of audio that have come and are not worked through."""
        return max(0.0, self._arrivals.seconds - (self._recognition.processed_seconds if self._recognition else 0.0))

    def hear(self, arguments: tuple[Any, ...]) -> None:
        """Take a chunk.

        Args:
            arguments: Of the event.

        Raises:
            Refused: It is discarded. Where the session cannot go on without it, it ends, and says so itself.
        """
        if self._ending.done():
            return  # The client has said stop, or is about to read that the session is closed.
        try:
            audio = protocol.read_chunk(arguments, self._rate)
            self._check_early(audio)
        except Refused as refused:
            self._metrics.dropped.labels("audio").inc()
            self._faults += 1
            if self._faults >= protocol.MAX_FAULTS:
                self._end(Ending(refused.code, "too many bad chunks", str(refused)))
                return
            raise
        if audio:
            self._keep(audio)

    def stop(self) -> None:
        """End it as the client wishes: what is pending is committed."""
        self._end(Ending(Close.NORMAL, flush=self._engine.finish_seconds))

    def drain(self, seconds: float) -> None:
        """End it because the service stops; what is pending is committed, if that takes no longer."""
        ending = Ending(Close.GOING_AWAY, "the service stops", flush=seconds)
        self._end(ending)
        self._wait_for(ending)  # of one that is ending already as well

    def fail(self, message: str, code: Close) -> None:
        """End it for something outside of it that went wrong."""
        self._end(Ending(code, message, message))

    async def run(self) -> None:
        """Live; returns when the client has been told that it is closed. Cancelled where the client has gone."""
        ended = None
        try:
            ending = await self._live()
            self._end(ending)
            if ending.error is not None:
                self._metrics.failed(ending.code)
                await self._peer.tell("session-error", protocol.error(ending.error, ending.code))
            await self._peer.tell("session-closed", protocol.closed(ending.code, ending.reason))
            ended = ending
        finally:
            for timer in self._timers:
                timer.cancel()
            self._metrics.ended(None if ended is None else ended.code)
            self._measure_work()
            self._log(ended)

    def _log(self, ended: Ending | None) -> None:
        logger.info(
            "Session %s: %s; %.1f s, %.1f s of audio",
            self.id[:8],
            "the client has gone" if ended is None else ended.said,
            time.monotonic() - self._began,
            self._arrivals.seconds,
        )

    def _check_early(self, audio: bytes) -> None:
        if self._recognition is None and self._arrivals.with_more(len(audio)) > protocol.MAX_EARLY_SECONDS:
            raise Refused(f"more than {protocol.MAX_EARLY_SECONDS:g} s of audio came before session-started")

    def _keep(self, audio: bytes) -> None:
        now = time.monotonic()
        self._arrivals.add(len(audio), now)
        self._metrics.audio_seconds.inc(seconds_of(len(audio), self._rate))
        if self.lag > protocol.MAX_BACKLOG_SECONDS:
            self._end(self._overrun(now))
            return
        self._buffer.append(audio)
        self._more.set()

    def _overrun(self, now: float) -> Ending:
        """Say whose fault it is that audio piles up."""
        if self._arrivals.ahead(now) > protocol.MAX_BACKLOG_SECONDS / 2:
            return Ending(Close.POLICY, "too fast", "audio comes faster than it was spoken")
        return Ending(Close.TRY_LATER, "overloaded", "the service cannot keep up")

    def _end(self, ending: Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)
            self._more.set()
            self._wait_for(ending)

    def _wait_for(self, ending: Ending) -> None:
        """Be over when the time has passed that the last words get; of several times the shortest counts."""

        def pass_() -> None:
            if not self._over.done():
                self._over.set_result(ending)

        if ending.flush:
            self._timers.append(self._loop.call_later(ending.flush, pass_))
        else:
            pass_()

    async def _live(self) -> Ending:
        """Open, transcribe, close; answers how it ended."""
        try:
            opened = await open_unless(self._over, self._engine, self._rate)
            if opened is None:
                return self._over.result().late
            self._recognition = opened
            try:
                await self._peer.tell("session-started")
                await self._peer.tell("transcript-message", protocol.started(self.id, self._rate, self._engine.model))
                return await self._transcribe(opened)
            finally:
                await opened.close()
        except EngineFault as fault:
            return Ending(fault.code, str(fault), str(fault), note="the engine has failed")
        except EngineClosed as other:
            wrong = None if other.code == Close.NORMAL else f"the other end has closed the session: {other}"
            return Ending(other.code, other.reason, wrong, note="the other end has closed it")
        except Exception:
            logger.exception("Session %s has failed", self.id[:8])
            return Ending(Close.FAULT, "failed", "the service has failed")

    async def _transcribe(self, recognition: Recognition) -> Ending:
        sending = asyncio.create_task(self._send(recognition), name="stt-send")
        reading = asyncio.create_task(self._read(recognition), name="stt-read")
        watching = asyncio.create_task(self._watch(), name="stt-watch")
        tasks = {sending, reading, watching}
        try:
            any_of: set[asyncio.Future[Any]] = {self._ending, sending, reading}
            await asyncio.wait(any_of, return_when=asyncio.FIRST_COMPLETED)
            if not self._ending.done():
                for task in (reading, sending):
                    if task.done():
                        task.result()
                return Ending(Close.FAULT, "engine ended", "the engine has ended the session")
            return await self._flush(sending, reading)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _flush(self, *last: asyncio.Task[None]) -> Ending:
        """Wait for the last words."""
        left: set[asyncio.Future[Any]] = set(last)
        while left and not self._over.done():
            await asyncio.wait({*left, self._over}, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in left if task.done()]:
                left.discard(task)
                task.result()
        return self._over.result().late if left else self._ending.result()

    async def _send(self, recognition: Recognition) -> None:
        """Hand on what has come, until the session ends and nothing is left."""
        while True:
            while self._buffer:
                await recognition.send(self._buffer.popleft())
            if self._ending.done():
                break
            self._more.clear()
            await self._more.wait()
        await recognition.finish()

    async def _read(self, recognition: Recognition) -> None:
        async for result in recognition.results():
            await self._say(result)

    async def _say(self, result: Result) -> None:
        if result.kind is Kind.PARTIAL and self._peer.waiting > MAX_WAITING_PARTIALS:
            self._metrics.dropped.labels("partial").inc()
            return
        self._measure(result)
        await self._peer.tell("transcript-message", protocol.transcript(result))

    def _measure(self, result: Result) -> None:
        if result.heard_at is None or result.kind is Kind.TIMED:
            return
        came = self._arrivals.came_at(result.heard_at)
        if came is not None:
            partial = result.kind is Kind.PARTIAL
            seconds = self._metrics.partial_seconds if partial else self._metrics.commit_seconds
            seconds.observe(time.monotonic() - came)

    def _measure_work(self) -> None:
        done = self._recognition
        if done is not None and done.busy_seconds and done.processed_seconds:
            self._metrics.real_time_factor.observe(done.busy_seconds / done.processed_seconds)

    async def _watch(self) -> None:
        """End it when no audio has come for too long, or when it has lasted long enough."""
        over = self._began + self._limits.length
        while True:
            now = time.monotonic()
            idle = self._arrivals.last_at + self._limits.idle
            if now >= over:
                said = f"a session may last {self._limits.length:g} s"
                self._end(Ending(Close.POLICY, "session limit", said, self._engine.finish_seconds))
                return
            if now >= idle:
                said = f"no audio has come for {self._limits.idle:g} s"
                self._end(Ending(Close.POLICY, "idle", said, self._engine.finish_seconds))
                return
            await asyncio.sleep(min(over, idle) - now)
