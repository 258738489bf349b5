"""Two tasks of one object, where the earlier cannot be stopped: that keeps the other from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription import agora
from unit.controller import agora_model
from unit.controller.test_gone import DIALECTS, REFUSALS

if TYPE_CHECKING:
    from unit.controller.agora_model import AgoraTask
    from unit.controller.scene import Scene

DAY = 24 * 3600
DOWN = agora.Upstream("stop", code=503)


@pytest.fixture
def long_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task ends by itself."""
    monkeypatch.setattr(agora_model, "TOKEN_LIFETIME", 30.0 * DAY)


async def overlapped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: agora.AgoraError = DOWN, **spec: Any
) -> None:
    """Bring an object to where both tasks run, and the earlier cannot be stopped."""
    stop = scene.agora.stop

    def refuse(task: AgoraTask) -> None:
        if task.id == "agora-1":
            raise error
        stop(task)

    monkeypatch.setattr(scene.agora, "stop", refuse)
    await scene.running(rollover="Overlap", **spec)
    await scene.pass_time(DAY - 300)
    assert [task.id for task in scene.agora.live()] == ["agora-1", "agora-2"]
    assert (scene.status.task_id, scene.status.retiring and scene.status.retiring.task_id) == ("agora-2", "agora-1")


@DIALECTS
@REFUSALS
async def test_a_refused_stop_of_the_earlier_task_that_has_ended_is_its_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: agora.AgoraError, api: dict[str, str]
) -> None:
    await overlapped(scene, monkeypatch, error, **api)
    scene.agora.end(scene.agora.tasks["agora-1"])
    await scene.pass_time(1800)
    assert scene.status.retiring is None
    assert scene.status.history[-1].task_id == "agora-1"
    assert scene.reason == "Running"


async def test_a_builder_token_that_is_refused_after_its_time_is_the_end_of_its_task(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await overlapped(scene, monkeypatch, agora.TokenRefused("stop", code=400), agoraApi="V6")
    await scene.pass_time(1800)
    assert scene.status.retiring is None
    assert [task.id for task in scene.agora.live()] == ["agora-2"]


@REFUSALS
async def test_an_earlier_task_that_cannot_be_stopped_keeps_the_current_one_from_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: agora.AgoraError
) -> None:
    await overlapped(scene, monkeypatch, error)
    assert scene.reason == "AgoraUnavailable", "it says so"
    queries = scene.agora.calls.count("query")
    scene.server.edit(languages=["de-DE"])
    await scene.pass_time(60)
    assert scene.status.applied is not None
    assert scene.status.applied.languages == ("de-DE",)
    assert scene.agora.calls.count("query") > queries
    scene.server.edit(suspend=True)
    await scene.pass_time(60)
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert scene.reason == "AgoraUnavailable", "not Suspended: one runs"
    assert scene.status.retiring is not None
    assert "Suspended" not in scene.process.events.reasons
    scene.agora.end(scene.agora.tasks["agora-1"])
    await scene.pass_time(600)
    assert scene.reason == "Suspended"
    assert scene.status.retiring is None


@pytest.mark.usefixtures("long_lived")
@REFUSALS
async def test_a_deletion_stops_the_current_task_and_gives_up_only_the_earlier(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: agora.AgoraError
) -> None:
    await overlapped(scene, monkeypatch, error)
    scene.server.request_deletion()
    await scene.pass_time(60)
    assert scene.exists()
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    await scene.pass_time(900)
    if isinstance(error, agora.RequestRefused):
        assert not scene.exists()
        [warning] = scene.process.events.warnings
        assert "The Agora task agora-1 could not be stopped" in warning
    else:
        assert scene.exists(), "Agora is only busy"


@pytest.mark.usefixtures("long_lived")
async def test_beside_an_earlier_task_that_cannot_be_stopped_the_current_one_is_renewed_without_overlap(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await overlapped(scene, monkeypatch)
    for _ in range(24):
        await scene.pass_time(3600)
        assert len(scene.agora.live()) <= 2
    assert scene.status.task_id == "agora-3"
    assert scene.status.retiring is not None
    assert [task.id for task in scene.agora.live()] == ["agora-1", "agora-3"]
