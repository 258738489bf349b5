"""The work queue: one entry and one worker per key, due times, and a close that waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agora_transcription.controller.queue import PANIC_RETRY, WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest


class Worker:
    """Works on a key until it is let go on."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.active: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.during: Callable[[str], None] = lambda _: None

    async def __call__(self, key: str) -> None:
        self.runs[key] += 1
        self.order.append(key)
        self.active[key] += 1
        self.most[key] = max(self.most[key], self.active[key])
        try:
            self.during(key)
            await self.gate.wait()
        finally:
            self.active[key] -= 1


class Now:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is true."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def turns(number: int = 20) -> None:
    """Let the loop run, for what must not happen."""
    for _ in range(number):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(queue: WorkQueue[str]) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_many_additions_before_the_work_make_one_run() -> None:
    worker = Worker()
    queue = WorkQueue(worker)
    for _ in range(5):
        queue.add("a")
    await until(lambda: queue.depth == 0)
    assert worker.runs["a"] == 1


async def test_additions_during_the_work_make_one_more_run_and_never_two_at_a_time() -> None:
    worker = Worker()
    queue = WorkQueue(worker)
    worker.gate.clear()
    queue.add("a")
    await until(lambda: worker.runs["a"] == 1)
    for _ in range(5):
        queue.add("a")
        await turns()
    assert worker.runs["a"] == 1
    worker.gate.set()
    await until(lambda: queue.depth == 0)
    assert worker.runs["a"] == 2
    assert worker.most["a"] == 1


async def test_keys_do_not_wait_for_each_other() -> None:
    worker = Worker()
    queue = WorkQueue(worker)
    worker.gate.clear()
    for key in "abc":
        queue.add(key)
    await until(lambda: len(worker.runs) == 3)
    assert queue.depth == 3
    worker.gate.set()
    await until(lambda: queue.depth == 0)


async def test_a_worker_is_told_that_its_key_has_become_dirty() -> None:
    worker = Worker()
    queue = WorkQueue(worker)
    worker.gate.clear()
    queue.add("a")
    await until(lambda: worker.runs["a"] == 1)
    dirty = queue.dirty("a")
    assert not dirty.is_set()
    queue.add("a")
    assert dirty.is_set()
    worker.gate.set()
    await until(lambda: queue.depth == 0)


async def test_a_key_comes_when_it_is_due_and_not_before() -> None:
    worker, now = Worker(), Now()
    queue = WorkQueue(worker, clock=now)
    async with running(queue):
        queue.add_at("a", 10)
        now.seconds = 9.99
        queue.add_at("b", 9.99)
        await until(lambda: worker.runs["b"] == 1)
        assert worker.runs["a"] == 0
        now.seconds = 10
        queue.add_at("c", 10)  # has it look again
        await until(lambda: worker.runs["a"] == 1)


async def test_the_earlier_of_two_times_counts() -> None:
    worker, now = Worker(), Now()
    queue = WorkQueue(worker, clock=now)
    async with running(queue):
        queue.add_at("a", 10)
        queue.add_at("a", 5)
        queue.add_at("a", 7)
        now.seconds = 5
        queue.add_at("b", 5)
        await until(lambda: worker.runs["a"] == 1)
        now.seconds = 20
        queue.add_at("b", 20)
        await until(lambda: worker.runs["b"] == 2)
        await turns()
    assert worker.runs["a"] == 1


async def test_an_addition_for_now_replaces_a_later_time() -> None:
    worker, now = Worker(), Now()
    queue = WorkQueue(worker, clock=now)
    async with running(queue):
        queue.add_at("a", 10)
        queue.add("a")
        await until(lambda: worker.runs["a"] == 1)
        now.seconds = 10
        queue.add_at("b", 10)
        await until(lambda: worker.runs["b"] == 1)
        await turns()
    assert worker.runs["a"] == 1


async def test_a_forgotten_key_is_not_due_any_more() -> None:
    worker, now = Worker(), Now()
    queue = WorkQueue(worker, clock=now)
    async with running(queue):
        queue.add_at("a", 10)
        queue.forget("a")
        now.seconds = 10
        queue.add_at("b", 10)
        await until(lambda: worker.runs["b"] == 1)
        await turns()
    assert worker.runs["a"] == 0


async def test_real_time_passes_too() -> None:
    worker = Worker()
    queue = WorkQueue(worker, clock=asyncio.get_running_loop().time)
    async with running(queue), asyncio.timeout(5):
        queue.add_at("a", asyncio.get_running_loop().time() + 0.01)
        while not worker.runs["a"]:
            await asyncio.sleep(0.001)


