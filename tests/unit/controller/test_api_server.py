"""An API server that keeps nothing, answers late or loses the object meanwhile: no hot loop, no traceback, no ghost."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NoReturn

from agora_transcription import agora
from agora_transcription.controller.store import NotFound, Outdated
from unit.controller.builders import NAME, NAMESPACE, UID

if TYPE_CHECKING:
    import pytest

    from agora_transcription.api import TranscriptionTask
    from unit.controller.kubernetes_model import Body
    from unit.controller.scene import Scene

BACKOFFS_IN_A_MINUTE = 6
"""Tries at 0, 1, 4, 10, 22 and 46 seconds."""


def forget(scene: Scene, monkeypatch: pytest.MonkeyPatch, *fields: str) -> list[Body]:
    """Fields of the status that the CRD does not have are dropped by the API server; answers the writes for nothing."""
    write_status, lost = scene.server.write_status, []

    async def prune(task: TranscriptionTask, patch: Body) -> Body:
        kept = {name: value for name, value in patch.items() if fields and name not in fields}
        if kept:
            return await write_status(task, kept)
        lost.append(patch)
        return await scene.server.get(NAMESPACE, NAME)

    monkeypatch.setattr(scene.server, "write_status", prune)
    return lost


async def test_a_status_of_which_nothing_is_kept_is_written_again_with_pauses(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.running()
    await scene.pass_time(10)
    with monkeypatch.context() as old_crd:
        lost = forget(scene, old_crd)
        scene.server.edit(suspend=True)
        await scene.pass_time(60)
        assert 3 <= len(lost) <= BACKOFFS_IN_A_MINUTE + 1
        assert "apply the CRD of this operator's version" in caplog.text
    await scene.pass_time(120)
    assert scene.reason == "Suspended"


async def test_a_field_that_the_crd_does_not_have_is_no_hot_loop_either(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost = forget(scene, monkeypatch, "agoraStatus")
    scene.agora.character.start_seconds = 1
    await scene.running()
    await scene.pass_time(60)
    assert 3 <= len(lost) <= BACKOFFS_IN_A_MINUTE + 1
    assert "keeps none of agoraStatus" in caplog.text
    assert list(scene.agora.tasks) == ["agora-1"]


async def test_a_start_of_which_nothing_is_kept_is_not_repeated(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as old_crd:
        lost = forget(scene, old_crd)
        scene.server.create({}, guarded=True)
        await scene.pass_time(60)
        assert 3 <= len(lost) <= BACKOFFS_IN_A_MINUTE + 1
    await scene.pass_time(60)
    assert scene.agora.calls.count("start") == 1
    assert scene.status.task_id == "agora-1"


async def test_an_object_that_vanishes_after_a_409_is_forgotten(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch has not told yet; reading the object again is the first to know."""

    async def conflict(_: TranscriptionTask, __: Body) -> NoReturn:
        raise Outdated("write", 409, "the object has been modified")

    async def vanished(_: str, __: str) -> NoReturn:
        raise NotFound("get", 404, "not found")

    await scene.running()
    await scene.pass_time(10)
    monkeypatch.setattr(scene.server, "write_status", conflict)
    monkeypatch.setattr(scene.server, "get", vanished)
    scene.server.edit(languages=["de-DE"])
    await scene.process.work()
    assert scene.process.cache.get(UID) is None
    assert not scene.process.is_due


async def test_an_object_that_vanishes_while_a_start_is_written_down_is_forgotten(scene: Scene) -> None:
    def vanish() -> None:
        scene.deaf()
        scene.server.object = None

    scene.server.create({}, guarded=True)
    scene.agora.meanwhile = vanish
    await scene.process.work()
    assert scene.process.cache.get(UID) is None
    assert scene.agora.calls == ["start"]


async def test_an_object_whose_end_is_told_before_the_answer_is_not_kept(scene: Scene) -> None:
    """The watch is often faster than the answer to the write that removes the last finalizer."""
    told: list[str] = []
    tell = scene.server.tell

    def remember(kind: str, body: Body) -> None:
        tell(kind, body)
        told.append(f"{kind}: {len(scene.process.cache)}")

    scene.server.tell = remember
    await scene.running()
    scene.server.request_deletion()
    await scene.process.work()
    assert told[-1] == "DELETED: 0"
    assert len(scene.process.cache) == 0
    assert not scene.process.is_due


async def test_an_object_that_somebody_else_still_holds_is_kept(scene: Scene) -> None:
    await scene.running()
    body = copy.deepcopy(scene.server.object)
    assert body is not None
    body["metadata"]["finalizers"].append("foregroundDeletion")
    scene.server._keep(body)
    scene.server.request_deletion()
    await scene.process.work()
    assert scene.server.object is not None
    assert scene.server.object["metadata"]["finalizers"] == ["foregroundDeletion"]
    task = scene.process.cache.get(UID)
    assert task is not None
    assert not task.guarded
    assert scene.agora.live() == []


async def test_a_deletion_is_given_up_only_ten_minutes_after_this_process_could_first_try(scene: Scene) -> None:
    """The object was deleted while no operator ran; the next one meets an Agora that refuses at first."""
    await scene.running()
    scene.deaf()
    scene.server.request_deletion()
    scene.clock.advance(3600)
    scene.restart()
    refusing = True

    def refuse(operation: str) -> None:
        if refusing:
            raise agora.CredentialsRefused(operation, code=401)

    scene.agora.before_call = refuse
    await scene.pass_time(250)
    assert scene.exists()
    refusing = False
    await scene.pass_time(100)
    assert not scene.exists()
    assert scene.agora.live() == []
    assert scene.process.events.reasons[-1] == "Stopped"


async def test_a_deletion_that_cannot_succeed_is_given_up_after_ten_minutes(scene: Scene) -> None:
    await scene.running()
    scene.deaf()
    scene.server.request_deletion()
    scene.clock.advance(3600)
    scene.restart()

    def refuse(operation: str) -> None:
        raise agora.CredentialsRefused(operation, code=401)

    scene.agora.before_call = refuse
    await scene.pass_time(590)
    assert scene.exists()
    await scene.pass_time(30)
    assert not scene.exists()
    assert scene.process.events.reasons[-1] == "Abandoned"
