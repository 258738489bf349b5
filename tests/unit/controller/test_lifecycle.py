"""When a process acts: once elected, until it is told to stop or has lost its Lease."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription.controller import lifecycle as module
from agora_transcription.controller.lifecycle import Lifecycle, cut_off, done_before

if TYPE_CHECKING:
    from collections.abc import Iterator


class Won:
    """An election that goes as the test says."""

    def __init__(self) -> None:
        self.elected = asyncio.Event()
        self.lost = asyncio.Event()
        self.good = True
        self.events: list[str] = []

    def may_act(self) -> bool:
        return self.good

    async def acquire(self) -> bool:
        await self.elected.wait()
        return True

    async def renew_loop(self) -> None:
        try:
            await self.lost.wait()
        finally:
            self.events.append("renewals ended")

    async def release(self) -> None:
        self.events.append("released")


class Ended(BaseException):
    """The process has ended."""


@pytest.fixture
def leads() -> list[float]:
    return []


@pytest.fixture(autouse=True)
def exits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No test ends the process, and none leaves its handlers or its timer behind."""
    timers: list[Any] = []

    class Timer:
        def __init__(self, seconds: float, _: object) -> None:
            timers.append(seconds)

        def start(self) -> None:
            """Never fires."""

    def leave() -> None:
        raise Ended

    monkeypatch.setattr(module, "_exit", leave)
    monkeypatch.setattr(threading, "Timer", Timer)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield timers
    for number, handler in handlers.items():
        signal.signal(number, handler)


def acts(lifecycle: Lifecycle) -> bool:
    return lifecycle.acting


def lifecycle_of(election: Won | None, leads: list[float]) -> Lifecycle:
    any_election: Any = election
    return Lifecycle(any_election, leads.append)


async def test_without_an_election_it_acts_from_the_start(leads: list[float]) -> None:
    lifecycle = lifecycle_of(None, leads)
    assert lifecycle.acting
    async with asyncio.TaskGroup() as group:
        assert await lifecycle.begin(group)
    assert lifecycle.may_call()
    assert leads == []


async def test_it_acts_once_elected_and_gives_up_the_lease_after_the_renewals(leads: list[float]) -> None:
    election = Won()
    lifecycle = lifecycle_of(election, leads)
    assert not acts(lifecycle)
    async with asyncio.TaskGroup() as group:
        beginning = group.create_task(lifecycle.begin(group))
        await asyncio.sleep(0)
        assert not beginning.done()
        election.elected.set()
        assert await beginning
        assert acts(lifecycle)
        assert leads == [0, 1]
        await asyncio.sleep(0)
        await lifecycle.end()
        await lifecycle.end()
    assert election.events == ["renewals ended", "released"], "once, and no renewal comes after it"
    assert leads == [0, 1, 0]
    assert not lifecycle.may_call()


async def test_agora_may_be_called_only_while_the_lease_is_good(leads: list[float]) -> None:
    election = Won()
    lifecycle = lifecycle_of(election, leads)
    assert lifecycle.may_call()
    election.good = False
    assert not lifecycle.may_call()


async def test_told_to_stop_while_it_waits_it_never_begins_and_releases_what_it_may_have_won(
    leads: list[float],
) -> None:
    election = Won()
    lifecycle = lifecycle_of(election, leads)
    async with asyncio.TaskGroup() as group:
        beginning = group.create_task(lifecycle.begin(group))
        await asyncio.sleep(0)
        lifecycle.stopping.set()
        election.elected.set()
        assert not await beginning
        await lifecycle.end()
    assert not lifecycle.acting
    assert election.events == ["released"]


async def test_a_lost_lease_ends_the_process(leads: list[float], caplog: pytest.LogCaptureFixture) -> None:
    election = Won()
    lifecycle = lifecycle_of(election, leads)
    election.elected.set()
    election.lost.set()
    with pytest.raises(BaseExceptionGroup) as ended:
        async with asyncio.TaskGroup() as group:
            assert await lifecycle.begin(group)
    assert ended.group_contains(Ended)
    assert "is lost: this process ends at once" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_from_the_signal_on_nothing_is_called_any_more(
    leads: list[float], exits: list[float], number: signal.Signals
) -> None:
    lifecycle = lifecycle_of(None, leads)
    lifecycle.listen()
    for _ in range(2):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await lifecycle.stopping.wait()
        await asyncio.sleep(0)
    assert not lifecycle.may_call()
    assert exits == [module.LIMIT], "the limit is set once, by the first signal"
    assert module.LIMIT < 10


class Work:
    """Goes on until it is told how to end, and takes a moment to be cut off."""

    def __init__(self) -> None:
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cut_off = False

    async def run(self) -> None:
        try:
            await self.end
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            self.cut_off = True
            raise


async def test_work_that_is_done_before_the_stop_is_said_to_be() -> None:
    work = Work()
    work.end.set_result(None)
    assert await done_before(asyncio.Event(), work.run())
    assert len(asyncio.all_tasks()) == 1, "nothing waits for the stop any more"


async def test_told_to_stop_work_has_been_cut_off_when_that_is_said() -> None:
    work, stop = Work(), asyncio.Event()
    stop.set()
    assert not await done_before(stop, work.run())
    assert work.cut_off


async def test_work_that_fails_is_not_taken_for_done() -> None:
    work = Work()
    work.end.set_exception(KeyError("groups"))
    with pytest.raises(KeyError, match="groups"):
        await done_before(asyncio.Event(), work.run())


async def test_with_who_waits_for_it_the_work_is_cut_off() -> None:
    work = Work()
    waiting = asyncio.create_task(done_before(asyncio.Event(), work.run()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cut_off


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As within libraries that turn one into a timeout, or into an answer that came at the same moment."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    lost: list[str] = []

    async def loses_one() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError as error:
                if lost:
                    raise
                lost.append(repr(error))

    task = asyncio.create_task(loses_one(), name="Loser")
    await asyncio.sleep(0)
    await asyncio.wait_for(cut_off([task]), 5)
    assert task.cancelled()
    assert len(lost) == 1
    assert "Loser has not stopped yet" in caplog.text


async def test_nothing_is_cut_off_that_has_ended() -> None:
    async def ends() -> None: ...

    task = asyncio.create_task(ends())
    await task
    await asyncio.wait_for(cut_off([task]), 5)
    await asyncio.wait_for(cut_off([]), 5)
    assert not task.cancelled()


BLOCKED = """
import asyncio, logging, os, signal
from agora_transcription.controller import lifecycle
from agora_transcription.telemetry import logs

lifecycle.LIMIT = 0.5
logs.configure("text", "info")

async def main():
    life = lifecycle.Lifecycle(None, print)
    life.listen()
    {before}
    while True:
        logging.getLogger("x").info("y" * 500)
        await asyncio.sleep(0)

asyncio.run(main())
"""
TOLD = "os.kill(os.getpid(), signal.SIGTERM)\n    await life.stopping.wait()"
FULL = "os.set_blocking(2, False)\n    os.write(2, b'y' * 2**20)\n    os.set_blocking(2, True)\n    " + TOLD


@pytest.mark.parametrize("before", [TOLD, FULL], ids=["full soon afterwards", "full already"])
def test_the_limit_holds_though_nobody_reads_the_log(before: str) -> None:
    """The loop hangs in a write to a full pipe, and has the log's lock."""
    code = BLOCKED.format(before=before)
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert select.select([process.stderr], [], [], 20)[0], "it has begun"
            assert process.wait(timeout=10) == module.FAILED
        finally:
            process.kill()
