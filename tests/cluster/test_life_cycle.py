"""The life of a task on the real API server, with both of Agora's APIs, under the operator's roles in production."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from support.kube import condition, has_reason, is_settled
from support.world import CREDENTIALS, World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINALIZER = "transcription.dev/agora-task"
START = "join|start"
STOP = "leave|stop"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["v7", "v6"])
async def shared(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    operator_kubeconfig: Path,
    module_namespace: str,
    logs: Path,
) -> AsyncIterator[World]:
    # A namespace is made per module, its objects are named per API.
    flags = (f"--agora-api={request.param}",)
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, module_namespace, logs, *flags) as made:
        made.kube.namespace = module_namespace
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared: World) -> AsyncIterator[World]:
    yield shared
    await shared.agora.delete("/simulator/faults")
    await shared.options(startDelay=0, stopDelay=0, forgetEnded=False, conflictCarriesId=False)
    bodies = await shared.kube.all()
    tokens = {body.get("status", {}).get("builderToken") for body in bodies} - {None}
    log = shared.operator.log.read_text()
    assert [token for token in tokens if token in log] == [], "a builderToken stands in the operator's log"
    for body in bodies:
        await shared.kube.delete(body["metadata"]["name"])
    for body in await shared.kube.all():
        await shared.kube.wait_gone(body["metadata"]["name"])
    assert await shared.tasks(live="true") == []


async def test_an_object_gets_one_task_and_says_so(world: World) -> None:
    await world.create("first")
    body = await world.running("first")

    [task] = await world.live("first")
    status = body["status"]
    assert body["metadata"]["finalizers"] == [FINALIZER]
    assert status["taskId"] == task["taskId"]
    assert status["botUid"] == task["botUid"]
    assert status["applied"]["languages"] == ["en-US"]
    assert status["agoraApi"] == task["dialect"]
    assert condition(body, "Reconciling") is None
    assert condition(body, "Stalled") is None
    events = await world.eventually(lambda: world.kube.events("first"), "an event")
    assert {"Running"} <= {event["reason"] for event in events}


async def test_a_slow_start_is_followed_until_it_runs(world: World) -> None:
    await world.options(startDelay=1)
    await world.create("slow")
    starting = await world.kube.wait("slow", has_reason("Starting"))
    assert condition(starting, "Reconciling") is not None
    await world.running("slow")


async def test_languages_and_speakers_change_in_place_with_one_call(world: World) -> None:
    await world.create("update")
    before = await world.running("update")
    await world.kube.patch("update", {"languages": ["en-US", "de-DE"]})
    await world.kube.patch("update", {"subscribeAudioUids": ["11", "12"]})
    await world.kube.patch("update", {"translation": {"languages": [{"source": "en-US", "targets": ["fr-FR"]}]}})
    after = await world.running("update")

    assert after["status"]["taskId"] == before["status"]["taskId"]
    assert after["status"]["sequenceId"] == 1
    [update] = await world.calls("update", "update")
    masks = "languages,rtcConfig.subscribeAudioUids,translateConfig.enable,translateConfig.languages"
    assert sorted(update["updateMask"].split(",")) == sorted(masks.split(","))
    [start] = await world.calls(START, "update")
    assert update["at"] - start["at"] >= 5
    [task] = await world.live("update")
    assert task["settings"]["languages"] == ["en-US", "de-DE"]


async def test_a_second_update_waits_for_the_first(world: World) -> None:
    await world.create("twice")
    await world.running("twice")
    await world.kube.patch("twice", {"languages": ["de-DE"]})
    await world.running("twice")
    await world.kube.patch("twice", {"languages": ["fr-FR"]})
    body = await world.running("twice")

    assert body["status"]["sequenceId"] == 2
    first, second = await world.calls("update", "twice")
    assert second["at"] - first["at"] >= 5
    assert (int(first["sequenceId"]), int(second["sequenceId"])) == (1, 2)
    assert (first["code"], second["code"]) == (200, 200)


async def test_a_lost_answer_to_an_update_is_made_good_with_a_higher_sequence_id(world: World) -> None:
    await world.create("lostup")
    await world.running("lostup")
    await world.faults({"operation": "update", "drop": "after"})
    await world.kube.patch("lostup", {"languages": ["de-DE"]})
    body = await world.running("lostup")

    assert body["status"]["sequenceId"] == 2
    assert [int(call["sequenceId"]) for call in await world.calls("update", "lostup")] == [1, 2]
    assert body["status"]["applied"]["languages"] == ["de-DE"]


async def test_what_cannot_be_changed_in_place_makes_another_task(world: World) -> None:
    await world.options(stopDelay=0.5)
    await world.create("restart")
    before = await world.running("restart")
    await world.kube.patch("restart", {"idleTimeoutSeconds": 120})
    after = await world.running("restart")

    assert after["status"]["taskId"] != before["status"]["taskId"]
    assert after["status"]["restarts"] == 1
    [ended] = after["status"]["history"]
    assert (ended["taskId"], ended["reason"]) == (before["status"]["taskId"], "SpecChanged")
    [task] = await world.live("restart")
    assert task["settings"]["maxIdleTime"] == 120


async def test_what_concerns_agora_not_at_all_changes_nothing_there(world: World) -> None:
    await world.create("policy")
    before = await world.running("policy")
    calls = await world.calls(f"{START}|update|{STOP}", "policy")
    await world.kube.patch("policy", {"restartPolicy": "Always"})
    after = await world.running("policy")
    assert after["status"]["taskId"] == before["status"]["taskId"]
    assert await world.calls(f"{START}|update|{STOP}", "policy") == calls


async def test_suspended_and_resumed(world: World) -> None:
    await world.create("pause")
    first = await world.running("pause")
    await world.kube.patch("pause", {"suspend": True})
    suspended = await world.kube.wait("pause", has_reason("Suspended"))
    assert "taskId" not in suspended["status"]
    assert await world.live("pause") == []
    await world.kube.patch("pause", {"suspend": False})
    second = await world.running("pause")
    assert second["status"]["taskId"] != first["status"]["taskId"]
    assert [ended["reason"] for ended in second["status"]["history"]] == ["Suspended"]


async def test_created_suspended_nothing_starts(world: World) -> None:
    await world.create("born", suspend=True)
    await world.kube.wait("born", has_reason("Suspended"))
    assert await world.calls(name="born") == []


async def test_a_deleted_object_leaves_no_task(world: World) -> None:
    await world.create("gone")
    await world.running("gone")
    await world.kube.delete("gone")
    await world.kube.wait_gone("gone")
    assert await world.live("gone") == []
    assert len(await world.calls(STOP, "gone")) == 1


async def test_a_task_that_ended_before_does_not_hold_a_deletion_up(world: World) -> None:
    await world.options(forgetEnded=True)
    await world.create("early", restartPolicy="Never")
    body = await world.running("early")
    await world.end(body["status"]["taskId"], "STOPPED", "OK")
    await world.kube.delete("early")
    await world.kube.wait_gone("early")


async def test_an_orphan_goes_on(world: World) -> None:
    await world.create("orphan", deletionPolicy="Orphan")
    body = await world.running("orphan")
    await world.kube.delete("orphan")
    await world.kube.wait_gone("orphan")
    [task] = await world.live("orphan")
    assert task["taskId"] == body["status"]["taskId"]
    await world.end(task["taskId"], "STOPPED", "OK")


async def test_a_failed_task_is_followed_by_another(world: World) -> None:
    await world.create("failing")
    before = await world.running("failing")
    await world.end(before["status"]["taskId"], "FAILED", "Fatal ASR error")
    after = await world.kube.wait(
        "failing",
        lambda body: is_settled(body) and body["status"].get("taskId") not in {None, before["status"]["taskId"]},
    )
    [ended] = after["status"]["history"]
    assert ended["reason"] == "Failed"
    assert after["status"]["restarts"] == 1


async def test_a_failed_task_stays_failed_where_the_policy_says_so(world: World) -> None:
    await world.create("never", restartPolicy="Never")
    before = await world.running("never")
    await world.end(before["status"]["taskId"], "FAILED", "Fatal ASR error")
    body = await world.kube.wait("never", has_reason("TaskFailed"))
    assert body["status"]["phase"] == "Failed"
    assert condition(body, "Stalled") is not None
    assert "completionTime" in body["status"]
    assert await world.live("never") == []


async def test_a_task_that_vanished_at_agora_is_started_again(world: World) -> None:
    await world.options(forgetEnded=True)
    await world.create("vanish")
    before = await world.running("vanish")
    await world.end(before["status"]["taskId"], "STOPPED", "OK")
    after = await world.kube.wait(
        "vanish",
        lambda body: is_settled(body) and body["status"].get("taskId") not in {None, before["status"]["taskId"]},
    )
    assert after["status"]["history"][-1]["reason"] == "Disappeared"


async def test_a_start_whose_answer_is_lost_is_adopted(world: World) -> None:
    await world.faults({"operation": "join", "drop": "after"}, {"operation": "start", "drop": "after"})
    await world.create("adopt")
    body = await world.running("adopt")
    [task] = await world.live("adopt")
    assert body["status"]["taskId"] == task["taskId"]
    assert len(await world.tasks(channel="room-adopt")) == 1


async def test_a_start_whose_answer_is_lost_is_adopted_by_the_id_in_the_conflict(world: World) -> None:
    await world.options(conflictCarriesId=True)
    await world.faults({"operation": "join", "drop": "after"}, {"operation": "start", "drop": "after"})
    await world.create("adoptid")
    body = await world.running("adoptid")
    [task] = await world.tasks(channel="room-adoptid")
    assert body["status"]["taskId"] == task["taskId"]
    assert await world.calls("list", "adoptid") == []


async def test_a_missing_secret_is_named_and_its_coming_noticed(world: World) -> None:
    await world.create("nosecret", credentialsSecretRef={"name": "other-credentials"})
    body = await world.kube.wait("nosecret", has_reason("SecretNotFound"))
    stalled = condition(body, "Stalled")
    assert stalled is not None
    assert f"{world.kube.namespace}/other-credentials does not exist: create it" in stalled["message"]
    await world.kube.put_secret("other-credentials", CREDENTIALS)
    await world.running("nosecret", timeout=10)
    await world.kube.delete_secret("other-credentials")


async def test_a_secret_without_a_key_is_named(world: World) -> None:
    incomplete = {key: value for key, value in CREDENTIALS.items() if key != "customerSecret"}
    await world.kube.put_secret("incomplete", incomplete)
    await world.create("badsecret", credentialsSecretRef={"name": "incomplete"})
    body = await world.kube.wait("badsecret", has_reason("SecretInvalid"))
    assert "incomplete: key customerSecret is missing or empty" in body["status"]["conditions"][0]["message"]
    await world.kube.put_secret("incomplete", CREDENTIALS)
    await world.running("badsecret", timeout=10)


async def test_refused_credentials_stall_and_recover_with_the_secret(world: World) -> None:
    await world.kube.put_secret("wrong", {**CREDENTIALS, "customerSecret": "not-it"})
    await world.create("refused", credentialsSecretRef={"name": "wrong"})
    body = await world.kube.wait("refused", has_reason("CredentialsRefused"))
    assert condition(body, "Stalled") is not None
    assert f"{world.kube.namespace}/wrong" in body["status"]["conditions"][0]["message"]
    await world.kube.put_secret("wrong", CREDENTIALS)
    await world.running("refused", timeout=10)


async def test_another_app_id_in_the_secret_does_not_make_the_task_seem_gone(world: World) -> None:
    await world.kube.put_secret("moving", CREDENTIALS)
    await world.create("moving", credentialsSecretRef={"name": "moving"})
    await world.running("moving")
    await world.kube.put_secret("moving", {**CREDENTIALS, "appId": "f" * 32})
    body = await world.kube.wait("moving", has_reason("SecretInvalid"), timeout=60)
    assert "put the former one back" in body["status"]["conditions"][0]["message"]
    assert len(await world.live("moving")) == 1
    await world.kube.put_secret("moving", CREDENTIALS)
    await world.running("moving", timeout=10)
    assert len(await world.calls(START, "moving")) == 1


async def test_an_object_whose_secret_never_came_can_be_deleted(world: World) -> None:
    await world.create("hopeless", credentialsSecretRef={"name": "never"})
    await world.kube.wait("hopeless", has_reason("SecretNotFound"))
    await world.kube.delete("hopeless")
    await world.kube.wait_gone("hopeless", timeout=5)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, {"reason": "ServiceNotEnabled", "detail": "STT is not enabled"}, "ServiceNotEnabled"),
        (400, {"message": "invalid_appid!"}, "ServiceNotEnabled"),
        (422, {"reason": "ResourceQuotaLimitExceeded", "detail": "too many"}, "QuotaExceeded"),
        (400, {"reason": "InvalidFieldValue", "detail": "languages: no"}, "RequestRefused"),
        (429, {"message": "slow down"}, "Throttled"),
        (503, "<html>unavailable</html>", "AgoraUnavailable"),
    ],
)
async def test_what_stands_in_the_way_has_its_own_reason(
    world: World, status: int, body: dict[str, str] | str, reason: str
) -> None:
    # Whatever comes first on the way to a task: V6's acquire would be met instead of its start.
    name = f"blocked-{status}-{reason.lower()}"
    name += "-m" if isinstance(body, dict) and "message" in body else ""
    await world.faults(*({"operation": op, "times": 0, "status": status, "body": body} for op in ("join", "start")))
    await world.create(name)
    seen = await world.kube.wait(name, has_reason(reason))
    assert (condition(seen, "Stalled") is None) != (condition(seen, "Reconciling") is None)
    await world.agora.delete("/simulator/faults")
    # A change of the spec is a reason to try again at once, whatever the pause.
    await world.kube.patch(name, {"languages": ["de-DE"]})
    await world.running(name, timeout=40)


async def test_nothing_is_written_when_nothing_changes(world: World) -> None:
    await world.create("steady")
    await world.running("steady")

    async def polled() -> bool:
        return len(await world.calls("query", "steady")) >= polls

    # V6 says STARTED first and IN_PROGRESS after; what the first poll has to write is written before the second.
    polls = 2
    await world.eventually(polled, "two polls")
    before = await world.kube.get("steady")
    assert before is not None
    polls = 6
    await world.eventually(polled, "four more polls")
    after = await world.kube.get("steady")
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_the_spec_is_the_users_alone(world: World) -> None:
    created = await world.create("mine")
    body = await world.running("mine")
    assert body["spec"] == created["spec"]
    assert body["metadata"]["generation"] == created["metadata"]["generation"]
    assert "annotations" not in body["metadata"]


async def test_a_restarted_operator_takes_over_without_a_call_too_many(world: World) -> None:
    await world.create("takeover")
    before = await world.running("takeover")
    world.operator.kill()
    await world.kube.patch("takeover", {"languages": ["de-DE"]})
    killed = datetime.now().timestamp()  # noqa: DTZ005 - compared with the simulator's clock of this machine
    await world.operator.start_and_wait()
    after = await world.running("takeover")
    assert after["status"]["taskId"] == before["status"]["taskId"]
    assert len(await world.calls(START, "takeover")) == 1
    [update] = await world.calls("update", "takeover")
    # The killed one may have sent an update that nobody knows of: its successor waits out Agora's 5 seconds.
    assert update["at"] - killed >= 5
