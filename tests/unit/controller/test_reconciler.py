"""One reconciliation: what Agora did is written down whatever happens to the object or to the API server meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import pytest

from agora_transcription import agora
from agora_transcription.agora import Dialect, State
from agora_transcription.api import FINALIZER, Reason, TranscriptionTask
from agora_transcription.controller import turns
from unit.controller.agora_model import Fault, fault
from unit.controller.builders import NAMESPACE, SECRET, UID
from unit.controller.kubernetes_model import METRICS, Process, unanswered
from unit.controller.scene import Scene

if TYPE_CHECKING:
    from unit.controller.builders import Clock
    from unit.controller.kubernetes_model import Body

DIALECTS = pytest.mark.parametrize("api", [{"agoraApi": "V7"}, {"agoraApi": "V6"}], ids=["V7", "V6"])


async def test_a_guarded_v7_object_runs_after_one_call_and_one_write(scene: Scene) -> None:
    await scene.running()
    assert scene.agora.calls == ["start"]
    assert scene.server.writes == 1


async def test_the_finalizer_is_in_an_answer_before_the_first_call(scene: Scene) -> None:
    def check(operation: str) -> None:
        assert scene.server.object is not None
        assert FINALIZER in scene.server.object["metadata"]["finalizers"], operation

    scene.agora.before_call = check
    scene.server.create({}, guarded=False)
    await scene.process.work()
    assert scene.agora.calls == ["start"]


async def test_nothing_is_called_while_the_finalizer_cannot_be_written(scene: Scene) -> None:
    scene.server.create({}, guarded=False)
    scene.server.fault = Fault(unanswered, effect=False)
    await scene.process.work()
    assert scene.agora.calls == []
    await scene.pass_time(2)
    assert scene.status.task_id == "agora-1"


async def test_a_failed_write_is_an_error_of_the_reconciliation_and_a_failed_call_is_none(scene: Scene) -> None:
    """The calls are counted by their codes; alerts on the two are apart."""

    def errors() -> float | None:
        return METRICS.registry.get_sample_value(
            "controller_runtime_reconcile_errors_total", {"controller": "transcriptiontask"}
        )

    before = errors() or 0
    scene.agora.fault = fault(agora.Upstream)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    assert scene.reason == Reason.AGORA_UNAVAILABLE
    assert errors() == before
    scene.server.fault = Fault(unanswered, effect=False)
    await scene.pass_time(2)
    assert errors() == before + 1


@DIALECTS
@pytest.mark.parametrize("heard", [True, False], ids=["heard", "unheard"])
async def test_a_start_is_recorded_though_the_spec_changed_meanwhile(
    scene: Scene, api: dict[str, str], *, heard: bool
) -> None:
    """409 on the status write: the spec is the user's, the status is still what was decided on."""

    def meanwhile() -> None:
        scene.server.edit(languages=["de-DE"])

    if not heard:
        scene.deaf()
        scene.server.create(api, guarded=True)
        assert scene.server.object is not None
        scene.process.hear("ADDED", scene.server.object)
    else:
        scene.server.create(api, guarded=True)
    scene.agora.spared = {"acquire"}
    scene.agora.meanwhile = meanwhile
    await scene.process.work()
    await scene.pass_time(6)

    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert scene.agora.calls.count("start") == 1
    assert scene.status.task_id == "agora-1"
    assert scene.agora.tasks["agora-1"].settings.languages == ("de-DE",)
    assert scene.status.observed_generation == 2


async def test_a_start_is_not_credited_to_the_spec_that_came_during_it(scene: Scene) -> None:
    scene.server.create({}, guarded=True)
    scene.agora.meanwhile = lambda: scene.server.edit(keywords=["kubelet"])
    await scene.process.reconcile()
    assert scene.status.observed_generation == 1
    await scene.process.work()
    await scene.pass_time(10)
    (running,) = scene.agora.live()
    assert running.request.keywords == ("kubelet",)
    assert scene.agora.calls.count("stop") == 1


@DIALECTS
async def test_another_writer_of_the_status_does_not_double_the_task(scene: Scene, api: dict[str, str]) -> None:
    """The outcome of a start is given up when the status is not what it was decided on: the start is repeated."""
    scene.agora.spared = {"acquire"}
    scene.agora.meanwhile = lambda: scene.server.overwrite_status(restarts=7)
    scene.server.create(api, guarded=True)
    await scene.process.work()
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert scene.status.task_id == "agora-1"
    assert scene.agora.calls.count("start") == 2


