"""The tables of docs/performance.md."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from bench.operator.results import BUDGET_SECONDS, LINEAR, QUIET, doubt, growths, idle_memory, memory_per_task
from support.pages import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.operator.results import Lap, Latencies, Phase, Run

__all__ = ["contents"]

SPARE: Final = 1.25
"""Times what was measured, for labels, translations and histories that the measured tasks do not have."""

EXAMPLE: Final = 5
"""Thousands of tasks, to show how the operator is sized for them."""


def contents(run: Run) -> dict[str, str]:
    """What stands between the page's markers, by their name."""
    parts = [_conditions(run), _start(run), "### Growth", "![Time, CPU and memory against tasks](performance.svg)"]
    parts += [_growth(run)]
    parts += ["### Create: from the request to Running", _changes(run, "create")]
    parts += ["### At rest", _rest(run)]
    parts += ["### One change among idle tasks: from the PATCH's answer to its arrival at Agora", _single(run)]
    parts += ["### Update all: from the request to Running as asked", _changes(run, "update")]
    parts += ["### Delete all: from the request to gone", _changes(run, "delete")]
    parts += ["### Events, which are posted in the background", _events(run), _ends(run)]
    return {"sizing": _sizing(run), "bench": "\n\n".join(parts)}


def _sizing(run: Run) -> str:
    measured = run.whole()[-1]
    idle, each = round(idle_memory(run)), round(memory_per_task(measured) * 1000)
    return (
        f"An operator without tasks has {idle} MiB, and with {measured.tasks:,} tasks it had {each} MiB more for each "
        f"1,000, at the peak. So {EXAMPLE},000 tasks need ({idle} + {EXAMPLE} &times; {each}) &times; {SPARE} = "
        f"{(idle + EXAMPLE * each) * SPARE:.0f} MiB."
    )


def _conditions(run: Run) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    busy = " **That is too much: take none of the figures for what the operator can do.**" if run.others > QUIET else ""
    return (
        f"`make bench` measured this on {run.date}, on {run.machine}, of which other work took {run.others:.1f} "
        f"meanwhile. {versions}. A call to Agora takes {run.delay * 1000:.0f} ms.{busy}"
    )


def _start(run: Run) -> str:
    starts = [lap.start for lap in run.laps]
    ready, cpu = median(s.ready_seconds for s in starts), median(s.cpu_seconds for s in starts)
    memory, rest = idle_memory(run), median(s.rest_cpu for s in starts)
    return (
        f"Started without a task, `/readyz` says yes after {ready:.2f} s ({cpu:.2f} s of CPU); then the operator has "
        f"{memory:.0f} MiB and takes {rest:.1%} of a core. Median of {len(starts)} starts."
    )


def _growth(run: Run) -> str:
    grown = list(growths(run))
    if not grown:
        return "One number of tasks was measured: it shows no growth."
    laps = run.whole()
    withheld = doubt(run)
    bent = [] if withheld else [growth.what for growth in grown if not growth.linear]
    if withheld:
        verdict = f"Whether that is linear cannot be said of this run: {withheld}."
    elif bent:
        verdict = f"Among many a task costs more than {LINEAR} times as much as among few: **{', '.join(bent)}**."
    else:
        verdict = f"All of it grows linearly: among many no task costs more than {LINEAR} times as much as among few."
    head = ["for each task", f"of {laps[0].tasks:,}", f"of {laps[-1].tasks:,}", "ratio"]
    rows = [
        [g.what, f"{g.first:.2f} {g.unit}", f"{g.last:.2f} {g.unit}", f"{g.ratio:.2f}" + " (!)" * (g.what in bent)]
        for g in grown
    ]
    return f"{table(head, rows)}\n\n{verdict}"


