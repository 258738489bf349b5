"""How a session ends, whatever it is doing when it has to."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription.stt.engines.base import EngineClosed, EngineFault
from agora_transcription.stt.metrics import SttMetrics
from agora_transcription.stt.session import Limits, Session
from support.scripted import Script, ScriptedEngine, ScriptedRecognition, chunk, word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Peer:
    """A client that remembers what it was told."""

    waiting = 0

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any] | None]] = []
        self.started = asyncio.Event()

    async def tell(self, event: str, payload: dict[str, Any] | None = None) -> None:
        self.told.append((event, payload))
        if event == "session-started":
            self.started.set()

    @property
    def texts(self) -> list[str]:
        """What was committed."""
        return [
            payload["text"]
            for _, payload in self.told
            if payload and payload.get("message_type") == "committed_transcript"
        ]

    @property
    def end(self) -> list[dict[str, Any] | None]:
        """Errors, and how it was closed."""
        return [payload for event, payload in self.told if event in {"session-error", "session-closed"}]


class Slow(ScriptedEngine):
    """Whose last words take longer than they may."""

    def __init__(self, finish_seconds: float) -> None:
        super().__init__(Script(finishing=60))
        self.finish_seconds = finish_seconds


class Running:
    """A session that runs."""

    def __init__(self, engine: ScriptedEngine, limits: Limits) -> None:
        self.engine, self.peer, self.metrics = engine, Peer(), SttMetrics()
        self.session = Session(self.peer, engine, 16000, limits, self.metrics)
        self.task = asyncio.create_task(self.session.run())

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self.session.hear((chunk(word(number)),))

    async def over(self) -> list[dict[str, Any] | None]:
        """Wait for its end."""
        await asyncio.wait_for(self.task, 5)
        return self.peer.end

    def closed(self, code: str) -> float | None:
        return self.metrics.registry.get_sample_value("agora_transcription_stt_sessions_closed_total", {"code": code})


@asynccontextmanager
async def running(
    engine: ScriptedEngine | None = None, limits: Limits | None = None, **script: Any
) -> AsyncIterator[Running]:
    run = Running(engine or ScriptedEngine(Script(**script)), limits or Limits(60, 60))
    try:
        yield run
    finally:
        run.task.cancel()
        with suppress(asyncio.CancelledError):
            await run.task
        assert not run.engine.open_now


async def test_a_stop_before_it_has_started_commits_what_is_pending() -> None:
    async with running(opening=0.1) as run:
        run.say(1, 2)
        run.session.stop()
        assert await run.over() == [{"code": 1000, "reason": ""}]
        assert run.peer.texts == ["w1 w2"]


async def test_a_drain_before_it_has_started_commits_what_is_pending() -> None:
    async with running(opening=0.1) as run:
        run.say(1)
        run.session.drain(5)
        assert await run.over() == [{"code": 1001, "reason": "the service stops"}]
        assert run.peer.texts == ["w1"]


async def test_a_start_that_takes_longer_than_last_words_get_is_an_error() -> None:
    async with running(opening=60) as run:
        run.session.drain(0.05)
        late = "the last words have not come in 0.05 s"
        assert await run.over() == [{"error": late, "code": 1001}, {"code": 1001, "reason": "the service stops"}]


@pytest.mark.parametrize("late", [True, False])
async def test_a_drain_bounds_a_stop_that_is_under_way(late: bool) -> None:  # noqa: FBT001 - a case
    async with running(finishing=60 if late else 0.1) as run:
        await run.peer.started.wait()
        run.say(1)
        run.session.stop()
        run.session.drain(0.2 if late else 5)
        end = await run.over()
        if late:
            said = "the last words have not come in 0.2 s"
            assert end == [{"error": said, "code": 1001}, {"code": 1001, "reason": "the service stops"}]
        else:
            assert end == [{"code": 1000, "reason": ""}]
            assert run.peer.texts == ["w1"]


async def test_a_drain_does_not_lengthen_a_stop() -> None:
    async with running(Slow(0.05)) as run:
        await run.peer.started.wait()
        run.session.stop()
        run.session.drain(60)
        late = "the last words have not come in 0.05 s"
        assert await run.over() == [{"error": late, "code": 1011}, {"code": 1011, "reason": late}]


@pytest.mark.parametrize(("idle", "length"), [(0.05, 60), (60, 0.05)])
async def test_limits_wait_for_the_last_words_as_long_as_a_stop(idle: float, length: float) -> None:
    async with running(Slow(0.1), limits=Limits(idle, length)) as run:
        error, closed = await run.over()
        assert error == {"error": "the last words have not come in 0.1 s", "code": 1008}
        assert closed is not None
        assert closed["code"] == 1008


class Failing(ScriptedRecognition):
    """Fails to be read while it finishes."""

    async def finish(self) -> None:
        self._results.put_nowait(EngineFault("it has failed at the end"))
        await asyncio.sleep(60)


class FailingEngine(ScriptedEngine):
    async def open(self, sample_rate: int) -> ScriptedRecognition:
        recognition = Failing(self, sample_rate)
        self.open_now.add(recognition)
        return recognition


async def test_what_fails_while_it_finishes_is_said_at_once() -> None:
    async with running(FailingEngine(Script())) as run:
        await run.peer.started.wait()
        began = time.monotonic()
        run.session.stop()
        fault = "it has failed at the end"
        assert await run.over() == [{"error": fault, "code": 1011}, {"code": 1011, "reason": fault}]
        assert time.monotonic() - began < 5


class Odd(Failing):
    """Closes as nobody should."""

    async def finish(self) -> None:
        self._results.put_nowait(EngineClosed(4321, "what somebody else wrote"))


async def test_codes_of_somebody_else_are_passed_on_and_counted_as_others(caplog: pytest.LogCaptureFixture) -> None:
    class Engine(FailingEngine):
        async def open(self, sample_rate: int) -> ScriptedRecognition:
            return Odd(self, sample_rate)

    caplog.set_level("INFO")
    async with running(Engine(Script())) as run:
        await run.peer.started.wait()
        run.session.stop()
        assert (await run.over())[-1] == {"code": 4321, "reason": "what somebody else wrote"}
        assert (run.closed("other"), run.closed("4321")) == (1, None)
    assert "4321 (the other end has closed it)" in caplog.text
    assert "somebody else" not in caplog.text


async def test_who_has_gone_is_logged_as_that(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with running() as run:
        await run.peer.started.wait()
        run.task.cancel()
        with suppress(asyncio.CancelledError):
            await run.task
        assert run.closed("0") == 1
    assert "the client has gone" in caplog.text


@pytest.mark.parametrize(("speed", "sum_"), [(0.5, 0.5), (0.0, 0.0)], ids=["an engine here", "a relay"])
async def test_how_much_work_a_second_of_audio_was(speed: float, sum_: float) -> None:
    async with running(speed=speed) as run:
        run.say(1, 2)
        run.session.stop()
        await run.over()
        value = run.metrics.registry.get_sample_value
        assert value("agora_transcription_stt_real_time_factor_sum") == pytest.approx(sum_)
        assert value("agora_transcription_stt_real_time_factor_count") == (1 if speed else 0)


async def test_no_timer_outlives_it() -> None:
    async with running() as run:
        await run.peer.started.wait()
        run.session.stop()
        run.session.drain(60)
        await run.over()
        assert all(timer.cancelled() for timer in run.session._timers)