@DIALECTS
async def test_what_another_writer_says_of_the_same_facts_discards_no_outcome(
    scene: Scene, api: dict[str, str]
) -> None:
    """Two operators that both act: each says how things stand, and the one that Agora has answered knows."""

    def say() -> None:
        assert scene.server.object is not None
        status = scene.server.object["status"]
        waits = {"type": "Ready", "status": "False", "reason": "AgoraUnavailable", "message": "Agora is down"}
        moment = {"lastTransitionTime": "2026-11-21T08:00:00Z", "observedGeneration": 1}
        scene.server.overwrite_status(phase="Pending", observedGeneration=1, conditions=[{**waits, **moment}])
        assert scene.server.object["status"] != status

    scene.agora.spared = {"acquire", "query"}
    scene.agora.meanwhile = say
    scene.server.create(api, guarded=True)
    await scene.process.work()
    assert scene.agora.calls.count("start") == 1
    assert (scene.status.task_id, scene.reason, scene.status.phase) == ("agora-1", "Running", "Running")

    scene.agora.meanwhile = say
    await scene.pass_time(10)
    scene.server.edit(languages=["de-DE"])
    await scene.pass_time(10)
    assert scene.agora.calls.count("update") == 1
    assert scene.status.applied is not None
    assert scene.status.applied.languages == ("de-DE",)
    assert scene.reason == "Running"


@DIALECTS
async def test_a_start_is_recorded_once_the_api_server_answers_again(scene: Scene, api: dict[str, str]) -> None:
    def fall_silent(operation: str) -> None:
        if operation == "start":
            scene.server.fault = Fault(unanswered, effect=False)

    scene.agora.before_call = fall_silent
    scene.server.create(api, guarded=True)
    while "start" not in scene.agora.calls:
        await scene.process.reconcile()
    unrecorded = scene.status
    assert unrecorded.task_id is None
    await scene.pass_time(3)
    assert scene.status.task_id == "agora-1"
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert scene.agora.calls.count("start") == 1


async def test_an_unwritten_outcome_is_written_before_anything_else_is_decided(scene: Scene) -> None:
    scene.server.create({}, guarded=True)
    scene.server.fault = Fault(unanswered, effect=False)
    await scene.process.reconcile()
    assert scene.status.task_id is None
    scene.server.edit(suspend=True)
    await scene.pass_time(5)
    assert scene.agora.calls.count("start") == 1
    assert scene.agora.live() == []
    assert scene.reason == "Suspended"


async def test_the_end_of_a_task_is_not_held_against_the_next_one(scene: Scene) -> None:
    """The write that ends the first task is made, and its answer lost."""
    scene.agora.character.forgets_ended = True
    await scene.running()
    await scene.pass_time(15)
    scene.agora.end(scene.agora.tasks["agora-1"], State.FAILED)
    scene.server.fault = Fault(unanswered, effect=True)
    await scene.pass_time(180)
    assert [task.id for task in scene.agora.live()] == ["agora-2"]
    assert scene.status.task_id == "agora-2"


async def test_a_finalizer_that_is_replaced_away_does_not_hide_a_start_that_may_be_out(scene: Scene) -> None:
    await scene.running()
    await scene.pass_time(15)
    scene.agora.end(scene.agora.tasks["agora-1"], State.FAILED)
    scene.agora.spared, scene.agora.fault = {"query"}, fault(agora.Ambiguous, effect=True)
    while not scene.agora.tasks.get("agora-2"):
        await scene.pass_time(10)
    scene.server.strip_finalizers()
    scene.process.queue.is_dirty = False
    await scene.process.reconcile()
    scene.server.request_deletion()
    await scene.pass_time(60)
    assert not scene.exists()
    assert scene.agora.running() == []


@DIALECTS
async def test_a_deleted_object_goes_once_its_task_is_stopped(scene: Scene, api: dict[str, str]) -> None:
    await scene.running(**api)
    scene.server.request_deletion()
    await scene.process.work()
    assert not scene.exists()
    assert scene.agora.live() == []
    assert scene.process.events.reasons[-1] == "Stopped"


async def test_a_stop_that_has_to_wait_says_so(scene: Scene) -> None:
    await scene.running()
    scene.agora.fault = fault(agora.Throttled)
    scene.server.request_deletion()
    await scene.process.work()
    assert scene.reason == Reason.THROTTLED
    assert scene.agora.calls == ["start", "stop"]
    await scene.pass_time(10)
    assert not scene.exists()


async def test_an_object_that_is_deleted_during_its_start_takes_the_task_along(scene: Scene) -> None:
    scene.server.create({}, guarded=True)
    scene.agora.meanwhile = scene.server.request_deletion
    await scene.process.work()
    assert not scene.exists()
    assert scene.agora.live() == []


async def test_orphan_lets_the_task_go_on(scene: Scene) -> None:
    await scene.running(deletionPolicy="Orphan")
    scene.server.request_deletion()
    await scene.process.work()
    assert not scene.exists()
    assert [task.id for task in scene.agora.live()] == ["agora-1"]
    assert scene.process.events.reasons[-1] == "Orphaned"


