"""Starts that may be out and name no task: found again, waited for, or given up; never made twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from agora_transcription import agora
from unit.controller.agora_model import Crash, _Api, fault
from unit.controller.builders import SECRET, UID
from unit.controller.kubernetes_model import Open, Process

if TYPE_CHECKING:
    from datetime import datetime

    from unit.controller.scene import Scene


@pytest.mark.parametrize("conflict_names_task", [True, False], ids=["named", "unnamed"])
async def test_a_task_of_a_dead_process_is_adopted(scene: Scene, *, conflict_names_task: bool) -> None:
    scene.agora.character.conflict_names_task = conflict_names_task
    await scene.running()
    scene.server.overwrite_status(taskId=None, startHash=None, applied=None, agoraStatus=None)
    scene.restart()
    await scene.pass_time(5)
    assert scene.status.task_id == "agora-1"
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert ("list" in scene.agora.calls) is not conflict_names_task


async def test_a_first_start_is_found_however_late_its_attempt_was_announced(scene: Scene) -> None:
    """Its process died, and with the finalizer went the only trace of it."""
    scene.agora.character.conflict_names_task = False
    scene.agora.fault = fault(Crash, effect=True)
    scene.server.create({}, guarded=True)
    with pytest.raises(Crash):
        await scene.process.work()
    scene.server.strip_finalizers()
    scene.server.set_secret(None)
    scene.restart()
    await scene.pass_time(120)
    scene.server.set_secret(dict(SECRET))
    scene.process.queue.add(UID)
    await scene.pass_time(300)
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert scene.status.task_id == "agora-1"


async def test_a_name_that_is_used_up_is_left_after_two_minutes(scene: Scene) -> None:
    scene.agora.character.conflict_names_task = False
    scene.agora.fault = fault(agora.Ambiguous, effect=True)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    scene.agora.end(scene.agora.tasks["agora-1"])
    await scene.pass_time(100)
    assert scene.reason == "AdoptionUndecided"
    assert len(scene.agora.tasks) == 1
    await scene.pass_time(120)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]
    assert scene.status.attempt == 1


async def test_v6_waits_for_the_lifetime_of_a_task_that_is_not_named(scene: Scene) -> None:
    scene.agora.spared, scene.agora.fault = {"acquire"}, fault(agora.Ambiguous, effect=True)
    scene.server.create({"agoraApi": "V6"}, guarded=True)
    await scene.process.work()
    scene.agora.end(scene.agora.tasks["agora-1"])
    await scene.pass_time(600)
    assert scene.reason == "AdoptionUndecided"
    assert len(scene.agora.tasks) == 1
    scene.clock.advance(24 * 3600)
    await scene.process.work()
    assert scene.status.task_id == "agora-2"


async def test_v6_waits_no_longer_for_a_token_that_expired_while_a_start_may_have_been_out(scene: Scene) -> None:
    scene.agora.spared, scene.agora.fault = {"acquire"}, fault(agora.NotSent)
    scene.server.create({"agoraApi": "V6"}, guarded=True)
    await scene.process.reconcile()
    scene.restart()
    scene.clock.advance(301)
    await scene.pass_time(600)
    assert scene.reason == "AdoptionUndecided"
    assert scene.agora.tasks == {}
    scene.clock.advance(24 * 3600)
    await scene.pass_time(60)
    assert scene.status.task_id == "agora-1"


async def test_a_deleted_object_gives_up_on_a_task_that_is_not_named(scene: Scene) -> None:
    scene.agora.spared, scene.agora.fault = {"acquire"}, fault(agora.Ambiguous, effect=True)
    scene.server.create({"agoraApi": "V6"}, guarded=True)
    await scene.process.work()
    scene.agora.end(scene.agora.tasks["agora-1"])
    scene.server.request_deletion()
    await scene.pass_time(550)
    assert scene.exists()
    await scene.pass_time(100)
    assert not scene.exists()
    assert scene.process.events.reasons[-1] == "Abandoned"


class Counting(Open):
    """Budgets without limits that count the calls, and refuse from one of them on."""

    def __init__(self, *, refuses_from: int = 1000) -> None:
        self.admitted = 0
        self._refuses_from = refuses_from

    def admit_at_once(self, account: agora.Account, priority: agora.Priority) -> bool:  # noqa: ARG002 - as the budgets'
        return False

    async def admit(self, account: agora.Account, priority: agora.Priority, tenant: str) -> None:  # noqa: ARG002 - as the budgets'
        self.admitted += 1
        if self.admitted >= self._refuses_from:
            raise agora.CircuitOpen(60)

    admit_next = admit


def paging(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agora's list has three pages, each of which waits for its turn."""
    listed = _Api.list_live

    async def list_live(api: _Api, account: agora.Account, channel: str, since: datetime, more: agora.More) -> Any:
        for _ in range(2):
            await more()
        return await listed(api, account, channel, since, more)

    monkeypatch.setattr(_Api, "list_live", list_live)
    scene.agora.character.conflict_names_task = False


async def test_each_page_of_a_look_waits_for_its_turn(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    paging(scene, monkeypatch)
    budgets = Counting()
    scene.process = Process(scene.server, scene.agora, budgets=cast("agora.Budgets", budgets))
    scene.agora.fault = fault(agora.Ambiguous, effect=True)
    scene.server.create({}, guarded=True)
    await scene.pass_time(5)
    assert scene.status.task_id == "agora-1"
    assert scene.agora.calls == ["start", "start", "list", "query"]
    assert budgets.admitted == len(scene.agora.calls) + 2


async def test_a_refusal_of_one_list_does_not_keep_the_next_ones_from_their_later_pages(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tries refused credentials again is the first page, and its answer lets the others follow."""
    paging(scene, monkeypatch)
    scene.process = Process(scene.server, scene.agora, budgets=agora.Budgets(0, 1, clock=scene.clock.monotonic))
    scene.agora.fault = fault(agora.Ambiguous, effect=True)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    scene.agora.fault, scene.agora.spared = fault(agora.CredentialsRefused), {"start"}
    await scene.pass_time(10)
    assert scene.reason == "CredentialsRefused"
    await scene.pass_time(660)
    assert scene.status.task_id == "agora-1"


async def test_a_look_whose_credentials_are_refused_meanwhile_is_made_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    paging(scene, monkeypatch)
    scene.process = Process(scene.server, scene.agora, budgets=cast("agora.Budgets", Counting(refuses_from=4)))
    scene.agora.fault = fault(agora.Ambiguous, effect=True)
    scene.server.create({}, guarded=True)
    await scene.pass_time(5)
    assert scene.agora.calls == ["start", "start"]
    assert scene.reason == "CredentialsRefused"
    scene.restart()
    await scene.pass_time(5)
    assert scene.status.task_id == "agora-1"
    assert list(scene.agora.tasks) == ["agora-1"]
