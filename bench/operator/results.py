"""What a run has measured, as it is kept in `results.json`, and what follows from it."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "BUDGET_SECONDS",
    "LINEAR",
    "MANY",
    "QUIET",
    "Growth",
    "Lap",
    "Latencies",
    "Phase",
    "Run",
    "Start",
    "doubt",
    "growths",
    "idle_memory",
    "memory_per_task",
    "problems",
]

LINEAR: Final = 1.3
"""How much more a task may cost among the most tasks than among the fewest, for the growth to count as linear."""

MANY: Final = 1000
"""Tasks from which on a run can show how costs grow: with fewer it is as much chance as growth."""

QUIET: Final = 0.2
"""Cores that other work may take on a machine that is to be measured on."""

BUDGET_SECONDS: Final = 0.2
"""For a change of one task among idle ones to reach Agora, in 99 of 100 cases."""


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latencies(_Figures):
    """Seconds, over all tasks of a phase."""

    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Latencies:
        """Of one or more values: the smallest that so many per cent of them do not exceed."""
        ordered = [round(value, 3) for value in sorted(seconds)]

        def at(percent: int) -> float:
            return ordered[-(-len(ordered) * percent // 100) - 1]

        return cls(p50=at(50), p95=at(95), p99=at(99), max=ordered[-1])


class Start(_Figures):
    """The operator's start with no object.

    Attributes:
        ready_seconds: From the process to the first 200 of /readyz.
        cpu_seconds: Processor time until then.
        memory_mib: Resident, a few seconds later.
        rest_cpu: Share of a core, 0 to 1, while there is nothing to do.
    """

    ready_seconds: float
    cpu_seconds: float
    memory_mib: float
    rest_cpu: float


class Phase(_Figures):
    """A part of a lap.

    Attributes:
        tasks: Those that it was about.
        seconds: How long it took, from the first request.
        tail_seconds: Of these, those after the last request; None where there are no requests.
        latencies: Of its tasks, where each has one.
        cpu_seconds: Processor time of the operator.
        cluster_cpu_seconds: That of the API server and its etcd.
        memory_mib: Resident memory of the operator at its end.
        peak_mib: The most that it has had by then.
        writes: Changes of objects that the watch told of, less those that the bench has made.
        counted_writes: Those that the operator counts in its metric.
        calls: To Agora, by operation.
        events: Kubernetes events posted.
    """

    tasks: int
    seconds: float
    tail_seconds: float | None = None
    latencies: Latencies | None = None
    cpu_seconds: float
    cluster_cpu_seconds: float
    memory_mib: float
    peak_mib: float
    writes: int
    counted_writes: int
    calls: dict[str, int]
    events: int


class Lap(_Figures):
    """One operator, from its start to the last task gone.

    Attributes:
        tasks: How many.
        policy: Whether the admission policy added the finalizers.
        start: Before there were any.
        phases: By name, in their order.
        doubled: Joins with a name that had been used.
        left_running: Agents that ran on when all objects were gone.
    """

    tasks: int
    policy: bool
    start: Start
    phases: dict[str, Phase]
    doubled: int
    left_running: int


class Run(_Figures):
    """All laps of a run, and where it was made.

    Attributes:
        date: ISO 8601.
        machine: Its processors.
        others: Cores that other work took meanwhile.
        versions: By name.
        delay: Seconds that each call to Agora takes.
        settle: Seconds of rest that were looked at.
        laps: In their order.
    """

    date: str
    machine: str
    others: float
    versions: dict[str, str]
    delay: float
    settle: float
    laps: list[Lap]

    def whole(self) -> list[Lap]:
        """The laps that have all phases, the fewest tasks first."""
        return sorted((lap for lap in self.laps if "update" in lap.phases), key=lambda lap: lap.tasks)


class Growth(_Figures):
    """How a cost grows with the tasks.

    Attributes:
        what: As a noun.
        unit: Of the two costs.
        first: For a task among the fewest.
        last: For a task among the most.
    """

    what: str
    unit: str
    first: float
    last: float

    @property
    def ratio(self) -> float:
        """1 where it is linear."""
        return self.last / self.first if self.first > 0 else 1.0

    @property
    def linear(self) -> bool:
        """Whether it may be called so."""
        return self.ratio <= LINEAR


def growths(run: Run) -> Iterator[Growth]:
    """The costs of a task among the fewest and among the most; none where there is one number of tasks only."""
    laps = run.whole()
    if not laps or laps[0].tasks == laps[-1].tasks:
        return
    few, many = laps[0], laps[-1]
    for name in ("create", "update", "delete"):
        first, last = few.phases[name], many.phases[name]
        yield _growth(f"{name}: time", "ms", 1000, first.seconds / few.tasks, last.seconds / many.tasks)
        yield _growth(f"{name}: CPU", "ms", 1000, first.cpu_seconds / few.tasks, last.cpu_seconds / many.tasks)
    yield _growth("memory above that of no task", "KiB", 1024, memory_per_task(few), memory_per_task(many))


def doubt(run: Run) -> str | None:
    """Why nothing is to be said of how costs grow; None where something may be."""
    if run.others > QUIET:
        return "other work took its part of the machine"
    if run.whole()[-1].tasks < MANY:
        return f"that takes {MANY:,} tasks at least"
    return None


def idle_memory(run: Run) -> float:
    """MiB that an operator without tasks has."""
    return median(lap.start.memory_mib for lap in run.laps)


def memory_per_task(lap: Lap) -> float:
    """MiB that the peak is above the memory without tasks, for each of them."""
    return (max(phase.peak_mib for phase in lap.phases.values()) - lap.start.memory_mib) / lap.tasks


def problems(run: Run) -> list[str]:
    """What must not be, in sentences."""
    found = []
    for lap in run.laps:
        if lap.doubled:
            found.append(f"{lap.tasks} tasks: {lap.doubled} joins were doubled")
        if lap.left_running:
            found.append(f"{lap.tasks} tasks: {lap.left_running} agents were left running")
        rest = lap.phases.get("rest")
        if rest is not None and (rest.writes or rest.counted_writes):
            found.append(f"{lap.tasks} tasks: {max(rest.writes, rest.counted_writes)} objects were written at rest")
    return found


def _growth(what: str, unit: str, factor: float, first: float, last: float) -> Growth:
    return Growth(what=what, unit=unit, first=round(first * factor, 3), last=round(last * factor, 3))