async def test_a_worker_that_raises_is_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    now = Now()
    runs: list[str] = []

    async def work(key: str) -> None:
        runs.append(key)
        if runs == ["a"]:
            raise RuntimeError("unexpected")

    queue = WorkQueue(work, clock=now)
    async with running(queue):
        queue.add("a")
        await until(lambda: queue.retries == 1)
        assert queue.depth == 0
        assert "unexpectedly" in caplog.text
        now.seconds = PANIC_RETRY
        queue.add_at("b", PANIC_RETRY)
        await until(lambda: runs.count("a") == 2)


async def test_close_waits_for_what_is_being_worked_on_and_takes_nothing_more() -> None:
    worker = Worker()
    queue = WorkQueue(worker)
    worker.gate.clear()
    queue.add("a")
    await until(lambda: worker.runs["a"] == 1)
    queue.add("a")
    closing = asyncio.create_task(queue.close(5))
    await turns()
    queue.add("b")
    assert not closing.done()
    worker.gate.set()
    await closing
    assert worker.order == ["a"]


async def test_close_cancels_what_takes_too_long() -> None:
    worker = Worker()
    queue = WorkQueue(worker)
    worker.gate.clear()
    queue.add("a")
    await until(lambda: worker.runs["a"] == 1)
    await asyncio.wait_for(queue.close(0.01), 5)
    assert worker.active["a"] == 0
    assert queue.depth == 0


async def test_a_nudge_has_those_start_over_that_wait_for_what_may_be_needless_and_no_others() -> None:
    gate, runs = asyncio.Event(), Counter[str]()

    async def work(key: str) -> None:
        runs[key] += 1
        if key == "looks":
            with queue.parked(key, dispensable=True):
                await queue.dirty(key).wait() if runs[key] == 1 else None
        elif key == "waits":
            with queue.parked(key):
                await gate.wait()
        else:
            await gate.wait()

    queue: WorkQueue[str] = WorkQueue(work)
    for key in ("looks", "waits", "acts"):
        queue.add(key)
    await turns()
    for key in ("looks", "waits", "acts", "rests"):
        queue.nudge(key)
    gate.set()
    await until(lambda: queue.depth == 0)
    assert runs == {"looks": 2, "waits": 1, "acts": 1}


async def test_close_does_not_wait_for_those_that_wait_for_their_turn() -> None:
    never = asyncio.Event()
    ended: list[str] = []

    async def work(key: str) -> None:
        try:
            if key == "acts":
                await gate.wait()
            else:
                with queue.parked(key):
                    await never.wait()
        finally:
            ended.append(key)

    gate = asyncio.Event()
    queue: WorkQueue[str] = WorkQueue(work)
    for key in ("waits", "acts", "waits too"):
        queue.add(key)
    await turns()
    closing = asyncio.create_task(queue.close(grace=60))
    await until(lambda: len(ended) == 2)
    assert sorted(ended) == ["waits", "waits too"]
    assert not closing.done(), "what acts has its grace"
    gate.set()
    await asyncio.wait_for(closing, 5)
    assert queue.depth == 0


async def test_close_begins_nothing_for_those_that_wait() -> None:
    begun: list[str] = []
    slot = asyncio.Semaphore(1)
    gate = asyncio.Event()

    async def work(key: str) -> None:
        with queue.parked(key):
            await slot.acquire()
        begun.append(key)
        try:
            await gate.wait()
        finally:
            slot.release()

    queue: WorkQueue[str] = WorkQueue(work)
    queue.add("first")
    queue.add("second")
    await until(lambda: begun == ["first"])
    closing = asyncio.create_task(queue.close(grace=60))
    await turns()
    gate.set()
    await asyncio.wait_for(closing, 5)
    assert begun == ["first"]


async def test_who_begins_to_wait_after_the_close_need_not() -> None:
    gate, begun = asyncio.Event(), list[str]()

    async def work(key: str) -> None:
        await gate.wait()
        with queue.parked(key):
            begun.append(key)

    queue: WorkQueue[str] = WorkQueue(work)
    queue.add("reads")
    await turns()
    closing = asyncio.create_task(queue.close(grace=60))
    await turns()
    gate.set()
    await asyncio.wait_for(closing, 5)
    assert (begun, queue.depth, queue.retries) == ([], 0, 0)


async def test_an_idle_queue_closes_at_once() -> None:
    await asyncio.wait_for(WorkQueue(Worker()).close(60), 1)


async def test_age_and_depth() -> None:
    worker, now = Worker(), Now()
    queue = WorkQueue(worker, clock=now)
    assert (queue.depth, queue.oldest(), queue.stuck()) == (0, 0, 0)
    worker.gate.clear()
    queue.add("a")
    await until(lambda: worker.runs["a"] == 1)
    now.seconds = 30
    queue.add("b")
    now.seconds = 40
    assert (queue.depth, queue.oldest(), queue.stuck()) == (2, 40, 40)
    with queue.parked("a"):
        assert queue.oldest() == 40
        assert queue.stuck() == 10
    assert queue.stuck() == 10
    worker.gate.set()
    await until(lambda: queue.depth == 0)
