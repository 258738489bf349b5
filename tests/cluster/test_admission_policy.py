"""With the admission policy a task has its finalizer from birth, and becomes Running by one write, as exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import yaml

from agora_transcription.api import API_VERSION, FINALIZER, KIND
from support.admission import admission_policy
from support.kube import API, Body, has_reason
from support.metrics import read_metrics
from support.world import World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE = "example.com/mine"
GIT = "from-git"


@pytest.fixture(scope="module", autouse=True)
def policy(control_plane: ControlPlane) -> Iterator[None]:
    with admission_policy(control_plane):
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    control_plane: ControlPlane, operator_kubeconfig: Path, module_namespace: str, logs: Path
) -> AsyncIterator[World]:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, module_namespace, logs) as made:
        yield made


async def born_with(world: World, finalizers: list[str] | None = None, **spec: bool) -> list[str]:
    """The finalizers of a task that is created with these; it is not kept."""
    body: Body = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "unborn", "finalizers": finalizers},
        "spec": {"channel": "nowhere", "languages": ["en-US"], **spec},
    }
    path = f"{API}/namespaces/{world.kube.namespace}/transcriptiontasks"
    born: list[str] = (await world.kube.request("POST", f"{path}?dryRun=All", body))["metadata"].get("finalizers", [])
    return born


async def writes(world: World) -> dict[str, float]:
    value = await read_metrics(world.operator.metrics)
    kinds = ("finalizers", "status")
    return {kind: value("agora_transcription_object_writes_total", kind=kind) or 0 for kind in kinds}


@pytest.mark.parametrize(
    ("given", "born"),
    [
        (None, [FINALIZER]),
        ([], [FINALIZER]),
        ([MINE], [MINE, FINALIZER]),
        ([FINALIZER, MINE], [FINALIZER, MINE]),
    ],
    ids=["none", "an empty list", "another", "its own"],
)
async def test_a_task_is_born_with_one_finalizer_of_the_operator_beside_the_others(
    world: World, given: list[str] | None, born: list[str]
) -> None:
    assert await born_with(world, given) == born


async def test_one_that_is_not_to_run_is_left_to_the_operator(world: World) -> None:
    assert await born_with(world, suspend=True) == []
    assert await born_with(world, suspend=False) == [FINALIZER]


async def test_a_task_costs_one_write_to_become_running_and_one_to_go(world: World) -> None:
    before = await writes(world)
    created = await world.create("cheap")
    assert created["metadata"]["finalizers"] == [FINALIZER]
    await world.running("cheap")
    assert await writes(world) == {"finalizers": before["finalizers"], "status": before["status"] + 1}

    await world.kube.delete("cheap")
    await world.kube.wait_gone("cheap")
    assert await writes(world) == {"finalizers": before["finalizers"] + 1, "status": before["status"] + 1}
    assert [call["operation"] for call in await world.calls("join|leave", "cheap")] == ["join", "leave"]
    assert await world.live("cheap") == []


async def test_a_finalizer_of_somebody_else_stays(world: World) -> None:
    await world.kube.create("held", {"channel": "room-held", "languages": ["en-US"]}, finalizers=[MINE])
    running = await world.running("held")
    assert running["metadata"]["finalizers"] == [MINE, FINALIZER]
    await world.kube.delete("held")
    await world.kube.wait("held", lambda body: body["metadata"]["finalizers"] == [MINE])
    assert await world.live("held") == []
    await world.kube.patch_metadata("held", {"finalizers": None})
    await world.kube.wait_gone("held")


async def test_it_is_nobodys_so_that_no_manifest_takes_it_away(world: World, control_plane: ControlPlane) -> None:
    """Applied by the server and by the client, unchanged and changed."""

    def kubectl(how: str, name: str, *languages: str) -> str:
        metadata = {"name": name, "namespace": world.kube.namespace}
        spec = {"channel": f"room-{name}", "languages": list(languages)}
        manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
        return control_plane.kubectl(*how.split(), "--filename=-", stdin=yaml.safe_dump(manifest))

    for name, by in (("served", f"--server-side --field-manager={GIT}"), ("clients", "--server-side=false")):
        kubectl(f"apply {by}", name, "en-US")
        created = await world.kube.get(name)
        assert created is not None
        assert created["metadata"]["finalizers"] == [FINALIZER]
        assert [
            e for e in created["metadata"]["managedFields"] if "f:finalizers" in e["fieldsV1"].get("f:metadata", {})
        ] == []

        before = await world.running(name)
        kubectl(f"apply {by}", name, "en-US")
        assert kubectl(f"diff {by}", name, "en-US") == ""
        after = await world.kube.get(name)
        assert after is not None
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]

        kubectl(f"apply {by}", name, "de-DE")
        changed = await world.running(name)
        assert changed["metadata"]["finalizers"] == [FINALIZER]
        assert changed["status"]["taskId"] == before["status"]["taskId"]


async def test_what_was_created_while_no_operator_ran_is_started_once_when_one_does(world: World) -> None:
    """It lists them, with their finalizer and without a status, as one would that another has started."""
    assert world.operator.stop() == 0
    names = [f"early{index}" for index in range(5)]
    for name in names:
        await world.create(name)
    await world.create("asleep", suspend=True)
    await world.create("given-up")
    await world.kube.delete("given-up")

    await world.operator.start_and_wait()
    for name in names:
        running = await world.running(name)
        [task] = await world.tasks(channel=f"room-{name}")
        assert running["status"]["taskId"] == task["taskId"]
        assert len(await world.calls("join", name)) == 1
    await world.kube.wait("asleep", has_reason("Suspended"))
    assert await world.calls(name="asleep") == []
    # Whether it was started cannot be told, so it was, once, to be stopped: docs/guarantees.md.
    await world.kube.wait_gone("given-up")
    assert await world.live("given-up") == []
    assert len(await world.tasks(channel="room-given-up")) <= 1
