"""What it takes to believe that a task is gone, and that a stop that fails was not needed.

To believe it too soon starts a second task beside the first; never to believe it keeps the object for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from agora_transcription import agora
from agora_transcription.agora import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.controller.agora_model import AgoraTask
    from unit.controller.scene import Scene

DIALECTS = pytest.mark.parametrize("api", [{"agoraApi": "V7"}, {"agoraApi": "V6"}], ids=["V7", "V6"])
SPEC_CHANGE = {"captions": {"format": "Json"}}
"""What takes another task."""


def bare_404(operation: str) -> Callable[[AgoraTask], NoReturn]:
    """An answer that may be a proxy's."""

    def answer(_: AgoraTask) -> NoReturn:
        raise agora.Gone(operation, code=404, text="Not Found", confirmed=False)

    return answer


@DIALECTS
async def test_bare_404s_of_a_proxy_start_nothing_beside_a_running_task(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, api: dict[str, str]
) -> None:
    """V7 has a list that shows the task; V6 has none, and keeps asking."""
    await scene.running(**api)
    with monkeypatch.context() as proxy:
        proxy.setattr(scene.agora, "query", bare_404("query"))
        await scene.pass_time(600)
        assert scene.reason == "AgoraUnavailable"
        assert scene.status.task_id == "agora-1"
    await scene.pass_time(400)
    assert scene.reason == "Running"
    assert list(scene.agora.tasks) == ["agora-1"]


async def test_a_bare_404_and_its_absence_from_the_list_is_the_end_of_a_task(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.running()
    await scene.pass_time(15)
    scene.agora.end(scene.agora.tasks["agora-1"])
    with monkeypatch.context() as terse:
        terse.setattr(scene.agora, "query", bare_404("query"))
        while scene.status.task_id == "agora-1":
            await scene.pass_time(5)
            assert scene.clock.monotonic() < 200
    await scene.pass_time(60)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]
    assert scene.status.history[-1].reason.value == "Disappeared"


@pytest.mark.parametrize(
    "error", [agora.NotSupported("list", code=404), agora.Upstream("list", code=502)], ids=["no list", "502"]
)
async def test_a_bare_404_counts_for_nothing_while_the_list_does_not_work(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: agora.AgoraError
) -> None:
    def no_list(_: str) -> NoReturn:
        raise error

    await scene.running()
    monkeypatch.setattr(scene.agora, "query", bare_404("query"))
    monkeypatch.setattr(scene.agora, "listed", no_list)
    await scene.pass_time(600)
    assert "list" in scene.agora.calls
    assert scene.reason == "AgoraUnavailable"
    assert list(scene.agora.tasks) == ["agora-1"]


@DIALECTS
async def test_a_404_of_agoras_own_words_needs_no_second_opinion(scene: Scene, api: dict[str, str]) -> None:
    scene.agora.character.forgets_ended = True
    await scene.running(**api)
    await scene.pass_time(15)
    scene.agora.end(scene.agora.tasks["agora-1"])
    await scene.pass_time(100)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]
    assert "list" not in scene.agora.calls


@DIALECTS
async def test_a_bare_404_to_a_stop_does_not_let_a_deleted_object_go(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, api: dict[str, str]
) -> None:
    await scene.running(**api)
    with monkeypatch.context() as proxy:
        proxy.setattr(scene.agora, "stop", bare_404("stop"))
        scene.server.request_deletion()
        await scene.pass_time(120)
        assert scene.exists()
    await scene.pass_time(400)
    assert not scene.exists()
    assert scene.agora.live() == []
    assert scene.process.events.reasons[-1] == "Stopped"


async def test_a_bare_404_to_a_stop_of_a_task_that_is_not_listed_is_as_good_as_stopped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.running()
    await scene.pass_time(130)
    scene.agora.end(scene.agora.tasks["agora-1"])
    monkeypatch.setattr(scene.agora, "stop", bare_404("stop"))
    scene.server.request_deletion()
    await scene.process.work()
    assert not scene.exists()
    assert scene.agora.calls.count("list") == 1


async def test_a_bare_404_and_a_list_that_lags_are_no_end_of_a_new_task(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.agora.character.list_lag = 90
    await scene.running()
    await scene.pass_time(11)
    with monkeypatch.context() as proxy:
        proxy.setattr(scene.agora, "query", bare_404("query"))
        await scene.pass_time(75)
    await scene.pass_time(200)
    assert [task.id for task in scene.agora.live()] == ["agora-1"]


async def test_nor_do_they_let_go_of_it_when_its_object_is_deleted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.agora.character.list_lag = 90
    await scene.running()
    await scene.pass_time(20)
    with monkeypatch.context() as proxy:
        proxy.setattr(scene.agora, "stop", bare_404("stop"))
        scene.server.request_deletion()
        await scene.pass_time(2)
    await scene.pass_time(200)
    assert not scene.exists()
    assert scene.agora.live() == []


async def test_nor_do_they_start_another_when_it_is_to_be_replaced(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.agora.character.list_lag = 90
    await scene.running()
    await scene.pass_time(20)
    with monkeypatch.context() as proxy:
        proxy.setattr(scene.agora, "stop", bare_404("stop"))
        proxy.setattr(scene.agora, "query", bare_404("query"))
        scene.server.edit(**SPEC_CHANGE)
        await scene.pass_time(30)
    await scene.pass_time(200)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]


REFUSALS = pytest.mark.parametrize(
    "error", [agora.Busy("stop", code=409), agora.RequestRefused("stop", code=400)], ids=["409", "400"]
)


def refuse_to_stop(scene: Scene, monkeypatch: pytest.MonkeyPatch, error: agora.AgoraError, *, ended_only: bool) -> None:
    stop = scene.agora.stop

    def refuse(task: AgoraTask) -> None:
        if scene.agora.state(task).ended or not ended_only:
            raise error
        stop(task)

    monkeypatch.setattr(scene.agora, "stop", refuse)


@DIALECTS
@REFUSALS
async def test_a_deletion_goes_on_though_the_stop_of_an_ended_task_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, api: dict[str, str], error: agora.AgoraError
) -> None:
    await scene.running(**api)
    await scene.pass_time(15)
    refuse_to_stop(scene, monkeypatch, error, ended_only=True)
    scene.agora.end(scene.agora.tasks["agora-1"], State.FAILED)
    scene.server.request_deletion()
    await scene.pass_time(20)
    assert not scene.exists()
    assert scene.process.events.reasons[-1] == "Stopped"
    assert scene.agora.calls[-2:] == ["stop", "query"]


@DIALECTS
@REFUSALS
async def test_a_restart_goes_on_though_the_stop_of_an_ended_task_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, api: dict[str, str], error: agora.AgoraError
) -> None:
    await scene.running(**api)
    await scene.pass_time(15)
    refuse_to_stop(scene, monkeypatch, error, ended_only=True)
    scene.agora.end(scene.agora.tasks["agora-1"], State.FAILED)
    scene.server.edit(**SPEC_CHANGE)
    await scene.pass_time(20)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]
    assert scene.reason == "Running"


@REFUSALS
async def test_a_refused_stop_of_a_running_task_is_not_its_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: agora.AgoraError
) -> None:
    await scene.running()
    refuse_to_stop(scene, monkeypatch, error, ended_only=False)
    scene.server.edit(**SPEC_CHANGE)
    await scene.pass_time(300)
    assert list(scene.agora.tasks) == ["agora-1"]
    assert scene.status.task_id == "agora-1"
    assert scene.reason in {"AgoraUnavailable", "RequestRefused"}
    scene.server.request_deletion()
    await scene.pass_time(300)
    assert scene.exists()
