"""One operator, from its start to the last task gone.

The API server is real and so are the operator's rights; Agora is the stand-in. All run on one machine and share its
cores, what measures among them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from bench.operator.meter import Meter
from bench.operator.observer import Observer
from bench.operator.results import Lap, Start
from support.kube import Kube
from support.processes import Operator, Process, free_port
from support.world import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Place", "Plan", "measure"]

SPACING: Final = 6.0
"""Seconds after which Agora takes the next update of a task, and a bit."""

REST_SECONDS: Final = 3.0
"""How long an operator without tasks is looked at."""

POSTING_SECONDS: Final = 300.0
"""How long events may be posted behind, until what is left of them counts for the next phase."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a lap is to do.

    Attributes:
        tasks: How many.
        delay: Seconds that each call to Agora takes.
        settle: Seconds of rest to be looked at, once all events are posted; 0 for none.
        changes: How many tasks to change one by one.
        at_once: Requests of the bench to the API server that are under way together.
        policy: Whether the admission policy is there.
        brief: Only create and delete.
    """

    tasks: int
    delay: float = 0.05
    settle: float = 30.0
    changes: int = 100
    at_once: int = 12
    policy: bool = False
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where it happens.

    Attributes:
        kubeconfig: The administrator's.
        operator_kubeconfig: The operator's ServiceAccount.
        namespace: For the tasks; it exists.
        logs: A folder.
        flags: More of the operator's.
    """

    kubeconfig: Path
    operator_kubeconfig: Path
    namespace: str
    logs: Path
    flags: tuple[str, ...] = ()


class StandIn(Process):
    """The stand-in for Agora."""

    program = (sys.executable, str(Path(__file__).with_name("standin.py")))

    def __init__(self, log: Path, delay: float) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(log, f"--port={port}", f"--delay={delay}")


async def measure(plan: Plan, place: Place) -> Lap:
    """Make a lap; what the operator logs is in the place's folder."""
    standin = StandIn(place.logs / "standin.log", plan.delay)
    flags = ("--requests-per-second=0", "--log-level=warning", *place.flags)
    operator = Operator(place.logs / "operator.log", place.operator_kubeconfig, None, standin.url, *flags)
    try:
        standin.start()
        await standin.wait_for(f"{standin.url}/counts")
        async with Kube(place.kubeconfig, place.namespace) as kube, httpx.AsyncClient(base_url=standin.url) as agora:
            await kube.put_secret("agora-credentials", CREDENTIALS)
            async with _observed(kube) as observer:
                lap = _Lap(plan, kube, observer, Meter(kube, operator, agora, observer), agora)
                return await lap.run(operator)
    finally:
        operator.kill()
        standin.kill()


