"""How a status follows from what happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agora_transcription.agora import Dialect, Observation, State
from agora_transcription.api import EndReason, Phase, Reason, TranscriptionTask, failed, progressing, ready, retrying
from agora_transcription.controller import transitions
from agora_transcription.controller.translate import settings_of, start_hash
from unit.controller.builders import BIRTH, UID, after, rfc3339, task_of

NOW = after(100)
HOUR = timedelta(hours=1)
STARTING = progressing(Reason.STARTING, "Starting the Agora task")
OVER = failed(Reason.TASK_FAILED, "It failed")


def observation(state: State = State.ACTIVE, **changes: Any) -> Observation:
    return Observation("agora-1", changes.get("word", "RUNNING"), state, created=changes.get("created"))


def running(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> TranscriptionTask:
    task = task_of(spec, status)
    started = transitions.started(task, Dialect.V7, observation(), HOUR, BIRTH)
    return task.model_copy(update={"status": started})


def test_a_start_is_credited_to_the_spec_that_it_was_made_with() -> None:
    task = task_of({"languages": ["de-DE"]}, generation=4)
    status = transitions.started(task, Dialect.V7, observation(), HOUR, NOW)
    assert status.applied == settings_of(task.spec)
    assert status.start_hash == start_hash(task.spec)
    assert status.observed_generation == 4
    assert (status.task_id, status.agora_api, status.agora_status) == ("agora-1", "V7", "RUNNING")
    assert (status.start_time, status.first_start_time, status.last_update_time) == (NOW, NOW, NOW)
    assert status.expiry_time == NOW + HOUR
    assert status.phase is Phase.RUNNING


def test_a_start_counts_from_when_agora_made_the_task_and_never_from_the_future() -> None:
    early = transitions.started(task_of(), Dialect.V7, observation(created=after(90)), HOUR, NOW)
    assert (early.start_time, early.expiry_time) == (after(90), after(90) + HOUR)
    assert early.last_update_time == NOW
    late = transitions.started(task_of(), Dialect.V7, observation(created=after(500)), HOUR, NOW)
    assert late.start_time == NOW


@pytest.mark.parametrize("attempted", [None, 90], ids=["first attempt", "later attempt"])
@pytest.mark.parametrize(
    "created",
    [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), after(-3600), datetime(2286, 1, 1, tzinfo=UTC)],
    ids=["1970", "an hour before", "2286"],
)
def test_a_clock_that_is_far_off_does_not_make_a_task_expired_or_immortal(
    created: datetime, attempted: float | None
) -> None:
    begun = {"observedGeneration": 1} | ({"attemptTime": rfc3339(after(attempted))} if attempted else {})
    status = transitions.started(task_of(None, begun), Dialect.V7, observation(created=created), HOUR, NOW)
    assert status.start_time is not None
    assert after((attempted or 0) - 60) <= status.start_time <= NOW
    assert status.expiry_time == status.start_time + HOUR


def test_a_task_that_retires_keeps_the_project_that_it_is_reached_in() -> None:
    task = running(None, {"observedGeneration": 1, "accountHash": "0123456789abcdef"})
    status = transitions.overlapping(task, NOW)
    assert status.retiring is not None
    assert (status.retiring.task_id, status.retiring.account_hash) == ("agora-1", "0123456789abcdef")
    assert status.account_hash is None
    assert status.dump()["retiring"]["accountHash"] == "0123456789abcdef"


def test_the_first_start_of_a_run_is_kept() -> None:
    task = task_of(None, {"observedGeneration": 1, "firstStartTime": rfc3339(BIRTH)})
    assert transitions.started(task, Dialect.V7, observation(), HOUR, NOW).first_start_time == BIRTH


@pytest.mark.parametrize(
    ("attempt_generation", "generation", "known"),
    [(None, 1, True), (None, 2, False), (3, 3, True), (3, 4, False)],
    ids=["first", "first, changed since", "later", "later, changed since"],
)
def test_an_adopted_task_has_the_settings_of_its_attempt_if_these_are_still_known(
    attempt_generation: int | None, generation: int, *, known: bool
) -> None:
    status = {"observedGeneration": 1} | ({"attemptGeneration": attempt_generation} if attempt_generation else {})
    task = task_of(None, status, generation=generation)
    adopted = transitions.adopted(task, Dialect.V7, "agora-7", HOUR, NOW)
    assert adopted.task_id == "agora-7"
    assert (adopted.applied is not None) is known
    assert (adopted.start_hash == start_hash(task.spec)) is known
    assert adopted.last_update_time == NOW, "5 s before the first update"
    assert adopted.start_time == BIRTH, "what limits it counts from its attempt"


def test_an_announced_attempt_has_its_name_and_generation() -> None:
    task = task_of(None, {"observedGeneration": 1, "attempt": 2, "completionTime": rfc3339(BIRTH)}, generation=5)
    status = transitions.begun(task, Dialect.V7, "account", progressing(Reason.STARTING, "Starting"), NOW)
    assert status.instance_id == f"tt-{UID}-2"
    assert (status.attempt_generation, status.attempt_time, status.account_hash) == (5, NOW, "account")
    assert status.completion_time is None
    assert status.phase is Phase.STARTING


def test_a_builder_token_is_kept_with_its_attempt() -> None:
    status = transitions.acquired(task_of(), "token", "account", NOW)
    assert (status.builder_token, status.agora_api, status.attempt) == ("token", "V6", 0)
    token = transitions.builder_token_of(status)
    assert token is not None
    assert "token" not in repr(token)


def test_a_token_that_starts_nothing_is_dropped_and_the_attempt_stays() -> None:
    status = {"observedGeneration": 1, "builderToken": "token", "attempt": 2, "instanceId": "x"}
    dropped = transitions.without_token(task_of(None, status))
    assert (dropped.builder_token, dropped.instance_id, dropped.attempt) == (None, None, 2)


def test_a_skipped_attempt_leaves_nothing_of_itself() -> None:
    status = {"observedGeneration": 1, "builderToken": "token", "attempt": 2, "instanceId": "x"}
    skipped = transitions.skipped(task_of(None, status))
    assert (skipped.builder_token, skipped.instance_id, skipped.attempt) == (None, None, 3)


def test_sequence_ids_rise_across_tasks() -> None:
    task = running()
    for expected in (1, 2, 3):
        status = transitions.reserved(task, progressing(Reason.UPDATING, "Changing"), NOW)
        assert status.sequence_id == expected
        task = task.model_copy(update={"status": status})
    ended = transitions.retired(task, EndReason.SPEC_CHANGED, "", NOW, another=STARTING, over=OVER)
    task = task.model_copy(update={"status": ended})
    assert transitions.reserved(task, progressing(Reason.UPDATING, "Changing"), NOW).sequence_id == 4


def test_an_update_is_credited_to_its_spec() -> None:
    task = running({"languages": ["de-DE"]})
    status = transitions.updated(task, observation(), NOW)
    assert status.applied == settings_of(task.spec)
    assert status.last_update_time == NOW


def test_a_task_that_ended_leaves_its_traces_in_the_history_only() -> None:
    task = running(status={"observedGeneration": 1, "builderToken": "token"})
    status = transitions.retired(task, EndReason.FAILED, "words", NOW, another=None, over=OVER)
    (ended,) = status.history
    assert (ended.task_id, ended.reason, ended.message) == ("agora-1", EndReason.FAILED, "words")
    assert (ended.start_time, ended.end_time) == (BIRTH, NOW)
    left = status.model_dump(
        exclude_none=True, include={"task_id", "builder_token", "applied", "start_hash", "bot_uid"}
    )
    assert left == {}
    assert (status.completion_time, status.restarts, status.attempt) == (NOW, None, 1)
    assert status.phase is Phase.FAILED


def test_another_task_is_announced_with_the_end_of_the_last_on_v7() -> None:
    status = transitions.retired(running(), EndReason.FAILED, "", NOW, another=STARTING, over=OVER)
    assert (status.instance_id, status.attempt, status.attempt_generation) == (f"tt-{UID}-1", 1, 1)
    assert (status.restarts, status.completion_time) == (1, None)


def test_v6_has_nothing_to_announce_before_it_has_a_token() -> None:
    task = task_of({"agoraApi": "V6"}, {"observedGeneration": 1, "builderToken": "token"})
    task = task.model_copy(
        update={"status": transitions.started(task, Dialect.V6, observation(word="STARTED"), HOUR, BIRTH)}
    )
    status = transitions.retired(task, EndReason.FAILED, "", NOW, another=STARTING, over=OVER)
    assert (status.instance_id, status.builder_token, status.attempt) == (None, None, 1)


def test_the_history_keeps_the_last_five() -> None:
    task = running()
    for number in range(7):
        status = transitions.retired(task, EndReason.FAILED, str(number), NOW, another=STARTING, over=OVER)
        task = task.model_copy(update={"status": status})
    assert [ended.message for ended in task.status.history] == ["2", "3", "4", "5", "6"]
    assert task.status.restarts == 7


def test_overlap_keeps_the_earlier_task_with_its_token_until_it_is_stopped() -> None:
    task = running(status={"observedGeneration": 1, "builderToken": "token"})
    status = transitions.overlapping(task, NOW)
    assert status.retiring is not None
    assert (status.retiring.task_id, status.retiring.builder_token) == ("agora-1", "token")
    assert (status.task_id, status.builder_token, status.attempt) == (None, None, 1)
    done = transitions.retired_earlier(task.model_copy(update={"status": status}), NOW)
    assert done.retiring is None
    assert [(ended.task_id, ended.reason) for ended in done.history] == [("agora-1", EndReason.ROLLED_OVER)]


@pytest.mark.parametrize(
    ("dialect", "certified", "hours"),
    [(Dialect.V7, True, 24), (Dialect.V7, False, 72), (Dialect.V6, True, 24), (Dialect.V6, False, 24)],
)
def test_lifetimes(dialect: Dialect, hours: int, *, certified: bool) -> None:
    assert transitions.lifetime(dialect, certified=certified) == timedelta(hours=hours)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_phase_and_only_a_task_runs(reason: Reason) -> None:
    verdict = retrying(reason, "")
    without = transitions.concluded(task_of(), task_of().status, verdict, NOW).phase
    with_task = transitions.concluded(running(), running().status, verdict, NOW).phase
    assert without == with_task or (without, with_task) == (Phase.PENDING, Phase.RUNNING)


def test_a_conclusion_is_for_the_generation_that_it_was_made_from() -> None:
    task = task_of(generation=9)
    status = transitions.concluded(task, task.status, ready(Reason.SUSPENDED, ""), NOW)
    assert status.observed_generation == 9
    assert {condition.observed_generation for condition in status.conditions} == {9}
    assert {condition.last_transition_time for condition in status.conditions} == {"2026-11-21T08:01:40Z"}


def test_agoras_words_are_cut_to_what_the_crd_takes() -> None:
    status = transitions.started(task_of(), Dialect.V7, observation(word="x" * 1000), HOUR, NOW)
    assert len(status.agora_status or "") == 256
    assert len(transitions.observed(status, observation(word="y" * 1000)).agora_status or "") == 256
