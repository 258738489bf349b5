"""The conditions as kstatus, and with it Helm, Flux and `kubectl wait`, read them."""

from __future__ import annotations

from typing import Any

import pytest

from agora_transcription.api import (
    Condition,
    Reason,
    failed,
    merge_conditions,
    progressing,
    ready,
    retrying,
    stalled,
    uncertain,
)
from agora_transcription.api.conditions import MESSAGE_LIMIT, Verdict
from support.kstatus import kstatus

EARLIER, LATER = "2026-11-21T08:00:00Z", "2026-11-21T09:00:00Z"

VERDICTS = [
    pytest.param(progressing, "InProgress", id="working"),
    pytest.param(uncertain, "InProgress", id="cannot be told now"),
    pytest.param(retrying, "InProgress", id="failed, will retry"),
    pytest.param(stalled, "Failed", id="somebody has to change something"),
    pytest.param(failed, "Failed", id="failed for good"),
    pytest.param(ready, "Current", id="as asked"),
]


def body(conditions: tuple[Condition, ...], *, observed: int = 3, generation: int = 3) -> dict[str, Any]:
    dumped = [condition.model_dump(mode="json", by_alias=True) for condition in conditions]
    return {"metadata": {"generation": generation}, "status": {"observedGeneration": observed, "conditions": dumped}}


def merged(verdict: Verdict, previous: tuple[Condition, ...] = (), now: str = LATER) -> tuple[Condition, ...]:
    return merge_conditions(previous, verdict, generation=3, now=now)


@pytest.mark.parametrize(("make", "status"), VERDICTS)
@pytest.mark.parametrize(("previous", "_"), VERDICTS)
def test_every_verdict_reads_as_it_is_meant_whatever_was_before(make: Any, status: str, previous: Any, _: str) -> None:
    before = merged(previous(Reason.STARTING, "before"), now=EARLIER)
    conditions = merged(make(Reason.RUNNING, "now"), before)
    assert kstatus(body(conditions)) == status
    types = [condition.type.value for condition in conditions]
    assert types[0] == "Ready"
    assert not {"Reconciling", "Stalled"} <= set(types)
    assert len(types) == len(set(types))


@pytest.mark.parametrize(("make", "_"), VERDICTS)
def test_a_newer_spec_reads_as_in_progress(make: Any, _: str) -> None:
    assert kstatus(body(merged(make(Reason.RUNNING, "")), generation=4)) == "InProgress"


def test_an_object_that_nobody_has_looked_at_reads_as_in_progress() -> None:
    """By the schema's default; without any status it would read as Current."""
    assert kstatus({"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}) == "InProgress"
    assert kstatus({"metadata": {"generation": 1}}) == "Current"


@pytest.mark.parametrize(("make", "_"), VERDICTS)
def test_abnormal_conditions_are_absent_or_true(make: Any, _: str) -> None:
    for condition in merged(make(Reason.RUNNING, "")):
        assert condition.type == "Ready" or condition.status == "True"


@pytest.mark.parametrize(("make", "_"), VERDICTS)
def test_the_transition_time_stays_while_the_status_does(make: Any, _: str) -> None:
    before = merged(make(Reason.STARTING, "before"), now=EARLIER)
    for condition in merged(make(Reason.RUNNING, "now"), before):
        assert condition.last_transition_time == EARLIER
        assert condition.message == "now"


def test_the_transition_time_moves_on_a_flip() -> None:
    before = merged(ready(Reason.RUNNING, ""), now=EARLIER)
    assert {condition.last_transition_time for condition in merged(stalled(Reason.TASK_FAILED, ""), before)} == {LATER}


def test_a_condition_that_comes_back_has_a_new_time() -> None:
    first = merged(progressing(Reason.STARTING, ""), now=EARLIER)
    second = merged(ready(Reason.RUNNING, ""), first, now=EARLIER)
    third = merged(progressing(Reason.UPDATING, ""), second)
    assert [condition.last_transition_time for condition in third] == [LATER, LATER]


def test_conditions_carry_the_generation_that_they_are_about() -> None:
    assert {condition.observed_generation for condition in merged(stalled(Reason.SPEC_INVALID, ""))} == {3}


@pytest.mark.parametrize("length", [0, MESSAGE_LIMIT, MESSAGE_LIMIT + 1, 10 * MESSAGE_LIMIT])
def test_messages_are_kept_within_what_the_crd_takes(length: int) -> None:
    (condition,) = merged(ready(Reason.RUNNING, "x" * length))
    assert len(condition.message) == min(length, MESSAGE_LIMIT)
    assert condition.message.endswith("…") is (length > MESSAGE_LIMIT)


def test_reasons_are_what_the_api_conventions_ask_for() -> None:
    for reason in Reason:
        assert reason.value[0].isupper()
        assert reason.value.isalpha()
