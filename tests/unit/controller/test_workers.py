"""Many objects and few workers while Agora takes its time: who waits is not stuck, and is not called out of date."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from agora_transcription import agora
from agora_transcription.agora import Dialect, Observation, State
from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.calls import Caller
from agora_transcription.controller.credentials import CredentialStore
from agora_transcription.controller.queue import WorkQueue
from agora_transcription.controller.reconciler import Reconciler, Services
from agora_transcription.controller.store import Secret
from unit.controller.builders import SECRET, Clock, body_of
from unit.controller.kubernetes_model import METRICS, Told, merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_transcription.api import TranscriptionTask
    from agora_transcription.controller.events import EventPoster
    from agora_transcription.controller.store import Store

CALL_SECONDS = 15.0
"""How long each call takes here: as long as the client waits for an answer."""


class SlowAgora:
    """V7; a call ends when it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    def dialect(self, _: Dialect) -> SlowAgora:
        return self

    async def start(self, _: agora.Account, request: agora.StartRequest, __: object) -> Observation:
        name = request.name
        self.begun.append(name)
        end = self.ends[name] = asyncio.Event()
        await end.wait()
        del self.ends[name]
        return Observation(f"agora-of-{name}", "RUNNING", State.ACTIVE)

    async def query(self, *_: object) -> NoReturn:
        raise AssertionError("nothing is to be looked at yet")

    def let_go(self) -> None:
        """All calls that are under way end."""
        for end in self.ends.values():
            end.set()


class Crowd:
    """Objects, a store for their statuses, and the real queue and reconciler."""

    def __init__(self, workers: int) -> None:
        self.clock = Clock()
        self.agora = SlowAgora()
        self.cache = TaskCache()
        self.bodies: dict[str, dict[str, Any]] = {}
        self._version = 0
        store = cast("Store", self)
        self.reconciler = Reconciler(
            Services(
                store=store,
                cache=self.cache,
                credentials=CredentialStore(store, self._wake),
                budgets=agora.Budgets(0, 1),
                caller=Caller(cast("agora.AgoraClient", self.agora), self.cache, 3600, agora.TokenVersion.V007),
                events=cast("EventPoster", Told()),
                metrics=METRICS,
            ),
            default=Dialect.V7,
            workers=workers,
            poll_interval=3600,
        )
        self.queue: WorkQueue[str] = WorkQueue(self.reconciler.reconcile, clock=self.clock.monotonic)
        self.reconciler.attach(self.queue)

    async def secret(self, _: str, __: str) -> Secret:
        return Secret("1", dict(SECRET))

    async def write_status(self, task: TranscriptionTask, patch: dict[str, Any]) -> dict[str, Any]:
        body = self.bodies[task.metadata.uid]
        return self._keep({**body, "status": merged(body["status"], patch)})

    def create(self, uid: str) -> None:
        body = self._keep(body_of(uid=uid, name=uid))
        self.cache.offer(body)
        self.reconciler.created(uid)
        self.queue.add(uid)

    async def queued(self, uid: str) -> None:
        """Create one that finds no free worker."""
        slots = self.reconciler._turns._slots
        self.create(uid)
        await until(lambda: bool(slots._waiters))

    def edit(self, uid: str, **spec: Any) -> None:
        body = self.bodies[uid]
        self.cache.offer(self._keep({**body, "spec": {**body["spec"], **spec}}))
        self.queue.add(uid)

    def _wake(self, uid: str) -> None:
        self.queue.add(uid)

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        kept = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
        self.bodies[kept["metadata"]["uid"]] = kept
        return copy.deepcopy(kept)

    def reason(self, uid: str) -> str | None:
        task = self.cache.get(uid)
        return None if task is None or task.status.ready is None else task.status.ready.reason


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is true."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_who_waits_for_a_worker_is_not_stuck() -> None:
    crowd = Crowd(workers=2)
    for number in range(20):
        crowd.create(f"object-{number}")
    for batch in range(10):
        await until(lambda count=2 * (batch + 1): len(crowd.agora.begun) == count)  # type: ignore[misc]
        assert crowd.queue.depth == 20 - 2 * batch
        crowd.clock.advance(CALL_SECONDS)
        assert crowd.queue.stuck() == pytest.approx(CALL_SECONDS), "those whose calls are under way"
        assert crowd.queue.oldest() >= CALL_SECONDS * (batch < 9)
        crowd.agora.let_go()
        await until(lambda left=20 - 2 * (batch + 1): crowd.queue.depth == left)  # type: ignore[misc]
    assert {crowd.reason(uid) for uid in crowd.bodies} == {"Running"}


async def test_who_is_changed_while_waiting_for_a_worker_is_not_called_for_what_was_wanted_before() -> None:
    crowd = Crowd(workers=1)
    crowd.create("first")
    await until(lambda: len(crowd.agora.begun) == 1)
    await crowd.queued("second")
    crowd.edit("second", suspend=True)
    crowd.agora.let_go()
    await until(lambda: crowd.queue.depth == 0)
    assert crowd.agora.begun == ["tt-first-0"]
    assert crowd.reason("first") == "Running"
    assert crowd.reason("second") == "Suspended"


async def test_who_disappears_while_waiting_for_a_worker_is_not_called() -> None:
    crowd = Crowd(workers=1)
    crowd.create("first")
    await until(lambda: len(crowd.agora.begun) == 1)
    await crowd.queued("second")
    crowd.reconciler.gone("second")
    crowd.agora.let_go()
    await until(lambda: crowd.queue.depth == 0)
    assert crowd.agora.begun == ["tt-first-0"]