class _Lap:
    """The phases, in their order."""

    def __init__(self, plan: Plan, kube: Kube, observer: Observer, meter: Meter, agora: httpx.AsyncClient) -> None:
        self._plan = plan
        self._kube = kube
        self._observer = observer
        self._meter = meter
        self._agora = agora
        self._names = [f"t{number:05}" for number in range(plan.tasks)]

    async def run(self, operator: Operator) -> Lap:
        start = await self._start(operator)
        await self._create()
        if self._plan.settle:
            await self._post_events()
            await self._rest()
        if not self._plan.brief:
            await self._change_one_by_one()
            await self._update()
        await self._delete()
        counts = await self._meter.counts()
        return Lap(
            tasks=self._plan.tasks,
            policy=self._plan.policy,
            start=start,
            phases=self._meter.phases,
            doubled=counts["doubled"],
            left_running=counts["running"],
        )

    async def _start(self, operator: Operator) -> Start:
        begun = time.monotonic()
        operator.start()
        await operator.wait_for(f"{operator.health}/readyz")
        ready, cpu = time.monotonic() - begun, self._meter.cpu()
        await asyncio.sleep(2)  # what it does once, after it is ready
        before = self._meter.cpu()
        await asyncio.sleep(REST_SECONDS)
        rest = (self._meter.cpu() - before) / REST_SECONDS
        memory, _ = self._meter.memory()
        _say(f"ready after {ready:.2f} s, {memory:.0f} MiB")
        return Start(
            ready_seconds=round(ready, 2),
            cpu_seconds=round(cpu, 2),
            memory_mib=round(memory, 1),
            rest_cpu=round(rest, 4),
        )

    async def _create(self) -> None:
        async def create(name: str) -> int:
            await self._kube.create(name, {"channel": f"room-{name}", "languages": ["en-US"]})
            return 1

        await self._change_all("create", create)

    async def _update(self) -> None:
        await self._wait_since_last(SPACING)

        async def update(name: str) -> int:
            return await self._change(name, "fr-FR")

        await self._change_all("update", update)

    async def _change_all(self, phase: str, act: Callable[[str], Awaitable[int]]) -> None:
        """Do something to each task, and wait until each runs in the generation that was answered."""
        async with self._meter.phase(phase, len(self._names), own_writes=len(self._names)) as taken:
            sent, generations = await self._at_once(act)
            await self._meter.until(lambda: self._observer.runs(generations), phase)
            taken.by(sent, self._observer.since(self._names))
        _say(f"{phase}: {self._meter.phases[phase].seconds:.1f} s")

    async def _rest(self) -> None:
        # In its first interval each task is looked at on its own, once.
        await self._wait_since_last(self._plan.settle * 1.1)
        async with self._meter.phase("rest", len(self._names)):
            await asyncio.sleep(self._plan.settle)  # what is measured is that little happens for so long
        rest = self._meter.phases["rest"]
        _say(f"at rest for {rest.seconds:.0f} s: {rest.writes} writes, {rest.cpu_seconds:.2f} s of CPU")

    async def _change_one_by_one(self) -> None:
        """From the PATCH's answer to the update's arrival at Agora."""
        await self._wait_since_last(SPACING)
        names = self._names[: self._plan.changes]
        answered = {}
        async with self._meter.phase("change", len(names), own_writes=len(names)) as taken:
            for name in names:
                generation = await self._change(name, "de-DE")
                answered[name] = time.monotonic()
                await self._meter.until(partial(self._observer.runs, {name: generation}), "change")
            arrived = (await self._agora.get("/updates")).raise_for_status().json()
            # The operator may hear of a change before the one who has made it.
            taken.latencies = [max(0.0, arrived[self._observer.agents[n]] - moment) for n, moment in answered.items()]
        _say(f"{len(names)} changes one by one: {max(taken.latencies):.3f} s at most")

    async def _delete(self) -> None:
        async with self._meter.phase("delete", len(self._names), own_writes=len(self._names)) as taken:

            async def delete(name: str) -> int:
                await self._kube.delete(name)
                return 0

            sent, _ = await self._at_once(delete)
            await self._meter.until(lambda: len(self._observer.gone) == len(self._names), "delete")
            taken.by(sent, self._observer.gone)
        _say(f"delete: {self._meter.phases['delete'].seconds:.1f} s")

    async def _post_events(self) -> None:
        _say("waits for the events, which are posted at a pace of their own")
        async with self._meter.phase("events", len(self._names)) as taken:
            taken.seconds = await self._meter.until_posted(POSTING_SECONDS)
        behind = self._meter.phases["events"]
        _say(f"{behind.events} events after the last task ran, in {behind.seconds:.1f} s")

    async def _change(self, name: str, language: str) -> int:
        body = await self._kube.patch(name, {"languages": ["en-US", language]})
        return int(body["metadata"]["generation"])

    async def _at_once(self, act: Callable[[str], Awaitable[int]]) -> tuple[dict[str, float], dict[str, int]]:
        """Do something to all tasks; answers when each was begun, and the generation that was answered."""
        gate, sent = asyncio.Semaphore(self._plan.at_once), dict[str, float]()

        async def one(name: str) -> int:
            async with gate:
                sent[name] = time.monotonic()
                return await act(name)

        generations = await asyncio.gather(*map(one, self._names))
        return sent, dict(zip(self._names, generations, strict=True))

    async def _wait_since_last(self, seconds: float) -> None:
        """Wait until the last task that came to run, or was changed, has been so for a time."""
        newest = max(moment for _, moment in self._observer.settled.values())
        await asyncio.sleep(max(0.0, newest + seconds - time.monotonic()))


@asynccontextmanager
async def _observed(kube: Kube) -> AsyncIterator[Observer]:
    """Watch meanwhile; a watch that ends ends what is inside."""
    observer = Observer()
    version = await kube.version()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(observer.follow(kube, version))
        yield observer
        following.cancel()


def _say(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)