def _changes(run: Run, name: str) -> str:
    head = ["tasks", "finalizer by", "s", "s after the last request", "p50 s", "p95 s", "p99 s", "max s"]
    head += ["CPU s per 1,000", "the cluster's", "MiB", "peak MiB", "writes per task", "calls per task"]
    rows = [
        [
            f"{lap.tasks:,}",
            "policy" if lap.policy else "operator",
            f"{phase.seconds:.1f}",
            f"{phase.tail_seconds or 0:.1f}",
            *_latencies(phase.latencies),
            *_cpu(phase),
            f"{phase.memory_mib:.0f}",
            f"{phase.peak_mib:.0f}",
            _writes(phase),
            _calls(phase.calls, 1 / phase.tasks),
        ]
        for lap, phase in _of(run, name)
    ]
    return table(head, rows)


def _rest(run: Run) -> str:
    head = ["tasks", "s", "writes", "calls per minute", "CPU, % of a core", "MiB", "MiB per 1,000 tasks, at the peak"]
    rows = [
        [
            f"{lap.tasks:,}",
            f"{phase.seconds:.0f}",
            f"{max(phase.writes, phase.counted_writes)}",
            _calls(phase.calls, 60 / phase.seconds, digits=0),
            f"{phase.cpu_seconds / phase.seconds:.1%}",
            f"{phase.memory_mib:.0f}",
            f"{memory_per_task(lap) * 1000:.0f}",
        ]
        for lap, phase in _of(run, "rest")
    ]
    return table(head, rows)


def _single(run: Run) -> str:
    rows = [
        [f"{lap.tasks:,}", str(phase.tasks), *_latencies(phase.latencies, digits=3), _writes(phase)]
        for lap, phase in _of(run, "change")
    ]
    slow = [lap.tasks for lap, phase in _of(run, "change") if phase.latencies and phase.latencies.p99 > BUDGET_SECONDS]
    late = f" **Missed with {', '.join(f'{tasks:,}' for tasks in slow)} tasks.**" if slow else ""
    head = ["tasks", "changes", "p50 s", "p95 s", "p99 s", "max s", "writes per change"]
    return f"{table(head, rows)}\n\nThe budget for p99 is {BUDGET_SECONDS} s.{late}"


def _events(run: Run) -> str:
    rows = [
        [
            f"{lap.tasks:,}",
            f"{lap.phases['create'].events:,}",
            f"{behind.events:,}",
            f"{behind.seconds:.0f}",
            f"{behind.cpu_seconds * 1000 / max(1, behind.events):.2f}",
        ]
        for lap, behind in _of(run, "events")
    ]
    head = ["tasks created", "posted until all ran", "posted afterwards", "in s", "CPU s per 1,000 events"]
    return table(head, rows)


def _ends(run: Run) -> str:
    doubled, left = sum(lap.doubled for lap in run.laps), sum(lap.left_running for lap in run.laps)
    tasks = sum(lap.tasks for lap in run.laps)
    return f"Of {tasks:,} tasks in all laps, {doubled} were joined twice, and {left} were left running at Agora."


def _of(run: Run, name: str) -> Iterable[tuple[Lap, Phase]]:
    return [(lap, lap.phases[name]) for lap in run.laps if name in lap.phases]


def _latencies(latencies: Latencies | None, *, digits: int = 2) -> list[str]:
    if latencies is None:
        return [""] * 4
    return [f"{value:.{digits}f}" for value in (latencies.p50, latencies.p95, latencies.p99, latencies.max)]


def _cpu(phase: Phase) -> list[str]:
    """Of the operator, and of the API server with its etcd."""
    return [f"{spent * 1000 / phase.tasks:.2f}" for spent in (phase.cpu_seconds, phase.cluster_cpu_seconds)]


def _writes(phase: Phase) -> str:
    """By the watch, and by the operator's own count where that is another."""
    seen, counted = phase.writes / phase.tasks, phase.counted_writes / phase.tasks
    return f"{seen:.2f}" if phase.writes == phase.counted_writes else f"{seen:.2f} (counted: {counted:.2f})"


def _calls(calls: Mapping[str, int], factor: float, *, digits: int = 2) -> str:
    return ", ".join(f"{count * factor:.{digits}f} {operation}" for operation, count in sorted(calls.items()))
