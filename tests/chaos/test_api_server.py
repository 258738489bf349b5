"""The API server's own faults: conflicts, lost watches, errors, silence. Nothing is doubled, lost or kept for ever."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chaos.crashes import Stage
from support.kube import ApiError, has_reason
from support.proxy import ApiProxy, Rule
from support.world import a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

TASKS = 12


@pytest.fixture
async def stage(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> AsyncIterator[Stage]:
    async with ApiProxy(operator_kubeconfig) as proxy:
        kubeconfig = proxy.kubeconfig(logs / f"{namespace}.kubeconfig")
        async with a_world(control_plane.kubeconfig, kubeconfig, namespace, logs) as world:
            yield Stage(world, proxy, "V7")


async def storm(stage: Stage, seed: int) -> dict[str, str]:
    """Create tasks and change, suspend and delete some of them; answers how each is to be in the end."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    wanted: dict[str, str] = {}

    async def one(name: str) -> None:
        await stage.create(name)
        await asyncio.sleep(chance.uniform(0, 2))  # so that they do not go in step
        await stage.world.kube.patch(name, {"languages": ["de-DE"]})
        wanted[name] = chance.choice(["running", "suspended", "gone"])
        if wanted[name] == "suspended":
            await stage.world.kube.patch(name, {"suspend": True})
        elif wanted[name] == "gone":
            await stage.world.kube.delete(name)

    await asyncio.gather(*(one(f"t{number}") for number in range(TASKS)))
    return wanted


async def converged(stage: Stage, wanted: dict[str, str], timeout: float = 60) -> None:
    world = stage.world
    for name, end in wanted.items():
        if end == "gone":
            await world.kube.wait_gone(name, timeout)
        elif end == "suspended":
            await world.kube.wait(name, has_reason("Suspended"), timeout)
        else:
            await world.running(name, timeout)
    live = {task["channel"].removeprefix("room-"): task for task in await world.tasks(live="true")}
    assert set(live) == {name for name, end in wanted.items() if end == "running"}
    assert all(task["settings"]["languages"] == ["de-DE"] for task in live.values())
    assert await world.doubles() == []


@asynccontextmanager
async def meanwhile(stage: Stage, disturb: str) -> AsyncIterator[None]:
    """Disturb the operator's connection to the API server, as long as the context lasts."""

    async def again_and_again() -> None:
        while True:
            if disturb == "cut":
                stage.proxy.cut_watches()
            else:
                await stage.proxy.expire_watches()
            await asyncio.sleep(1)

    disturbing = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        disturbing.cancel()
        with suppress(asyncio.CancelledError):
            await disturbing


@pytest.mark.parametrize("disturb", ["cut", "expire"])
async def test_a_watch_that_ends_every_second(stage: Stage, disturb: str) -> None:
    """`cut`: the connection breaks. `expire`: 410 Gone, and everything is listed again."""
    async with meanwhile(stage, disturb):
        wanted = await storm(stage, seed=1)
        await converged(stage, wanted)


async def test_every_third_request_fails(stage: Stage) -> None:
    """With 429, 500, 503, or without an answer."""
    stage.proxy.error_rate = 0.33
    wanted = await storm(stage, seed=2)
    await converged(stage, wanted, 120)


async def test_others_write_to_the_objects_all_the_time(stage: Stage) -> None:
    """Each write of theirs makes the operator's next one a conflict."""
    busy = True

    async def annotate(name: str) -> None:
        number = 0
        while busy:
            number += 1
            with suppress(ApiError):  # it is not there yet, or no more
                await stage.world.kube.patch_metadata(name, {"annotations": {"example.com/turn": str(number)}})
            await asyncio.sleep(0)

    others = [asyncio.create_task(annotate(f"t{number}")) for number in range(TASKS)]
    wanted = await storm(stage, seed=3)
    try:
        await converged(stage, wanted)
    finally:
        busy = False
        await asyncio.gather(*others)


@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=pytest.mark.chaos)])
async def test_the_api_server_is_away_during_a_storm(stage: Stage, seconds: int) -> None:
    """Agora's tasks run on, the operator stays, and does afterwards what was asked for meanwhile."""
    await stage.create("before", languages=["de-DE"])
    before = await stage.world.running("before")
    stage.proxy.down = True
    stage.proxy.cut_watches()
    wanted = await storm(stage, seed=4)
    await asyncio.sleep(seconds)  # how long it is away is what is tested
    assert stage.world.operator.running
    [task] = await stage.world.live("before")
    assert task["taskId"] == before["status"]["taskId"]
    stage.proxy.down = False
    await converged(stage, wanted | {"before": "running"})


async def tasks_known(stage: Stage) -> float:
    """How many objects the operator's cache holds, by its own metric."""
    async with httpx.AsyncClient() as client:
        page = (await client.get(stage.world.operator.metrics)).text
    [tasks] = [family for family in text_string_to_metric_families(page) if family.name == "agora_transcription_tasks"]
    return sum(sample.value for sample in tasks.samples)


async def test_what_is_deleted_across_a_re_list_is_forgotten(stage: Stage) -> None:
    """kopf's re-list does not tell of it: without a look of the operator's own it would stay in memory for ever."""
    world = stage.world
    for name in ("stays", "goes"):
        await stage.create(name)
        await world.running(name)
    stage.proxy.add(Rule(lambda asked: asked.watches, "hold before", times=0))
    stage.proxy.cut_watches()
    await world.kube.patch_metadata("goes", {"finalizers": []})
    await world.kube.delete("goes")
    await world.kube.wait_gone("goes")
    assert await tasks_known(stage) == 2
    stage.proxy.release()
    await stage.proxy.expire_watches()

    async def is_forgotten() -> bool:
        return await tasks_known(stage) == 1

    await world.eventually(is_forgotten, "the object that went unseen is forgotten", 40)


async def test_an_answer_of_the_api_server_that_makes_no_sense(stage: Stage) -> None:
    """Conflicts that are none, throttling and failures, for the operator's first writes to an object."""
    for status in (409, 409, 429, 500, 504):
        stage.proxy.add(Rule(lambda asked: asked.method == "PATCH", "answer", status=status))
    await stage.create("slow")
    await stage.world.running("slow", 60)
    assert len(await stage.world.tasks(channel="room-slow")) == 1
