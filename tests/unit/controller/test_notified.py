"""What a notification does to the work on an object: it is looked at sooner, and only what a query says counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora_transcription.agora import State
from agora_transcription.api import EndReason
from agora_transcription.controller.notifications import Event, Notification
from agora_transcription.controller.steps import Farewell
from unit.controller.builders import UID

if TYPE_CHECKING:
    from unit.controller.scene import Scene

IDLE = Farewell("agora-1", State.STOPPED, "Idle for too long")


def notify(scene: Scene, event: Event, farewell: Farewell | None = None) -> None:
    scene.process.reconciler.notified(UID, Notification("notice", event, "agora-1", None, farewell, is_test=False))


async def test_an_end_is_noticed_at_once_and_has_agoras_words(scene: Scene) -> None:
    await scene.running()
    scene.clock.advance(5)
    scene.agora.end(scene.agora.tasks["agora-1"])
    notify(scene, Event.LEFT, IDLE)
    await scene.process.work()
    [ended] = scene.status.history
    assert (ended.reason, ended.message) == (EndReason.IDLE, "Idle for too long")
    assert scene.reason == "Completed"
    assert scene.agora.calls == ["start", "query"]


async def test_a_failure_that_is_forgotten_at_once_has_its_reason_all_the_same(scene: Scene) -> None:
    scene.agora.character.forgets_ended = True
    await scene.running(restartPolicy="Never")
    await scene.pass_time(70)
    scene.agora.end(scene.agora.tasks["agora-1"], State.FAILED)
    notify(scene, Event.LEFT, Farewell("agora-1", State.FAILED, "Fatal ASR error"))
    await scene.process.work()
    [ended] = scene.status.history
    assert (ended.reason, ended.message) == (EndReason.FAILED, "Fatal ASR error")
    assert scene.reason == "TaskFailed"


async def test_an_end_that_no_query_confirms_is_none(scene: Scene) -> None:
    await scene.running()
    before = scene.status
    notify(scene, Event.LEFT, IDLE)
    await scene.pass_time(3600)
    assert scene.status == before
    assert scene.agora.live()
    assert scene.agora.calls.count("query") <= 3600 / 54 + 10, "it is looked at more often for a moment only"


async def test_what_no_query_confirmed_is_no_reason_later(scene: Scene) -> None:
    await scene.running(idleTimeoutSeconds=0)
    notify(scene, Event.LEFT, IDLE)
    await scene.pass_time(60)
    scene.agora.end(scene.agora.tasks["agora-1"])
    await scene.pass_time(70)
    assert scene.status.history[-1].reason is EndReason.STOPPED_ELSEWHERE


async def test_a_query_that_lags_behind_the_notification_is_asked_again_soon(scene: Scene) -> None:
    await scene.running()
    notify(scene, Event.LEFT, IDLE)
    await scene.pass_time(2)
    scene.agora.end(scene.agora.tasks["agora-1"])
    await scene.pass_time(3)
    assert scene.status.history[-1].reason is EndReason.IDLE


async def test_a_notification_during_a_query_is_not_lost(scene: Scene) -> None:
    """The answer that is under way was true when it was given, and plans the next look far ahead."""
    await scene.running()

    def meanwhile() -> None:
        scene.agora.end(scene.agora.tasks["agora-1"])
        notify(scene, Event.LEFT, IDLE)

    await scene.pass_time(scene.clock.monotonic() + 70)
    scene.agora.meanwhile = meanwhile
    await scene.pass_time(70)
    assert scene.status.history[-1].reason is EndReason.IDLE


async def test_the_end_of_an_earlier_task_says_nothing_of_the_current_one(scene: Scene) -> None:
    await scene.running(idleTimeoutSeconds=0)
    scene.agora.end(scene.agora.tasks["agora-1"])
    notify(scene, Event.LEFT, Farewell("agora-0", State.STOPPED, "Idle for too long"))
    await scene.process.work()
    assert scene.status.history[-1].reason is EndReason.STOPPED_ELSEWHERE


@pytest.mark.parametrize("event", [Event.TOKEN_EXPIRES, Event.LEFT])
async def test_each_has_the_task_looked_at(scene: Scene, event: Event) -> None:
    await scene.running()
    scene.clock.advance(5)
    notify(scene, event)
    await scene.process.work()
    assert scene.agora.calls == ["start", "query"]


async def test_that_a_running_task_has_joined_is_no_news(scene: Scene) -> None:
    await scene.running()
    notify(scene, Event.JOINED)
    await scene.process.work()
    assert scene.agora.calls == ["start"]


async def test_that_a_starting_task_has_joined_is(scene: Scene) -> None:
    scene.agora.character.start_seconds = 3
    await scene.running()
    await scene.pass_time(3)
    asked = len(scene.agora.calls)
    notify(scene, Event.JOINED)
    await scene.process.work()
    assert len(scene.agora.calls) == asked + 1
    assert scene.reason == "Running"
