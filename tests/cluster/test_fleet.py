"""Many running tasks of an account: looked at by Agora's list, in a real operator."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from support.world import World, a_world

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

TASKS = 30
INTERVAL = 2.0


async def running(world: World) -> list[str]:
    """Start tasks, and wait until it is the list that looks at them."""
    names = [f"t{number:02}" for number in range(TASKS)]
    await asyncio.gather(*(world.create(name, restartPolicy="Always") for name in names))
    for name in names:
        await world.running(name, 60)
    await world.eventually(lambda: listed(world), "an interval with a list and few looks")
    return names


async def listed(world: World) -> bool:
    """Whether an interval brings the list, and hardly anything else."""
    return only_lists(await calls_in(world, INTERVAL))


def only_lists(calls: Counter[str]) -> bool:
    """Whether there are few looks besides: with each list at the one in turn, perhaps twice."""
    return set(calls) <= {"list", "query"} and calls["list"] > 0 and calls["query"] <= 2 * (calls["list"] + 1)


async def calls_in(world: World, seconds: float) -> Counter[str]:
    """Count what Agora is asked in a while."""
    before = len(await world.calls())
    await asyncio.sleep(seconds)  # what is counted is what happens in so long
    return Counter(call["operation"] for call in (await world.calls())[before:])


async def test_one_list_per_interval_tells_of_a_task_that_was_stopped_behind_the_operators_back(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    flags = (f"--poll-interval={INTERVAL}", "--requests-per-second=0")
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs, *flags) as world:
        names = await running(world)
        calls = await calls_in(world, 3 * INTERVAL)
        assert only_lists(calls), calls
        assert 2 <= calls["list"] <= 4

        body = await world.running(names[7])
        ended = body["status"]["taskId"]
        await world.end(ended, "STOPPED", "OK")
        began = time.monotonic()
        await world.kube.wait(names[7], lambda body: body["status"].get("taskId") not in {None, ended})
        assert time.monotonic() - began < INTERVAL + 2
        assert len(await world.live(names[7])) == 1


async def test_without_a_list_each_task_is_asked_about(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    flags = (f"--poll-interval={INTERVAL}", "--requests-per-second=0")
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs, *flags) as world:
        names = await running(world)
        await world.options(listSupported=False)

        async def told() -> bool:
            return "cannot be listed, each is asked about" in world.operator.log.read_text()

        await world.eventually(told, "the warning")
        await calls_in(world, INTERVAL)
        calls = await calls_in(world, 2 * INTERVAL)
        assert set(calls) == {"query"}
        assert TASKS <= calls["query"] <= 3 * TASKS
        await asyncio.gather(*(world.kube.delete(name) for name in names))
        for name in names:
            await world.kube.wait_gone(name)
        assert await world.tasks(live="true") == []
