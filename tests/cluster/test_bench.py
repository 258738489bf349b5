"""The benchmark of the operator runs through with few tasks, and no task costs more writes and calls than it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.operator.lap import Place, Plan, measure
from support.admission import admission_policy

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane
    from bench.operator.results import Phase

TASKS = 20
CHANGES = 3


async def test_a_lap_with_few_tasks(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    plan = Plan(TASKS, settle=1, changes=CHANGES)
    flags = (f"--namespace={namespace}",)
    lap = await measure(plan, Place(control_plane.kubeconfig, operator_kubeconfig, namespace, tmp_path, flags))

    assert (lap.doubled, lap.left_running) == (0, 0)
    assert 0 < lap.start.ready_seconds < 30
    assert 20 < lap.start.memory_mib < 500

    calls = {"create": {"join": TASKS}, "update": {"update": TASKS}, "delete": {"leave": TASKS}}
    for name, made in calls.items():
        phase = lap.phases[name]
        assert acting_calls(phase) == made
        assert phase.latencies
        assert plan.delay <= phase.latencies.p50 <= phase.latencies.p99 <= phase.latencies.max <= phase.seconds
        assert phase.cpu_seconds > 0
        assert phase.peak_mib >= phase.memory_mib
        assert phase.writes == phase.counted_writes
    writes = {name: phase.writes / phase.tasks for name, phase in lap.phases.items() if name != "events"}
    assert writes == {"create": 2, "rest": 0, "change": 2, "update": 2, "delete": 1}

    changed = lap.phases["change"]
    assert changed.tasks == changed.calls["update"] == CHANGES
    assert changed.latencies
    assert 0 <= changed.latencies.p50 < 5
    assert lap.phases["create"].events + lap.phases["events"].events > 0


async def test_a_lap_with_the_admission_policy(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    plan = Plan(TASKS, settle=0, policy=True, brief=True)
    flags = (f"--namespace={namespace}",)
    with admission_policy(control_plane):
        lap = await measure(plan, Place(control_plane.kubeconfig, operator_kubeconfig, namespace, tmp_path, flags))

    assert (lap.doubled, lap.left_running) == (0, 0)
    assert {name: phase.writes / phase.tasks for name, phase in lap.phases.items()} == {"create": 1, "delete": 1}
    assert acting_calls(lap.phases["create"]) == {"join": TASKS}
    assert acting_calls(lap.phases["delete"]) == {"leave": TASKS}


def acting_calls(phase: Phase) -> dict[str, int]:
    """Without the looks, which may fall into any phase."""
    return {operation: count for operation, count in phase.calls.items() if operation not in {"list", "query"}}
