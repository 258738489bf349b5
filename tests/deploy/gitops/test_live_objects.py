"""What Argo CD, Flux and kstatus say of objects in every state, as the real operator and API server leave them.

`pytest tests/deploy/gitops --write-testdata` writes what the objects are into the test data of health.lua; without that
the two are compared.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from agora_transcription.api import FINALIZER
from support.health import CHECK, FLUX_FOR_KSTATUS, argo_health, as_argo_shows, flux_health
from support.kstatus import kstatus
from support.kube import Body, has_reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWAY = {"status": 503, "body": "<html>unavailable</html>", "times": 0}


@pytest_asyncio.fixture(loop_scope="module")
async def world(world: World) -> AsyncIterator[World]:
    """The module's, in which nothing of a test is left."""
    yield world
    await undisturbed(world)
    await world.options(startDelay=0, stopDelay=0)
    if not world.operator.running:
        await world.operator.start_and_wait()
    for body in await world.kube.all():
        name = body["metadata"]["name"]
        await world.kube.delete(name)
        await world.kube.wait_gone(name, 40)


async def undisturbed(world: World) -> None:
    (await world.agora.delete("/simulator/faults")).raise_for_status()
    (await world.agora.post("/simulator/release")).raise_for_status()


async def unseen(world: World) -> Body:
    world.operator.stop()
    return await world.create("standup")


async def starting(world: World) -> Body:
    await world.options(startDelay=3)
    await world.create("standup")
    return await world.kube.wait("standup", has_reason("Starting"))


async def running(world: World) -> Body:
    await world.create("standup")
    return await world.running("standup")


async def stale(world: World) -> Body:
    await running(world)
    world.operator.stop()
    return await world.kube.patch("standup", {"languages": ["en-US", "fr-FR"]})


async def updating(world: World) -> Body:
    await running(world)
    await world.faults({"operation": "update", "hold": True})
    await world.kube.patch("standup", {"languages": ["en-US", "fr-FR"]})
    return await world.kube.wait("standup", has_reason("Updating"))


async def suspending(world: World) -> Body:
    await running(world)
    await world.options(stopDelay=3)
    await world.kube.patch("standup", {"suspend": True})
    return await world.kube.wait("standup", has_reason("Stopping"))


async def suspended(world: World) -> Body:
    await running(world)
    await world.kube.patch("standup", {"suspend": True})
    return await world.kube.wait("standup", has_reason("Suspended"))


async def completed(world: World) -> Body:
    (await world.agora.put("/simulator/channels/room-standup", json={"hosts": 0})).raise_for_status()
    await world.create("standup", idleTimeoutSeconds=2)
    body = await world.kube.wait("standup", has_reason("Completed"))
    (await world.agora.put("/simulator/channels/room-standup", json={"hosts": 1})).raise_for_status()
    return body


async def failed(world: World) -> Body:
    await world.create("standup", restartPolicy="Never")
    body = await world.running("standup")
    await world.end(body["status"]["taskId"], "FAILED", "Fatal ASR error")
    return await world.kube.wait("standup", has_reason("TaskFailed"))


async def secret_missing(world: World) -> Body:
    await world.create("standup", credentialsSecretRef={"name": "forgotten"})
    return await world.kube.wait("standup", has_reason("SecretNotFound"))


async def retrying(world: World) -> Body:
    await world.faults({"operation": "join", **AWAY})
    await world.create("standup")
    return await world.kube.wait("standup", has_reason("AgoraUnavailable"))


async def agora_unavailable(world: World) -> Body:
    await running(world)
    await world.faults({"operation": "query", **AWAY})
    return await world.kube.wait("standup", has_reason("AgoraUnavailable"))


async def deleting(world: World) -> Body:
    await running(world)
    await world.faults({"operation": "leave", **AWAY})
    await world.kube.delete("standup")
    return await world.kube.wait("standup", lambda body: "AgoraUnavailable" in str(body["status"]["conditions"]))


STATES: dict[Callable[[World], Awaitable[Body]], tuple[str, str]] = {
    unseen: ("InProgress", "Progressing"),
    starting: ("InProgress", "Progressing"),
    running: ("Current", "Healthy"),
    stale: ("InProgress", "Progressing"),
    updating: ("InProgress", "Progressing"),
    suspending: ("InProgress", "Progressing"),
    suspended: ("Current", "Suspended"),
    completed: ("Current", "Healthy"),
    failed: ("Failed", "Degraded"),
    secret_missing: ("Failed", "Degraded"),
    retrying: ("InProgress", "Progressing"),
    agora_unavailable: ("InProgress", "Progressing"),
    deleting: ("Terminating", "Progressing"),
}
"""Each state with kstatus' word for it, and Argo CD's."""


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_a_live_object_is_read_as_its_test_data(
    world: World, state: Callable[[World], Awaitable[Body]], request: pytest.FixtureRequest
) -> None:
    body = await state(world)
    by_kstatus, by_argo = STATES[state]
    assert kstatus(body) == by_kstatus
    assert as_argo_shows(body) == by_argo
    if by_kstatus != "Terminating":
        assert flux_health(body) == FLUX_FOR_KSTATUS[by_kstatus]

    data = CHECK / "testdata" / f"{state.__name__}.yaml"
    if request.config.getoption("--write-testdata", default=False):
        data.write_text(written(body, world.kube.namespace))
    kept = yaml.safe_load(data.read_text())
    assert essence(body) == essence(kept)
    assert argo_health(body).message.split(":")[0] == argo_health(kept).message.split(":")[0]


async def test_through_a_life_kstatus_says_when_to_wait_and_when_all_is_done(world: World) -> None:
    seen: list[Body] = []
    seen.append(await world.create("standup"))
    seen.append(await world.running("standup"))
    await world.faults({"operation": "update", "hold": True})
    seen.append(await world.kube.patch("standup", {"languages": ["en-US", "fr-FR"]}))
    seen.append(await world.kube.wait("standup", has_reason("Updating")))
    await undisturbed(world)
    seen.append(await world.running("standup"))
    seen.append(await world.kube.patch("standup", {"idleTimeoutSeconds": 120}))
    seen.append(await world.running("standup"))
    words = ["InProgress", "Current", "InProgress", "InProgress", "Current", "InProgress", "Current"]
    assert [kstatus(body) for body in seen] == words
    assert [flux_health(body) for body in seen] == [FLUX_FOR_KSTATUS[word] for word in words]
    shown = {"InProgress": "Progressing", "Current": "Healthy"}
    assert [as_argo_shows(body) for body in seen] == [shown[word] for word in words]


def essence(body: dict[str, Any]) -> dict[str, Any]:
    """What of an object does not change from run to run."""
    status, metadata = body["status"], body["metadata"]
    conditions = [
        {key: condition[key] for key in ("type", "status", "reason", "observedGeneration")}
        for condition in status.get("conditions", [])
    ]
    return {
        "spec": body["spec"],
        "metadata": {"generation": metadata["generation"], "deleting": "deletionTimestamp" in metadata},
        "guarded": metadata.get("finalizers") == [FINALIZER],
        "observed": status["observedGeneration"],
        "phase": status.get("phase"),
        "conditions": conditions,
    }


def written(body: dict[str, Any], namespace: str) -> str:
    """The object as `kubectl get -o yaml` shows it, in a namespace of its own name."""
    shown = copy.deepcopy(body)
    shown["metadata"].pop("managedFields", None)
    return yaml.safe_dump(shown, width=120, allow_unicode=True).replace(namespace, "default")