async def test_a_steady_task_costs_no_write(scene: Scene) -> None:
    await scene.running()
    await scene.pass_time(60)
    before = scene.server.writes
    await scene.pass_time(3600)
    assert scene.server.writes == before
    assert set(scene.agora.calls[1:]) == {"query"}


async def test_changes_within_five_seconds_become_one_update(scene: Scene) -> None:
    await scene.running()
    for languages in (["de-DE"], ["fr-FR"], ["it-IT", "fr-FR"]):
        scene.server.edit(languages=languages)
        await scene.pass_time(0.5)
    await scene.pass_time(10)
    (update,) = scene.agora.tasks["agora-1"].updates
    assert update.settings.languages == ("it-IT", "fr-FR")
    assert scene.status.sequence_id == update.sequence_id
    assert scene.reason == "Running"


async def test_a_lost_update_is_sent_again_under_a_higher_sequence_id(scene: Scene) -> None:
    await scene.running()
    scene.server.edit(languages=["de-DE"])
    scene.agora.spared, scene.agora.fault = {"query"}, fault(agora.Ambiguous, effect=True)
    await scene.pass_time(30)
    assert [update.sequence_id for update in scene.agora.tasks["agora-1"].updates] == [1, 2]
    assert scene.reason == "Running"


async def test_a_change_right_after_a_lost_update_keeps_the_five_seconds(scene: Scene) -> None:
    """The model refuses to go on with updates that come too soon."""
    await scene.running()
    scene.server.edit(languages=["de-DE"])
    scene.agora.spared, scene.agora.fault = {"query"}, fault(agora.Ambiguous, effect=True)
    await scene.pass_time(5.5)
    assert len(scene.agora.tasks["agora-1"].updates) == 1
    scene.server.edit(languages=["fr-FR"])
    await scene.pass_time(10)
    assert [update.settings.languages for update in scene.agora.tasks["agora-1"].updates] == [("de-DE",), ("fr-FR",)]


async def test_a_refused_credential_is_tried_again_when_the_secret_changes(scene: Scene) -> None:
    scene.agora.fault = fault(agora.CredentialsRefused)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    assert scene.reason == "CredentialsRefused"
    calls = len(scene.agora.calls)
    await scene.pass_time(60)
    assert len(scene.agora.calls) == calls
    scene.server.set_secret({**SECRET, "customerSecret": "a better one"})
    scene.process.queue.add(UID)
    await scene.process.work()
    assert scene.status.task_id == "agora-1"


async def test_an_open_breaker_is_told_without_a_call(clock: Clock) -> None:
    scene = Scene(clock)
    budgets = agora.Budgets(0, 1)
    scene.process = Process(scene.server, scene.agora, budgets=budgets)
    scene.agora.fault = fault(agora.CredentialsRefused)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    assert scene.agora.calls == ["start"]
    scene.server.edit(languages=["de-DE"])  # forgets the refusal: only the breaker stands in the way
    await scene.process.work()
    assert scene.agora.calls == ["start"]
    assert scene.reason == "CredentialsRefused"
    assert scene.status.observed_generation == 2


