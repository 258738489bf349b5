"""Agora does not know a new task everywhere at once: until then, "not found" is not its end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agora_transcription import agora
from unit.controller.agora_model import fault
from unit.controller.builders import UID
from unit.controller.test_strays import chase, vanish

if TYPE_CHECKING:
    from unit.controller.agora_model import AgoraTask
    from unit.controller.scene import Scene

LAG = 5.0

DIALECTS = pytest.mark.parametrize("api", [{"agoraApi": "V7"}, {"agoraApi": "V6"}], ids=["V7", "V6"])


def lagging(scene: Scene, monkeypatch: pytest.MonkeyPatch, lag: float = LAG) -> None:
    """For so many seconds after its start Agora answers that there is no such task, in its own words."""
    query, stop = scene.agora.query, scene.agora.stop

    def refuse_young(operation: str, task: AgoraTask) -> None:
        if scene.clock.monotonic() < task.started + lag:
            raise agora.Gone(operation, code=404, reason="TaskNotFound")

    def query_later(task: AgoraTask) -> AgoraTask:
        refuse_young("query", task)
        return query(task)

    def stop_later(task: AgoraTask) -> None:
        refuse_young("stop", task)
        stop(task)

    monkeypatch.setattr(scene.agora, "query", query_later)
    monkeypatch.setattr(scene.agora, "stop", stop_later)


@DIALECTS
async def test_one_that_is_deleted_right_after_its_start_is_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, api: dict[str, str]
) -> None:
    lagging(scene, monkeypatch)
    await scene.running(**api)
    scene.server.request_deletion()
    await scene.pass_time(60)
    assert not scene.exists()
    assert scene.agora.live() == []


@DIALECTS
async def test_one_that_is_to_be_replaced_right_after_its_start_is_stopped_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, api: dict[str, str]
) -> None:
    lagging(scene, monkeypatch)
    await scene.running(**api)
    scene.server.edit(captions={"format": "Json"})
    await scene.pass_time(60)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]


@DIALECTS
async def test_one_that_is_suspended_right_after_its_start_is_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, api: dict[str, str]
) -> None:
    lagging(scene, monkeypatch)
    await scene.running(**api)
    scene.server.edit(suspend=True)
    await scene.pass_time(60)
    assert scene.reason == "Suspended"
    assert scene.agora.live() == []


async def test_one_that_is_only_found_when_its_object_is_deleted_is_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    lagging(scene, monkeypatch)
    scene.server.create({}, guarded=True)
    scene.agora.fault = fault(agora.Ambiguous, effect=True)
    await scene.process.work()
    scene.server.request_deletion()
    await scene.pass_time(60)
    assert not scene.exists()
    assert scene.agora.live() == []


@pytest.mark.parametrize("known", [True, False], ids=["known", "after a restart"])
async def test_one_whose_object_vanishes_right_after_its_start_is_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    lagging(scene, monkeypatch)
    await scene.running()
    if not known:
        scene.restart()
    vanish(scene)
    await chase(scene)
    assert scene.agora.live() == []


async def test_one_that_agora_has_agreed_to_stop_was_known_to_it(scene: Scene) -> None:
    """So "not found" is its end at once, however young it is."""
    scene.agora.character.forgets_ended = True
    await scene.running()
    scene.server.edit(captions={"format": "Json"})
    await scene.pass_time(1)
    assert scene.status.task_id == "agora-2"
    assert [task.id for task in scene.agora.live()] == ["agora-2"]


@pytest.mark.parametrize("ahead", [timedelta(seconds=12), timedelta(minutes=2)])
async def test_another_process_whose_clock_is_ahead_starts_none_beside_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    scene.agora.character.start_seconds = 20
    lagging(scene, monkeypatch)
    await scene.running()
    scene.clock.set_forward(ahead)
    scene.restart()
    await scene.pass_time(60)
    assert [task.id for task in scene.agora.live()] == ["agora-1"]


async def test_a_clock_that_is_put_forward_makes_no_attempt_older(scene: Scene) -> None:
    """The list lags, and the conflict names nothing."""
    scene.agora.character.conflict_names_task = False
    scene.agora.character.list_lag = 30
    scene.agora.fault = fault(agora.Ambiguous, effect=True)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    await scene.pass_time(5)
    scene.clock.set_forward(timedelta(minutes=3))
    scene.process.queue.add(UID)
    await scene.pass_time(120)
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert scene.status.task_id == "agora-1"
