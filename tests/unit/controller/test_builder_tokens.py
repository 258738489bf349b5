"""V6's builderTokens: what is made of one that Agora does not take depends on what it may have started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agora_transcription import agora
from unit.controller.agora_model import fault

if TYPE_CHECKING:
    from unit.controller.agora_model import AgoraTask
    from unit.controller.scene import Scene

V6 = {"agoraApi": "V6"}
MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


def expire(scene: Scene, monkeypatch: pytest.MonkeyPatch, task: AgoraTask) -> None:
    """Agora knows the task's builderToken no more."""
    query, stop = scene.agora.query, scene.agora.stop

    def query_or_refuse(asked: AgoraTask) -> AgoraTask:
        if asked is task:
            raise agora.TokenRefused("query", code=400, reason="1001")
        return query(asked)

    def stop_or_refuse(asked: AgoraTask) -> None:
        if asked is task:
            raise agora.TokenRefused("stop", code=400, reason="1001")
        stop(asked)

    monkeypatch.setattr(scene.agora, "query", query_or_refuse)
    monkeypatch.setattr(scene.agora, "stop", stop_or_refuse)


@pytest.mark.parametrize(
    "change",
    [{}, {"captions": {"format": "Json"}}],
    ids=["as it was", "changed meanwhile"],
)
async def test_a_task_whose_builder_token_has_expired_is_followed_by_another(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """The operator was down for two days: the task ended with its token, and nothing can be asked about it."""
    await scene.running(**V6)
    old = scene.agora.tasks["agora-1"]
    scene.agora.end(old)
    expire(scene, monkeypatch, old)
    scene.clock.advance(2 * DAY)
    scene.restart()
    scene.server.edit(**change)
    await scene.pass_time(10 * MINUTE)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]
    assert scene.status.task_id == "agora-2"
    assert scene.reason == "Running"


async def test_an_object_whose_builder_token_has_expired_can_be_deleted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.running(**V6)
    old = scene.agora.tasks["agora-1"]
    scene.agora.end(old)
    expire(scene, monkeypatch, old)
    scene.clock.advance(2 * DAY)
    scene.restart()
    scene.server.request_deletion()
    await scene.pass_time(MINUTE)
    assert not scene.exists()
    assert "Abandoned" not in scene.process.events.reasons


async def test_a_builder_token_that_is_refused_before_its_time_is_not_the_end_of_the_task(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.running(**V6)
    expire(scene, monkeypatch, scene.agora.tasks["agora-1"])
    await scene.pass_time(HOUR)
    assert list(scene.agora.tasks) == ["agora-1"]
    assert scene.status.task_id == "agora-1"
    assert scene.reason == "RequestRefused"


async def test_builder_tokens_that_are_refused_one_after_the_other_are_acquired_with_pauses(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(token: str, request: agora.StartRequest) -> NoReturn:  # noqa: ARG001 - the model's
        raise agora.TokenRefused("start", code=400, text="the product name does not match with builderToken")

    with monkeypatch.context() as broken:
        broken.setattr(scene.agora, "start", refuse)
        scene.server.create(V6, guarded=True)
        await scene.process.work()
        assert scene.agora.calls == ["acquire", "start"] * 2, "the first may have been unlucky"
        await scene.pass_time(HOUR)
        assert 8 <= scene.agora.calls.count("acquire") <= 14
        assert scene.agora.calls.count("start") == scene.agora.calls.count("acquire")
        assert scene.reason == "RequestRefused"
    await scene.pass_time(10 * MINUTE)
    assert scene.status.task_id == "agora-1"
    assert scene.reason == "Running"


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "next process"])
@pytest.mark.parametrize("effect", [True, False], ids=["started", "not started"])
async def test_a_token_whose_age_is_refused_may_have_started_a_task(
    scene: Scene, *, effect: bool, restarted: bool
) -> None:
    """Agora leaves open whether it refuses the age of a token before it says that the token was used."""
    scene.agora.character.token_age_first = True
    scene.agora.spared, scene.agora.fault = {"acquire"}, fault(agora.Ambiguous, effect=effect)
    scene.server.create(V6, guarded=True)
    await scene.process.work()
    if restarted:
        scene.restart()
    scene.clock.advance(6 * MINUTE)
    await scene.pass_time(HOUR)
    assert scene.agora.calls.count("acquire") == 1
    assert len(scene.agora.tasks) == effect
    assert scene.reason == "AdoptionUndecided"
    assert scene.status.builder_token == "builder-token-1"

    scene.clock.advance(23 * HOUR)
    await scene.pass_time(10 * MINUTE)
    assert scene.agora.calls.count("acquire") == 2
    assert len(scene.agora.live()) == 1
    assert scene.status.task_id == scene.agora.live()[0].id
    assert scene.reason == "Running"
