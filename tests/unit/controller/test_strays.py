"""Objects that vanish without the operator's consent: what they leave behind is stopped, and nothing else is."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription import agora
from agora_transcription.agora import Dialect, Observation, State
from agora_transcription.api import FINALIZER
from agora_transcription.controller.memory import Memory
from agora_transcription.controller.store import NotFound, StoreError
from agora_transcription.controller.strays import strays_of
from unit.controller import agora_model
from unit.controller.agora_model import Fault, fault
from unit.controller.builders import BIRTH, UID, after, body_of, rfc3339, task_of
from unit.controller.kubernetes_model import METRICS, unanswered

if TYPE_CHECKING:
    from unit.controller.agora_model import AgoraTask
    from unit.controller.kubernetes_model import Body
    from unit.controller.scene import Scene

DIALECTS = pytest.mark.parametrize("api", [{"agoraApi": "V7"}, {"agoraApi": "V6"}], ids=["V7", "V6"])
RUNNING = {"observedGeneration": 1, "taskId": "agora-1", "agoraStatus": "RUNNING", "agoraApi": "V7"}
NOW = after(3600)


def vanish(scene: Scene) -> None:
    """Its finalizer is taken away by hand while it is deleted."""
    body = scene.server.object
    assert body is not None
    scene.server.object = None
    scene.server.tell("DELETED", body)


async def chase(scene: Scene) -> None:
    """Let the strays be stopped that were found so far."""
    strays = scene.process.reconciler.strays

    async def sleep(seconds: float) -> None:
        scene.clock.advance(seconds)

    strays._sleep = sleep
    while not strays._found.empty():
        await strays.stop(*strays._found.get_nowait())


def counted(outcome: str) -> float:
    return METRICS.registry.get_sample_value("agora_transcription_stray_tasks_total", {"outcome": outcome}) or 0


@DIALECTS
async def test_the_task_of_a_vanished_object_is_stopped(scene: Scene, api: dict[str, str]) -> None:
    before = counted("stopped")
    await scene.running(**api)
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []
    assert scene.process.events.reasons[-1] == "Stopped"
    assert counted("stopped") == before + 1


async def test_it_is_tried_until_agora_is_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.running()
    stop, tries = scene.agora.stop, []

    def down(task: AgoraTask) -> None:
        tries.append(scene.clock.monotonic())
        if len(tries) < 8:
            raise agora.Upstream("stop", code=503)
        stop(task)

    monkeypatch.setattr(scene.agora, "stop", down)
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []
    assert len(tries) == 8
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses)


async def test_one_that_cannot_be_stopped_is_given_up_when_it_has_ended_by_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_: AgoraTask) -> None:
        raise agora.Upstream("stop", code=503)

    await scene.running()
    expiry = scene.status.expiry_time
    monkeypatch.setattr(scene.agora, "stop", down)
    vanish(scene)
    await chase(scene)
    assert scene.process.events.reasons[-1] == "Abandoned"
    assert expiry is not None
    assert timedelta() <= scene.clock.now() - expiry <= timedelta(minutes=6)
    assert scene.agora.live() == []


async def test_one_is_tried_once_also_when_it_should_have_ended_by_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agora does not say that a task ends with its token."""
    monkeypatch.setattr(agora_model, "TOKEN_LIFETIME", 72 * 3600.0)
    await scene.running()
    scene.server.set_secret(None)
    await scene.pass_time(24 * 3600 + 60)
    assert len(scene.agora.live()) == 1
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []


async def test_an_object_that_an_earlier_process_has_let_go_and_others_hold_gives_no_alarm(scene: Scene) -> None:
    before = counted("ended")
    await scene.running()
    assert scene.server.object is not None
    metadata = scene.server.object["metadata"]
    held = {**metadata, "finalizers": [*metadata["finalizers"], "example.org/holds"]}
    scene.server._keep({**scene.server.object, "metadata": held})
    scene.server.request_deletion()
    await scene.process.work()
    assert scene.server.object["metadata"]["finalizers"] == ["example.org/holds"]
    scene.restart()
    await scene.process.work()
    await chase(scene)
    assert scene.process.events.warnings == []
    assert counted("ended") == before + 1


async def test_an_object_that_is_there_after_all_keeps_its_task(scene: Scene) -> None:
    """The watch, or a list, was wrong."""
    await scene.running()
    body = scene.server.object
    vanish(scene)
    scene.server.object = body
    await chase(scene)
    assert len(scene.agora.live()) == 1


