"""How long the work queue takes for a thousand keys whose work is nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agora_transcription.controller.queue import WorkQueue

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

KEYS = [f"7c9e6679-7425-40de-944b-{number:012}" for number in range(1000)]


async def worked_off() -> int:
    """Add all, have them worked on, and answer how many were."""
    worked = 0

    async def work(_: str) -> None:
        nonlocal worked
        worked += 1

    queue = WorkQueue(work)
    for key in KEYS:
        queue.add(key)
    while queue.depth:
        await asyncio.sleep(0)
    return worked


async def put_off() -> WorkQueue[str]:
    """Plan all for later, once more for sooner, and forget them."""

    async def work(_: str) -> None:
        raise AssertionError("nothing is due")

    queue = WorkQueue(work, clock=lambda: 0.0)
    for when in (30.0, 10.0):
        for key in KEYS:
            queue.add_at(key, when)
    for key in KEYS:
        queue.forget(key)
    return queue


def test_add_and_work_off(benchmark: BenchmarkFixture) -> None:
    with asyncio.Runner() as runner:
        assert benchmark(lambda: runner.run(worked_off())) == len(KEYS)


def test_plan_and_forget(benchmark: BenchmarkFixture) -> None:
    with asyncio.Runner() as runner:
        assert benchmark(lambda: runner.run(put_off())).depth == 0
