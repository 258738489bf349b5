"""Start, stop and query on the real API server, with operator and simulator: one task, whatever crashes or races."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from agora_transcription.gateway import passes
from agora_transcription.gateway.tasks import name_of
from gateway.conftest import SIGNING_KEY, rights, rooms
from support.kube import condition
from support.metrics import read_metrics
from support.processes import Gateway

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane
    from gateway.conftest import Rooms, Served
    from support.kube import Body

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_start_a_query_and_a_stop(world: Rooms, gateway: Served) -> None:
    ids = await gateway.start("daily stand-up")
    [task] = await world.live_in("daily stand-up")
    assert ids["taskId"] == task["taskId"]
    state = await gateway.post("transcription/query", **ids)
    assert state.status_code == 200
    assert state.json() == {"taskId": ids["taskId"], "createTs": state.json()["createTs"], "status": "IN_PROGRESS"}
    stopped = await gateway.post("transcription/stop", **ids)
    assert (stopped.status_code, stopped.json()) == (200, {})
    assert await world.live_in("daily stand-up") == []  # and not only soon
    assert await world.of_channel("daily stand-up") == []
    assert (await gateway.post("transcription/query", **ids)).status_code == 404
    again = await gateway.post("transcription/stop", **ids)
    assert (again.status_code, again.json()) == (200, {})


async def test_the_object_asks_for_what_the_settings_say(world: Rooms) -> None:
    flags = ("--language=de-DE", "--language=en-US", "--idle-timeout=90", "--task-deadline=0")
    async with world.gateway("settings", *flags) as gateway:
        ids = await gateway.start("settings")
        [body] = await world.of_channel("settings")
        await gateway.post("transcription/stop", **ids)
    assert body["metadata"]["name"] == name_of("settings")
    assert body["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "agora-transcription-gateway"}
    spec = body["spec"]
    assert (spec["languages"], spec["idleTimeoutSeconds"]) == (["de-DE", "en-US"], 90)
    assert "activeDeadlineSeconds" not in spec


async def test_20_starts_at_once_of_two_gateways_make_one_task(world: Rooms, gateway: Served) -> None:
    async with world.gateway("second") as second:
        callers = [gateway if number % 2 else second for number in range(20)]
        answers = await asyncio.gather(*(each.start("crowded") for each in callers))
        assert len({tuple(sorted(ids.items())) for ids in answers}) == 1
        assert len(await world.joins("crowded")) == 1
        assert len(await world.of_channel("crowded")) == 1
        # What one has started another may stop: the token is all there is to know.
        assert (await second.post("transcription/stop", **answers[0])).status_code == 200
    assert await world.live_in("crowded") == []


async def test_a_gateway_killed_before_its_answer_has_lost_nothing(world: Rooms) -> None:
    await world.faults({"operation": "join", "match": {"channel": "crash"}, "hold": True})
    async with world.gateway("killed") as gateway:
        cut_off = asyncio.create_task(gateway.post("transcription/start", channel="crash"))
        await world.eventually(lambda: world.joins("crash"), "the join")
        gateway.process.kill()
        with pytest.raises(httpx.TransportError):
            await cut_off
        assert len(await world.of_channel("crash")) == 1
        await world.agora.post("/simulator/release")
        gateway.process.start()
        await gateway.process.wait_for(f"{gateway.process.health}/readyz")
        ids = await gateway.start("crash")
        [task] = await world.live_in("crash")
        assert ids["taskId"] == task["taskId"]
        assert len(await world.tasks(channel="crash")) == 1
        assert (await gateway.post("transcription/stop", **ids)).status_code == 200


async def test_a_start_that_agora_refuses_is_a_502_and_leaves_nothing(world: Rooms, gateway: Served) -> None:
    await world.faults({"operation": "join", "match": {"channel": "refused"}, "status": 400, "times": 0, "body": {}})
    answer = await gateway.post("transcription/start", channel="refused")
    assert (answer.status_code, answer.text) == (502, "the transcription cannot be started: RequestRefused")
    await world.eventually(lambda: gone(world, "refused"), "the object's end")
    await world.agora.delete("/simulator/faults")


async def test_a_start_that_takes_too_long_is_a_504_and_leaves_nothing(world: Rooms) -> None:
    await world.faults({"operation": "join", "match": {"channel": "slow"}, "status": 503, "times": 0})
    async with world.gateway("impatient", "--start-timeout=5") as gateway:
        answer = await gateway.post("transcription/start", channel="slow")
        assert answer.status_code == 504
        assert answer.text == "the transcription has not started in 5 s: AgoraUnavailable"
        await world.agora.delete("/simulator/faults")
        await world.eventually(lambda: gone(world, "slow"), "the object's end")
        assert await world.live_in("slow") == []


async def test_a_failure_that_an_earlier_call_has_left_is_cleared_away(world: Rooms, gateway: Served) -> None:
    """The gateway died before it could: the next start makes a new object, and does not answer with the old failure."""
    refusal = {"status": 400, "body": {}, "delaySeconds": 4, "times": 0}
    await world.faults({"operation": "join", "match": {"channel": "left"}, **refusal})
    async with world.gateway("left", "--start-timeout=60") as dying:
        cut_off = asyncio.create_task(dying.post("transcription/start", channel="left"))
        await world.eventually(lambda: world.of_channel("left"), "the object")
        dying.process.kill()
        await asyncio.wait({cut_off})
        assert isinstance(cut_off.exception(), httpx.TransportError)
    [body] = await world.of_channel("left")
    await world.kube.wait(body["metadata"]["name"], stalled)
    await world.agora.delete("/simulator/faults")
    ids = await gateway.start("left")
    [after] = await world.of_channel("left")
    assert after["metadata"]["uid"] != body["metadata"]["uid"]
    await gateway.post("transcription/stop", **ids)


async def test_a_token_of_the_object_before_stops_nothing_of_the_next(world: Rooms, gateway: Served) -> None:
    old = await gateway.start("twice")
    await gateway.post("transcription/stop", **old)
    new = await gateway.start("twice")
    assert new["builderToken"] != old["builderToken"]
    assert (await gateway.post("transcription/stop", **old)).status_code == 200
    assert [task["taskId"] for task in await world.live_in("twice")] == [new["taskId"]]
    assert (await gateway.post("transcription/query", **old)).status_code == 404
    await gateway.post("transcription/stop", **new)


async def test_a_start_during_a_stop_makes_the_next_task(world: Rooms, gateway: Served) -> None:
    first = await gateway.start("again")
    match = {"taskId": first["taskId"]}
    await world.faults({"operation": "leave", "match": match, "delaySeconds": 1})
    stopping = asyncio.create_task(gateway.post("transcription/stop", **first))

    async def deleting() -> bool:
        return any("deletionTimestamp" in body["metadata"] for body in await world.of_channel("again"))

    await world.eventually(deleting, "the deletion")
    state = await gateway.post("transcription/query", **first)
    assert state.json()["status"] == "STOPPING"
    second = await gateway.start("again")
    assert (await stopping).status_code == 200
    assert second["taskId"] != first["taskId"]
    assert [task["taskId"] for task in await world.live_in("again")] == [second["taskId"]]
    await gateway.post("transcription/stop", **second)


async def test_a_stop_that_takes_too_long_is_a_504_and_goes_on(world: Rooms) -> None:
    async with world.gateway("hasty", "--stop-timeout=1") as gateway:
        ids = await gateway.start("sticky")
        await world.faults({"operation": "leave", "match": {"taskId": ids["taskId"]}, "status": 503, "times": 0})
        answer = await gateway.post("transcription/stop", **ids)
        assert answer.status_code == 504
        await world.agora.delete("/simulator/faults")
        await world.eventually(lambda: gone(world, "sticky"), "the object's end")
        assert await world.live_in("sticky") == []


async def test_forged_and_foreign_tokens_stop_nothing(world: Rooms, gateway: Served) -> None:
    ids, other = await gateway.start("guarded"), await gateway.start("other")
    granted = passes.read(ids["builderToken"], [SIGNING_KEY.encode()])
    assert granted is not None
    elsewhere = passes.Pass("another-namespace", granted.name, granted.uid, granted.task_id)
    for token in (
        "guess",
        f"{ids['builderToken']}x",
        other["builderToken"],
        passes.sign(granted, b"the key of another gateway, as long as ours"),
        passes.sign(elsewhere, SIGNING_KEY.encode()),
    ):
        for page in ("stop", "query"):
            answer = await gateway.post(f"transcription/{page}", taskId=ids["taskId"], builderToken=token)
            assert answer.status_code == 403, token
    assert len(await world.live_in("guarded")) == 1
    for each in (ids, other):
        await gateway.post("transcription/stop", **each)


async def test_an_object_of_somebody_else_under_the_name_is_left_alone(world: Rooms, gateway: Served) -> None:
    await world.kube.create(name_of("taken"), {"channel": "theirs", "languages": ["en-US"]})
    answer = await gateway.post("transcription/start", channel="taken")
    assert (answer.status_code, answer.text) == (
        502,
        "the transcription cannot be started: another object has its name",
    )
    assert await world.kube.get(name_of("taken")) is not None
    await world.kube.delete(name_of("taken"))


async def test_the_role_lets_it_do_this_and_nothing_else(world: Rooms, control_plane: ControlPlane) -> None:
    [role] = [body for body in rights(world.kube.namespace) if body["kind"] == "Role"]
    assert role["rules"] == [
        {
            "apiGroups": ["transcription.dev"],
            "resources": ["transcriptiontasks"],
            "verbs": ["get", "create", "delete"],
        }
    ]
    who = f"--as=system:serviceaccount:{world.kube.namespace}:agora-transcription-gateway"
    said = control_plane.kubectl("auth", "can-i", "--list", who, f"--namespace={world.kube.namespace}")
    named = {line.split()[0] for line in said.splitlines()[1:] if "[]" in line}
    assert "secrets" not in said
    assert "transcriptiontasks.transcription.dev" in named


@pytest.mark.parametrize(("verb", "failed"), [("create", "start"), ("delete", "stop")])
async def test_without_a_right_something_is_not_done(
    world: Rooms, gateway: Served, control_plane: ControlPlane, verb: str, failed: str
) -> None:
    ids = await gateway.start("needed")
    bodies = list(rights(world.kube.namespace))
    [role] = [body for body in bodies if body["kind"] == "Role"]
    role["rules"][0]["verbs"].remove(verb)
    control_plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump(role))
    fields = {"channel": "another"} if failed == "start" else ids

    async def refused() -> bool:
        answer = await gateway.post(f"transcription/{failed}", **fields)
        if answer.status_code == 200 and failed == "start":
            await gateway.post("transcription/stop", **answer.json())
        return answer.status_code == 502

    try:
        await world.eventually(refused, "a refusal")
    finally:
        control_plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(rights(world.kube.namespace)))
    log = gateway.process.log.read_text()
    assert f'cannot {verb} resource "transcriptiontasks"' in log

    async def allowed() -> bool:
        return (await gateway.post("transcription/stop", **ids)).status_code == 200

    await world.eventually(allowed, "the right's return")


async def test_without_its_role_it_is_not_ready_and_says_why(world: Rooms, control_plane: ControlPlane) -> None:
    control_plane.kubectl("delete", "rolebinding", "agora-transcription-gateway", "-n", world.kube.namespace)
    log = world.operator.log.with_name(f"{world.kube.namespace}-unready-gateway.log")
    process = Gateway(log, world.kubeconfig, world.kube.namespace, "--anonymous")

    async def readiness() -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"{process.health}/readyz")

    async def says_why() -> bool:
        try:
            page = await readiness()
        except httpx.TransportError:
            return False
        return page.status_code == 503 and 'cannot get resource "transcriptiontasks"' in page.text

    async def ready() -> bool:
        return (await readiness()).status_code == 200

    process.start()
    try:
        await world.eventually(says_why, "what is wrong")
        control_plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(rights(world.kube.namespace)))
        await world.eventually(ready, "readiness, once the right is there")
    finally:
        process.kill()


async def test_sigterm_lets_a_start_end(world: Rooms) -> None:
    await world.faults({"operation": "join", "match": {"channel": "term"}, "delaySeconds": 1})
    async with world.gateway("term") as gateway:
        under_way = asyncio.create_task(gateway.post("transcription/start", channel="term"))
        await world.eventually(lambda: world.of_channel("term"), "the object")
        assert await asyncio.to_thread(gateway.process.stop) == 0
        assert (await under_way).status_code == 200
    async with world.gateway("next") as gateway:
        assert (await gateway.post("transcription/stop", **(await under_way).json())).status_code == 200


async def test_an_address_counts_as_forwarded_by_a_trusted_proxy_alone(world: Rooms) -> None:
    async def refusals(*flags: str) -> list[int]:
        async with world.gateway("proxied", "--calls-per-minute=1", *flags) as gateway:
            wrong = {"Authorization": "Bearer wrong"}
            addresses = ("192.0.2.1", "192.0.2.2", "192.0.2.2")
            pages = [
                await gateway.client.post(
                    "/api/transcription/start.json", headers={**wrong, "X-Forwarded-For": address}
                )
                for address in addresses
            ]
        return [page.status_code for page in pages]

    assert await refusals() == [401, 429, 429]
    assert await refusals("--trusted-proxy=127.0.0.0/8") == [401, 401, 429]
    assert await refusals("--trusted-proxy=192.0.2.0/24") == [401, 429, 429]


async def test_calls_are_counted(gateway: Served) -> None:
    await gateway.post("transcription/start")
    value = await read_metrics(gateway.process.metrics)
    assert value("agora_transcription_gateway_requests_total", endpoint="start", code="400") == 1
    assert (value("agora_transcription_gateway_request_duration_seconds_count", endpoint="start") or 0) >= 1


async def test_v6_is_the_same_to_callers(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, tmp_path: Path
) -> None:
    flags = ("--agora-api=v6",)
    async with (
        rooms(control_plane, operator_kubeconfig, namespace, logs, tmp_path, *flags) as world,
        world.gateway("v6") as gateway,
    ):
        ids = await gateway.start("old")
        [body] = await world.of_channel("old")
        assert body["status"]["agoraApi"] == "V6"
        assert body["status"]["taskId"] == ids["taskId"]
        assert body["status"]["builderToken"] not in ids["builderToken"]
        assert (await gateway.post("transcription/stop", **ids)).json() == {}
        assert await world.live_in("old") == []


async def gone(world: Rooms, channel: str) -> bool:
    return await world.of_channel(channel) == []


def stalled(body: Body) -> bool:
    return condition(body, "Stalled") is not None