async def test_it_is_stopped_when_the_api_server_can_tell_that_it_has_gone(scene: Scene) -> None:
    await scene.running()
    vanish(scene)
    tries = []

    async def get(namespace: str, name: str) -> Body:
        tries.append(name)
        if len(tries) < 3:
            raise StoreError(f"get {namespace}/{name}", None, "no answer")
        if len(tries) == 3:
            return body_of({}, uid="another")
        raise NotFound(f"get {namespace}/{name}", 404, "not found")

    scene.server.get = get  # type: ignore[method-assign]
    await chase(scene)
    assert scene.agora.live() == []
    assert len(tries) == 3


async def test_an_object_that_goes_with_consent_leaves_nothing_behind(scene: Scene) -> None:
    await scene.running()
    scene.server.request_deletion()
    await scene.process.work()
    assert not scene.exists()
    calls = list(scene.agora.calls)
    await chase(scene)
    assert scene.agora.calls == calls
    assert scene.process.events.reasons[-1] == "Stopped"


async def test_deletion_policy_orphan_is_kept_to(scene: Scene) -> None:
    await scene.running(deletionPolicy="Orphan")
    vanish(scene)
    await chase(scene)
    assert len(scene.agora.live()) == 1


async def test_a_start_that_is_answered_when_the_object_is_gone_is_stopped(scene: Scene) -> None:
    scene.server.create({}, guarded=True)

    def remove() -> None:
        vanish(scene)
        scene.server.set_secret(None)

    scene.agora.meanwhile = remove
    await scene.process.work()
    assert len(scene.agora.live()) == 1
    assert scene.process.cache.known_task_ids(but="another") == {"agora-1"}, "another in its channel adopts it not"
    await chase(scene)
    assert scene.agora.live() == []


async def test_it_is_stopped_also_if_the_watch_is_late(scene: Scene) -> None:
    scene.server.create({}, guarded=True)

    def remove() -> None:
        scene.server.object = None

    scene.agora.meanwhile = remove
    await scene.process.work()
    await chase(scene)
    assert len(scene.agora.tasks) == 1
    assert scene.agora.live() == []


async def test_it_is_stopped_also_if_the_api_server_fails_meanwhile(scene: Scene) -> None:
    """Nothing but this answer tells of the task."""

    def remove() -> None:
        vanish(scene)
        scene.server.fault = Fault(unanswered, effect=False)

    scene.server.create({}, guarded=True)
    scene.agora.meanwhile = remove
    await scene.process.work()
    assert len(scene.agora.live()) == 1
    await chase(scene)
    assert scene.agora.live() == []


