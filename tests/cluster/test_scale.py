"""200 tasks at once: exactly one Agora task each, whatever happens to the operator, and nothing written at rest."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from support.kube import has_reason
from support.world import World, a_world

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

TASKS = 200
POLL_SECONDS = 5
FLAGS = ("--requests-per-second=0", f"--poll-interval={POLL_SECONDS}")
REST_SECONDS = 60


@dataclass
class Wanted:
    """What is asked for, in the end: languages by name, and the names that have none to run."""

    languages: dict[str, list[str]] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    @property
    def running(self) -> set[str]:
        return set(self.languages) - self.suspended - self.deleted


async def act(world: World) -> Wanted:
    """Apply 200 tasks, patch all twice within a second, delete half, suspend a quarter."""
    names = [f"t{number:03}" for number in range(TASKS)]
    wanted = Wanted({name: ["en-US", "fr-FR"] for name in names})
    gate = asyncio.Semaphore(8)
    took = await asyncio.gather(*(create_and_patch_twice(world, name, gate) for name in names))
    print(f"patched each twice within {max(took):.2f} s")  # noqa: T201 - a figure to read with -s
    wanted.deleted = set(names[::2])
    wanted.suspended = set(names[1::4])
    await asyncio.gather(
        *(world.kube.delete(name) for name in wanted.deleted),
        *(world.kube.patch(name, {"suspend": True}) for name in wanted.suspended),
    )
    return wanted


async def create_and_patch_twice(world: World, name: str, gate: asyncio.Semaphore) -> float:
    """Start a task, change its languages and at once again; answers how many seconds both changes took."""
    async with gate:
        await world.create(name)
        await world.kube.wait(name, lambda body: bool(body.get("status", {}).get("taskId")), 120)
        before = time.monotonic()
        await world.kube.patch(name, {"languages": ["de-DE"]})
        await world.kube.patch(name, {"languages": ["en-US", "fr-FR"]})
        return time.monotonic() - before


async def converged(world: World, wanted: Wanted) -> None:
    """Wait until all objects say that they are as asked, and see that Agora agrees."""
    for name in wanted.deleted:
        await world.kube.wait_gone(name, 180)
    for name in wanted.suspended:
        await world.kube.wait(name, has_reason("Suspended"), 180)
    for name in wanted.running:
        await world.running(name, 180)
    live = await world.tasks(live="true")
    assert {task["channel"].removeprefix("room-") for task in live} == wanted.running
    assert len(live) == len(wanted.running)
    for task in live:
        name = task["channel"].removeprefix("room-")
        assert set(task["settings"]["languages"]) == set(wanted.languages[name])
        body = await world.kube.get(name)
        assert body is not None
        assert body["status"]["taskId"] == task["taskId"]
    assert await world.doubles() == []


def updates_by_task(calls: list[Body]) -> dict[str, list[Body]]:
    """The updates that Agora took, task by task, in their order."""
    found: dict[str, list[Body]] = defaultdict(list)
    for call in calls:
        if call["operation"] == "update" and call["code"] == 200:
            found[call["taskId"]].append(call)
    return found


async def check_updates(world: World, *, at_most: int) -> None:
    calls = await world.calls()
    started = {call["taskId"]: call["at"] for call in calls if call["operation"] in {"join", "start"}}
    for task_id, updates in updates_by_task(calls).items():
        assert len(updates) <= at_most, updates
        if task_id in started:
            assert updates[0]["at"] - started[task_id] >= 5
        for earlier, later in pairwise(updates):
            assert later["at"] - earlier["at"] >= 5
            assert int(later["sequenceId"]) > int(earlier["sequenceId"])
    refused = [call for call in calls if call["operation"] == "update" and call["code"] == 400]
    assert refused == []


@pytest.mark.parametrize("api", ["v7", "v6"])
async def test_many_tasks_end_as_asked(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, api: str
) -> None:
    flags = (*FLAGS, f"--agora-api={api}")
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs, *flags) as world:
        wanted = await act(world)
        await converged(world, wanted)
        # Both patches fall into the 5 s after the start: one call carries them.
        await check_updates(world, at_most=1)


async def test_at_rest_nothing_is_written_and_agora_is_only_polled(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs, *FLAGS) as world:
        names = [f"t{number:03}" for number in range(TASKS)]
        await asyncio.gather(*(world.create(name) for name in names))
        for name in names:
            await world.running(name, 120)
        await rests(world, TASKS, REST_SECONDS)


async def rests(world: World, tasks: int, seconds: float) -> None:
    """Watch for a while: no object changes, and Agora is asked for its list once per interval, and for little else."""
    listed = await world.kube.request(
        "GET", f"apis/transcription.dev/v1alpha1/namespaces/{world.kube.namespace}/transcriptiontasks"
    )
    seen: list[Body] = []
    watching = asyncio.create_task(world.kube.watch(listed["metadata"]["resourceVersion"], seen))
    before = len(await world.calls())
    await asyncio.sleep(seconds)  # what is measured is that nothing happens for so long
    made = (await world.calls())[before:]
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    figures = f"{tasks} tasks at rest for {seconds:.0f} s: {len(seen)} writes, {len(made)} calls to Agora"
    print(figures)  # noqa: T201 - figures to read with -s
    assert seen == []
    calls = Counter(call["operation"] for call in made)
    assert set(calls) <= {"list", "query"}
    expected = math.ceil(tasks / 100) * seconds / POLL_SECONDS
    assert 0.8 * expected <= calls["list"] <= 1.2 * expected
    assert calls["query"] <= tasks, "each at most once, before its first list"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_at_a_random_moment(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, seed: int
) -> None:
    api = "v6" if seed == 2 else "v7"
    flags = (*FLAGS, f"--agora-api={api}")
    chance = random.Random(seed)  # noqa: S311 - no secret
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs, *flags) as world:

        async def kill_now_and_then() -> None:
            for _ in range(3):
                await asyncio.sleep(chance.uniform(0.2, 3.0))  # the random moment is the point
                world.operator.kill()
                await world.operator.start_and_wait()

        killing = asyncio.create_task(kill_now_and_then())
        wanted = await act(world)
        await killing
        await converged(world, wanted)
        await check_updates(world, at_most=4)
