"""Kubernetes events: posted behind the work's back, and never waited for longer than agreed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from agora_transcription.api import Reason
from agora_transcription.controller.events import BACKLOG, BURST, EventPoster
from agora_transcription.controller.store import StoreError
from unit.controller.builders import task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.api import Metadata
    from agora_transcription.controller.store import Store


class Slow:
    """A store that takes events while its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.reasons: list[str] = []
        self.fails = False

    async def event(self, about: Metadata, *, warning: bool, reason: str, message: str, now: str) -> None:  # noqa: ARG002 - the store's
        await self.gate.wait()
        if self.fails:
            self.fails = False
            raise StoreError("create event", 403, "the namespace is being terminated")
        self.reasons.append(reason)


@pytest.fixture
def store() -> Slow:
    return Slow()


@asynccontextmanager
async def posting(store: Slow) -> AsyncIterator[EventPoster]:
    poster = EventPoster(cast("Store", store), clock=lambda: 1000.0)  # time stands still: no pace is ever caught up
    running = asyncio.create_task(poster.run())
    try:
        yield poster
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_the_last_events_are_waited_for(store: Slow) -> None:
    async with posting(store) as poster:
        poster.ended(task_of(), Reason.STOPPED, "")
        poster.ended(task_of(), Reason.ABANDONED, "", warning=True)
        draining = asyncio.create_task(poster.drain(60))
        await asyncio.sleep(0)
        assert not draining.done()
        store.gate.set()
        await asyncio.wait_for(draining, 5)
        assert store.reasons == ["Abandoned", "Stopped"], "warnings first"


async def test_an_api_server_that_does_not_answer_is_waited_for_only_so_long(store: Slow) -> None:
    async with posting(store) as poster:
        poster.ended(task_of(), Reason.STOPPED, "")
        async with asyncio.timeout(5):
            await poster.drain(0.01)
    assert store.reasons == []


async def test_without_events_there_is_nothing_to_wait_for(store: Slow) -> None:
    async with posting(store) as poster, asyncio.timeout(5):
        await poster.drain(60)


async def test_an_event_that_is_refused_does_not_stop_the_next(store: Slow) -> None:
    store.fails = True
    store.gate.set()
    async with posting(store) as poster:
        poster.ended(task_of(), Reason.STOPPED, "")
        poster.ended(task_of(), Reason.ORPHANED, "")
        async with asyncio.timeout(5):
            await poster.drain(60)
    assert store.reasons == ["Orphaned"]


async def test_a_burst_is_posted_at_once_and_the_rest_at_a_pace(store: Slow) -> None:
    """Ten more than the burst take 0.05 + 0.1 + ... + 0.5 s by a clock that stands still; the end waits for none."""
    store.gate.set()
    async with posting(store) as poster:
        for _ in range(BURST + 10):
            poster.ended(task_of(), Reason.STOPPED, "")
        async with asyncio.timeout(5):
            while len(store.reasons) < BURST:
                await asyncio.sleep(0)
            assert len(store.reasons) == BURST
            await poster.drain(60)
        assert len(store.reasons) == BURST + 10


async def test_a_poster_that_hurries_can_be_cut_off(store: Slow) -> None:
    store.gate.set()
    poster = EventPoster(cast("Store", store))
    running = asyncio.create_task(poster.run())
    await poster.drain(1)
    for _ in range(BACKLOG):
        poster.ended(task_of(), Reason.STOPPED, "")
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running], timeout=5)
    assert running.cancelled()


async def test_too_many_are_told_of_once(store: Slow, caplog: pytest.LogCaptureFixture) -> None:
    """Also while they come as fast as they are posted."""
    poster = EventPoster(cast("Store", store))

    def ended(times: int) -> None:
        for _ in range(times):
            poster.ended(task_of(), Reason.STOPPED, "")

    ended(BACKLOG + 1)
    store.gate.set()
    running = asyncio.create_task(poster.run())
    async with asyncio.timeout(30):
        while len(store.reasons) < BURST:
            await asyncio.sleep(0)
        ended(BURST + 1)
        assert caplog.messages == ["5000 events wait to be posted: until they are fewer, some are dropped"]
        await poster.drain(30)
        store.gate.clear()
        ended(BACKLOG + 2)
    running.cancel()
    assert len(caplog.messages) == 2, "that was another time"


async def test_a_warning_is_dropped_after_all_others(store: Slow) -> None:
    """It may be all that is left to tell of an object that is gone."""
    poster = EventPoster(cast("Store", store))
    for _ in range(BACKLOG):
        poster.ended(task_of(), Reason.STOPPED, "")
    poster.ended(task_of(), Reason.ABANDONED, "", warning=True)
    store.gate.set()
    running = asyncio.create_task(poster.run())
    async with asyncio.timeout(30):
        await poster.drain(30)
    running.cancel()
    assert store.reasons[0] == "Abandoned"
    assert len(store.reasons) == BACKLOG
