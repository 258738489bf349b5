"""Renewals and ends on the real API server: what the object's own dates bring about."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from support.kube import API, has_reason, is_settled
from support.world import World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

pytestmark = pytest.mark.asyncio(loop_scope="module")

APIS = ("V7", "V6")
STOP = "leave|stop"
START_DELAY = 0.6
STOP_DELAY = 0.3
SHORTEST_IDLE = {"V7": 1, "V6": 5}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    control_plane: ControlPlane, operator_kubeconfig: Path, module_namespace: str, logs: Path
) -> AsyncIterator[World]:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, module_namespace, logs) as made:
        await made.options(startDelay=START_DELAY, stopDelay=STOP_DELAY)
        yield made
        for body in await made.kube.all():
            await made.kube.delete(body["metadata"]["name"])
        for body in await made.kube.all():
            await made.kube.wait_gone(body["metadata"]["name"])
        await made.eventually(lambda: nothing_lives(made), "the end of all tasks")
        overlapped = {task["name"].rpartition("-")[0] for task in await made.tasks() if "overlap" in task["channel"]}
        assert {double["owner"] for double in await made.doubles()} == overlapped
        # Judged here; to the simulator an overlap is a double like any other.
        await made.agora.delete("/simulator/state")


async def renewed(world: World, name: str, **spec: str) -> tuple[Body, Body, Body]:
    """Create an object, let its task come to its end, and wait for the next; answers both tasks and the object."""
    await world.create(name, **spec)
    before = await world.running(name)
    await world.expires_in(name, timedelta(minutes=1))
    after = await world.kube.wait(
        name,
        lambda body: (
            is_settled(body)
            and body["status"].get("taskId") not in {None, before["status"]["taskId"]}
            and "retiring" not in body["status"]
        ),
    )
    await world.eventually(lambda: only_one(world, name), "one task")
    first, second = await world.tasks(channel=f"room-{name}")
    assert first["taskId"] == before["status"]["taskId"]
    assert second["taskId"] == after["status"]["taskId"]
    return first, second, after


async def both(check: Callable[[World, str], Coroutine[None, None, None]], world: World) -> None:
    """Both APIs at the same time: most of it is waiting."""
    async with asyncio.TaskGroup() as group:
        for api in APIS:
            group.create_task(check(world, api), name=api)


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[list[Body]]:
    """Collect what happens to all objects meanwhile."""
    listed = await world.kube.request("GET", f"{API}/namespaces/{world.kube.namespace}/transcriptiontasks")
    seen: list[Body] = []
    watching = asyncio.create_task(world.kube.watch(listed["metadata"]["resourceVersion"], seen))
    try:
        yield seen
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def nothing_lives(world: World) -> bool:
    return await world.tasks(live="true") == []


async def only_one(world: World, name: str) -> bool:
    return len(await world.live(name)) == 1


def check_status(body: Body, first: Body) -> None:
    status = body["status"]
    [ended] = status["history"]
    assert (ended["taskId"], ended["reason"]) == (first["taskId"], "RolledOver")
    assert status["restarts"] == 1
    assert datetime.fromisoformat(status["expiryTime"]) > datetime.now(UTC) + timedelta(hours=23)


async def test_replaced_before_it_expires(world: World) -> None:
    await both(replaced, world)


async def replaced(world: World, api: str) -> None:
    name = f"replace-{api.lower()}"
    first, second, body = await renewed(world, name, agoraApi=api)
    assert first["endedAt"] <= second["startedAt"]
    check_status(body, first)


async def test_overlapped_before_it_expires(world: World) -> None:
    await both(overlapped, world)


async def overlapped(world: World, api: str) -> None:
    name = f"overlap-{api.lower()}"
    async with watched(world) as seen:
        first, second, body = await renewed(world, name, agoraApi=api, rollover="Overlap")

        async def told() -> bool:
            return body["metadata"]["resourceVersion"] in {
                event["object"]["metadata"]["resourceVersion"] for event in seen
            }

        await world.eventually(told, "the watch has come to the end of the renewal")
    versions = [event["object"] for event in seen if event["object"]["metadata"]["name"] == name]
    during = [version["status"] for version in versions if "retiring" in version.get("status", {})]
    assert {status["retiring"]["taskId"] for status in during} == {first["taskId"]}
    assert during[-1]["taskId"] == second["taskId"], "both are named while the first is being stopped"
    [stop] = await world.calls(STOP, name)
    assert stop["taskId"] == first["taskId"]
    assert stop["at"] >= second["startedAt"] + START_DELAY, "the next one transcribes before the first is stopped"
    assert first["endedAt"] - second["startedAt"] < 5
    assert first["botUid"] != second["botUid"]
    check_status(body, first)


async def test_the_deadline_stops_it_and_the_object_goes_after_its_time(world: World) -> None:
    await both(deadline_passed, world)


async def deadline_passed(world: World, api: str) -> None:
    name = f"deadline-{api.lower()}"
    await world.create(name, agoraApi=api, activeDeadlineSeconds=3, ttlSecondsAfterFinished=1)
    body = await world.kube.wait(name, has_reason("DeadlineExceeded"))
    assert body["status"]["phase"] == "Failed"
    assert [ended["reason"] for ended in body["status"]["history"]] == ["DeadlineExceeded"]
    [task] = await world.tasks(channel=f"room-{name}")
    assert 3 <= task["endedAt"] - task["startedAt"] < 3 + STOP_DELAY + 2
    await world.kube.wait_gone(name, timeout=5)


async def test_an_idle_end_is_the_end(world: World) -> None:
    await both(idle, world)


async def idle(world: World, api: str) -> None:
    name = f"idle-{api.lower()}"
    await empty(world, name)
    await world.create(name, agoraApi=api, idleTimeoutSeconds=SHORTEST_IDLE[api], ttlSecondsAfterFinished=1)
    body = await world.kube.wait(name, has_reason("Completed"))
    assert body["status"]["phase"] == "Completed"
    assert [ended["reason"] for ended in body["status"]["history"]] == ["Idle"]
    await world.kube.wait_gone(name, timeout=5)
    assert len(await world.tasks(channel=f"room-{name}")) == 1


async def test_or_another_follows(world: World) -> None:
    name = "again"
    await empty(world, name)
    await world.create(name, idleTimeoutSeconds=SHORTEST_IDLE["V7"], restartPolicy="Always")
    await world.kube.wait(name, lambda body: bool(body.get("status", {}).get("history")))
    await world.agora.put(f"/simulator/channels/room-{name}", json={"hosts": 1})
    body = await world.running(name)
    assert body["status"]["history"][0]["reason"] == "Idle"
    assert body["status"]["restarts"] >= 1


async def empty(world: World, name: str) -> None:
    (await world.agora.put(f"/simulator/channels/room-{name}", json={"hosts": 0})).raise_for_status()
