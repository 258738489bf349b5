"""The benchmark of the operator runs through, and its figures can be right: a lap with few tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.operator.lap import Place, Plan, measure

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

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
        looks = {"list", "query"}  # which may fall into any phase
        assert {operation: count for operation, count in phase.calls.items() if operation not in looks} == made
        assert phase.latencies
        assert plan.delay <= phase.latencies.p50 <= phase.latencies.p99 <= phase.latencies.max <= phase.seconds
        assert phase.cpu_seconds > 0
        assert phase.peak_mib >= phase.memory_mib
        assert phase.writes == phase.counted_writes
    writes = {name: phase.writes / phase.tasks for name, phase in lap.phases.items()}
    assert writes["create"] in {1, 2}, "the finalizer, unless a policy has added it, and the status"
    assert writes["delete"] == 1
    assert writes["rest"] == 0

    changed = lap.phases["change"]
    assert changed.tasks == changed.calls["update"] == CHANGES
    assert changed.latencies
    assert 0 <= changed.latencies.p50 < 5
    assert lap.phases["create"].events + lap.phases["events"].events > 0
