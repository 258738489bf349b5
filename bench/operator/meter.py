"""What a phase costs: the operator from outside, the API server's watch, and what the stand-in was asked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bench.operator.results import Latencies, Phase
from bench.usage import cpu_seconds, descendants, resident_mebibytes, tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    import httpx

    from bench.operator.observer import Observer
    from support.kube import Kube
    from support.processes import Operator

__all__ = ["Meter", "Taken"]

QUIET_SECONDS: Final = 3.0
"""Without a new event, all are taken to be posted."""

LONGEST_WAIT: Final = 300.0
"""Seconds for a phase to come to its end."""


@dataclass(slots=True)
class Taken:
    """What a phase itself knows: how long it took, as in `Phase`, and each of its tasks."""

    seconds: float | None = None
    tail_seconds: float | None = None
    latencies: list[float] = field(default_factory=list)

    def by(self, sent: dict[str, float], done: dict[str, float]) -> None:
        """From the first that was sent to the last that was done."""
        self.seconds = max(done.values()) - min(sent.values())
        self.tail_seconds = max(done.values()) - max(sent.values())
        self.latencies = [done[name] - moment for name, moment in sent.items()]


@dataclass(frozen=True, slots=True)
class _Reading:
    seen: int
    counted: int
    calls: Counter[str]
    events: int


class Meter:
    """Reads what a phase has cost; between the phases, so that the reading is in none of them."""

    def __init__(self, kube: Kube, operator: Operator, agora: httpx.AsyncClient, observer: Observer) -> None:
        self.phases: dict[str, Phase] = {}
        self._kube = kube
        self._operator = operator
        self._agora = agora
        self._observer = observer
        self._cluster = descendants("kube-apiserver", "etcd")

    @asynccontextmanager
    async def phase(self, name: str, tasks: int, *, own_writes: int = 0) -> AsyncIterator[Taken]:
        """Measure what is done inside.

        Args:
            name: Of the phase.
            tasks: How many it is about.
            own_writes: Changes of objects that are not the operator's.
        """
        before, cpu, cluster = await self._read(), self.cpu(), cpu_seconds(*self._cluster)
        begun, taken = time.monotonic(), Taken()
        yield taken
        spent, (memory, peak) = self.cpu() - cpu, self.memory()
        cluster = cpu_seconds(*self._cluster) - cluster
        seconds = time.monotonic() - begun if taken.seconds is None else taken.seconds
        after = await self._read()
        self.phases[name] = Phase(
            tasks=tasks,
            seconds=round(seconds, 3),
            tail_seconds=None if taken.tail_seconds is None else round(taken.tail_seconds, 3),
            latencies=Latencies.of(taken.latencies) if taken.latencies else None,
            cpu_seconds=round(spent, 2),
            cluster_cpu_seconds=round(cluster, 2),
            memory_mib=round(memory, 1),
            peak_mib=round(peak, 1),
            writes=after.seen - before.seen - own_writes,
            counted_writes=after.counted - before.counted,
            calls=dict(after.calls - before.calls),
            events=after.events - before.events,
        )

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something that the watch tells.

        Raises:
            TimeoutError: It does not come.
            RuntimeError: The operator has ended.
        """
        deadline = time.monotonic() + LONGEST_WAIT
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not in {LONGEST_WAIT:.0f} s")
            if not self._operator.running:
                raise RuntimeError(f"the operator has ended:\n{self._operator.log.read_text()[-4000:]}")
            await asyncio.sleep(0.02)

    async def until_posted(self, longest: float) -> float:
        """Wait until no more Kubernetes events come, or so many seconds; answers how long they came."""
        begun = last = time.monotonic()
        posted = await self._posted()
        while time.monotonic() < min(last + QUIET_SECONDS, begun + longest):
            await asyncio.sleep(0.25)
            if (now_posted := await self._posted()) != posted:
                posted, last = now_posted, time.monotonic()
        return last - begun

    def cpu(self) -> float:
        """Processor time of the operator by now, in seconds."""
        return cpu_seconds(*tree(self._operator.pid))

    def memory(self) -> tuple[float, float]:
        """The operator's memory now and at most, in MiB."""
        return resident_mebibytes(*tree(self._operator.pid))

    async def counts(self) -> dict[str, Any]:
        """What the stand-in was asked."""
        counts: dict[str, Any] = (await self._agora.get("/counts")).raise_for_status().json()
        return counts

    async def _read(self) -> _Reading:
        page = (await self._agora.get(self._operator.metrics)).text
        counted = _total(page.splitlines(), "agora_transcription_object_writes_total")
        calls = Counter((await self.counts())["calls"])
        return _Reading(self._observer.events, counted, calls, await self._posted())

    async def _posted(self) -> int:
        listed = await self._kube.request("GET", f"api/v1/namespaces/{self._kube.namespace}/events?limit=1")
        return len(listed["items"]) + int(listed["metadata"].get("remainingItemCount", 0))


def _total(lines: Iterable[str], metric: str) -> int:
    """The sum of a counter over all of its labels. Read so, since a page has some lines for each task."""
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith((f"{metric}{{", f"{metric} ")))