async def test_who_waits_for_an_account_that_agora_holds_back_says_so(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TOLD_AFTER", 0.01)
    scene = Scene(clock)
    budgets = agora.Budgets(0, 1)
    scene.process = Process(scene.server, scene.agora, budgets=budgets)
    credentials, _ = await scene.process.credentials.resolve(TranscriptionTask.parse(_created(scene)), started=True)
    assert credentials is not None
    budgets.report(credentials.account, agora.Throttled("query", retry_after=120))
    await scene.process.work()
    assert scene.agora.calls == []
    assert scene.reason == "Throttled"
    assert scene.process.queue.due is not None
    assert 119 <= scene.process.queue.due - clock.monotonic() <= 132 + 1


async def test_who_waits_for_the_budget_alone_keeps_its_place(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TOLD_AFTER", 0.01)
    scene = Scene(clock)
    budgets = agora.Budgets(10, 1)
    scene.process = Process(scene.server, scene.agora, budgets=budgets)
    credentials, _ = await scene.process.credentials.resolve(TranscriptionTask.parse(_created(scene)), started=True)
    assert credentials is not None
    await budgets.admit(credentials.account, agora.Priority.START_STOP)
    before = scene.server.writes
    await scene.process.reconcile()
    assert scene.agora.calls == ["start"]
    assert scene.server.writes == before + 1


async def test_a_look_waits_without_a_word(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TOLD_AFTER", 0.01)
    scene = Scene(clock)
    budgets = agora.Budgets(0, 1)
    scene.process = Process(scene.server, scene.agora, budgets=budgets)
    await scene.running()
    credentials = scene.process.credentials.last_good(UID)
    assert credentials is not None
    budgets.report(credentials.account, agora.Throttled("query", retry_after=0.2))
    before = scene.server.writes
    clock.advance(100)
    await scene.process.work()
    assert scene.agora.calls == ["start", "query"]
    assert scene.server.writes == before


async def test_a_call_waits_in_the_turn_of_its_namespace(clock: Clock) -> None:
    scene = Scene(clock)
    asked: list[tuple[agora.Priority, str]] = []

    class Listening(agora.Budgets):
        def admit_at_once(self, account: agora.Account, priority: agora.Priority) -> bool:  # noqa: ARG002 - as the real one's
            return False

        async def admit(self, account: agora.Account, priority: agora.Priority, tenant: str = "") -> None:  # noqa: ARG002 - as the real one's
            asked.append((priority, tenant))

    scene.process = Process(scene.server, scene.agora, budgets=Listening(0, 1))
    scene.server.create({}, guarded=True)
    await scene.process.work()
    assert asked == [(agora.Priority.START_STOP, NAMESPACE)]


async def test_a_change_interrupts_the_wait_for_the_budget(clock: Clock) -> None:
    """A task that was suspended while it waited for its turn is not started."""
    scene = Scene(clock)
    budgets = agora.Budgets(0.0001, 1)
    scene.process = Process(scene.server, scene.agora, budgets=budgets)
    credentials, _ = await scene.process.credentials.resolve(TranscriptionTask.parse(_created(scene)), started=True)
    assert credentials is not None
    await budgets.admit(credentials.account, agora.Priority.POLL)  # the only one for hours
    working = asyncio.create_task(scene.process.reconcile())
    waiting = scene.process.queue.event
    while not scene.process.queue.waits:
        await asyncio.sleep(0)
    assert not waiting.is_set()
    scene.server.edit(suspend=True)
    await asyncio.wait_for(working, 5)
    await scene.process.work()
    assert scene.agora.calls == []
    assert scene.reason == "Suspended"


def _created(scene: Scene) -> Body:
    scene.server.create({}, guarded=True)
    assert scene.server.object is not None
    return scene.server.object


async def test_an_object_that_was_replaced_under_its_name_is_not_written(scene: Scene) -> None:
    await scene.running()
    assert scene.server.object is not None
    scene.deaf()
    scene.server.edit(suspend=True)  # makes the cached version old
    scene.server.object["metadata"]["uid"] = "another"
    before = scene.server.object["status"]
    scene.clock.advance(300)
    await scene.process.reconcile()
    await scene.process.reconcile()
    assert scene.server.object["status"] == before


async def test_a_disappeared_object_is_forgotten(scene: Scene) -> None:
    await scene.running()
    scene.deaf()
    scene.server.object = None
    scene.clock.advance(300)
    scene.agora.end(scene.agora.tasks["agora-1"], State.FAILED)
    for _ in range(3):
        await scene.process.reconcile()
    assert scene.process.cache.get(UID) is None
    assert scene.agora.calls.count("start") == 1


def test_default_dialect_is_used(clock: Clock) -> None:
    scene = Scene(clock)
    scene.process = Process(scene.server, scene.agora, default=Dialect.V6)

    async def work() -> None:
        scene.server.create({}, guarded=True)
        await scene.process.work()

    asyncio.run(work())
    assert scene.agora.calls == ["acquire", "start"]
    assert scene.status.agora_api == "V6"


def not_permitted(_: object) -> NoReturn:
    raise agora.NotPermitted("query")


@pytest.mark.parametrize("known", [False, True], ids=["all is well", "Agora is down"])
async def test_a_process_that_must_not_call_any_more_has_nothing_to_say(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    """It is about to end, and another one acts: what it makes of its own calls is no news."""

    def down(_: object) -> NoReturn:
        raise agora.Upstream("query", code=503)

    await scene.running()
    if known:
        monkeypatch.setattr(scene.agora, "query", down)
        await scene.pass_time(120)
        assert scene.reason == "AgoraUnavailable"
    before = scene.server.object
    monkeypatch.setattr(scene.agora, "query", not_permitted)
    monkeypatch.setattr(scene.agora, "stop", not_permitted)
    calls = len(scene.agora.calls)
    await scene.pass_time(300)
    assert 4 <= len(scene.agora.calls) - calls <= 400, "it does not spin either"
    assert scene.server.object == before
    scene.server.request_deletion()
    before = scene.server.object
    await scene.pass_time(900)
    assert scene.server.object == before, "nor does it give up"


async def test_a_start_that_was_not_permitted_says_nothing(scene: Scene) -> None:
    scene.agora.fault = fault(agora.NotPermitted)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    assert scene.server.writes == 0
    await scene.pass_time(2)
    assert scene.status.task_id == "agora-1"