async def test_both_tasks_of_an_overlap_are_stopped(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.running(rollover="Overlap")
    stop = scene.agora.stop

    def down(_: AgoraTask) -> None:
        raise agora.Upstream("stop", code=503)

    with monkeypatch.context() as patch:
        patch.setattr(scene.agora, "stop", down)
        await scene.pass_time(24 * 3600 - 300)
        assert len(scene.agora.live()) == 2
    assert scene.agora.stop == stop
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []


async def test_a_task_that_another_object_has_now_is_left_to_it(scene: Scene) -> None:
    await scene.running()
    status = scene.status.dump()
    vanish(scene)
    scene.process.cache.offer(body_of({}, status, uid="another", name="another"))
    await chase(scene)
    assert len(scene.agora.live()) == 1
    assert counted("owned") >= 1


async def test_the_last_good_credentials_stop_it_when_the_secret_is_gone_too(scene: Scene) -> None:
    await scene.running()
    scene.server.set_secret(None)
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []


async def test_a_process_that_knows_no_credentials_yet_reads_the_secret(scene: Scene) -> None:
    await scene.running()
    scene.restart()
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []


async def test_a_secret_that_comes_back_is_used(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.running()
    secret = scene.server.secret_data
    scene.server.set_secret(None)
    scene.restart()
    vanish(scene)
    strays = scene.process.reconciler.strays

    async def sleep(seconds: float) -> None:
        scene.clock.advance(seconds)
        if scene.clock.monotonic() > 600:
            scene.server.set_secret(secret)

    monkeypatch.setattr(strays, "_sleep", sleep)
    await strays.stop(*strays._found.get_nowait())
    assert scene.agora.live() == []
    assert scene.process.credentials._last_good == {}


@pytest.mark.parametrize(
    "refusal", [agora.Busy("stop", code=409), agora.RequestRefused("stop", code=400)], ids=["409", "400"]
)
async def test_a_refused_stop_of_a_task_that_has_ended_is_as_good(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, refusal: agora.AgoraError
) -> None:
    def refuse(_: AgoraTask) -> None:
        raise refusal

    await scene.running()
    scene.agora.end(scene.agora.tasks["agora-1"])
    monkeypatch.setattr(scene.agora, "stop", refuse)
    vanish(scene)
    await chase(scene)
    assert scene.clock.monotonic() < 60


async def test_a_bare_404_is_not_believed_while_the_task_is_listed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, tries = scene.agora.stop, []

    def proxy(task: AgoraTask) -> None:
        tries.append(task)
        if len(tries) < 3:
            raise agora.Gone("stop", code=404, text="Not Found", confirmed=False)
        stop(task)

    await scene.running()
    monkeypatch.setattr(scene.agora, "stop", proxy)
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []
    assert len(tries) == 3


async def test_an_object_that_others_still_hold_is_let_go_but_not_its_task(scene: Scene) -> None:
    await scene.running()
    scene.agora.fault = fault(agora.Upstream)
    scene.server.request_deletion()
    assert scene.server.object is not None
    metadata = {**scene.server.object["metadata"], "finalizers": ["example.org/holds"]}
    scene.server._keep({**scene.server.object, "metadata": metadata})
    await scene.process.work()
    await chase(scene)
    assert scene.agora.live() == []
    calls = list(scene.agora.calls)
    vanish(scene)
    await chase(scene)
    assert scene.agora.calls == calls, "once is enough"


async def test_a_status_that_is_not_served_is_no_end_of_the_object(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the write is the same 404: where somebody has applied another CRD."""

    async def no_status(*_: Any) -> Any:
        raise NotFound("write", 404, "not found")

    scene.server.create({}, guarded=True)
    with monkeypatch.context() as patch:
        patch.setattr(scene.server, "write_status", no_status)
        await scene.process.reconcile()
        await scene.process.reconcile()
        assert scene.process.reconciler.strays._found.empty()
        assert len(scene.agora.live()) == 1
        assert scene.process.cache.get(UID) is not None
    await scene.pass_time(10)
    assert scene.status.task_id == "agora-1"
    assert list(scene.agora.tasks) == ["agora-1"]


# Which tasks, and until when ----------------------------------------------------------------------------------------


def remembered(**more: Any) -> Memory:
    return Memory(**{"poll_at": BIRTH, "last_sent": BIRTH, "task_id": "agora-1", **more})


@pytest.mark.parametrize(
    ("status", "memory", "ids"),
    [
        (RUNNING, None, ["agora-1"]),
        (RUNNING, remembered(), ["agora-1"]),
        (None, remembered(), []),
        (RUNNING, remembered(released=True), []),
        (RUNNING, remembered(gone=True), []),
        (RUNNING, remembered(gone=True, task_id="agora-0"), ["agora-1"]),
        (RUNNING, remembered(observation=Observation("agora-1", "STOPPED", State.STOPPED)), []),
        (RUNNING, remembered(observation=Observation("agora-1", "STOPPING", State.STOPPING)), ["agora-1"]),
        ({**RUNNING, "retiring": {"taskId": "agora-0"}}, remembered(gone=True), ["agora-0"]),
    ],
)
def test_what_is_left_behind(status: dict[str, Any] | None, memory: Memory | None, ids: list[str]) -> None:
    found = strays_of(task_of({}, status), memory, Dialect.V7, NOW)
    assert [stray.handle.task_id for stray in found] == ids


def test_an_outcome_that_is_not_written_yet_counts() -> None:
    task = task_of({}, {"observedGeneration": -1})
    started = task.status.model_copy(update={"task_id": "agora-2"})
    (stray,) = strays_of(task, remembered(unrecorded=(task, started)), Dialect.V7, NOW)
    assert stray.handle.task_id == "agora-2"


def test_a_task_ends_by_itself_with_its_expiry_or_with_its_lifetime() -> None:
    expiring = {**RUNNING, "expiryTime": rfc3339(after(7200)), "startTime": rfc3339(after(60))}
    retiring = {"taskId": "agora-0", "startTime": rfc3339(after(0))}
    current, earlier = strays_of(task_of({}, {**expiring, "retiring": retiring}), None, Dialect.V7, NOW)
    assert current.until == after(7200)
    assert earlier.until == after(72 * 3600)
    (unknown,) = strays_of(task_of({}, RUNNING), None, Dialect.V7, NOW)
    assert unknown.until == NOW + timedelta(hours=72)


def test_without_the_finalizer_it_is_a_stray_as_well() -> None:
    """Taken away before the deletion: the operator had no time to put it back."""
    assert FINALIZER not in task_of({}, RUNNING, guarded=False).metadata.finalizers
    assert len(strays_of(task_of({}, RUNNING, guarded=False), None, Dialect.V7, NOW)) == 1
