"""What a list of running tasks means: who is expected in it, who is seen, who is nobody's."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.agora import Dialect, ListedTask, Observation, State
from agora_transcription.controller.memory import Memory
from agora_transcription.controller.sweeps import (
    ROUND,
    Member,
    is_member,
    is_worth_it,
    judge,
    next_asked,
    owned_ids,
    start_in_doubt,
    unowned,
)
from unit.controller.builders import BIRTH, after, rfc3339, task_of

RUNNING = {"observedGeneration": 1, "taskId": "agora-1", "agoraStatus": "RUNNING", "agoraApi": "V7"}
NOW = after(3600)


def remembered(state: State | None = None, **more: Any) -> Memory:
    observation = None if state is None else Observation("agora-1", state.name, state)
    return Memory(**{"poll_at": BIRTH, "last_sent": BIRTH, "task_id": "agora-1", "observation": observation, **more})


@pytest.mark.parametrize("memory", [remembered(), remembered(State.ACTIVE)], ids=["after a restart", "seen"])
def test_a_running_task_is_expected_in_the_list(memory: Memory) -> None:
    assert is_member(task_of({}, RUNNING), memory, Dialect.V7)


@pytest.mark.parametrize(
    ("status", "memory"),
    [
        ({"taskId": None}, remembered()),
        ({"stopReason": "Suspended"}, remembered()),
        ({"agoraApi": "V6"}, remembered()),
        ({"agoraStatus": "STARTING"}, remembered()),
        ({"agoraStatus": None}, remembered()),
        ({}, remembered(State.RECOVERING)),
        ({}, remembered(State.STARTING)),
        ({}, remembered(State.STOPPED)),
        ({}, remembered(gone=True)),
        ({}, remembered(task_id="agora-0")),
    ],
)
def test_any_other_is_not(status: dict[str, Any], memory: Memory) -> None:
    assert not is_member(task_of({}, {**RUNNING, **status}), memory, Dialect.V7)


def test_nor_is_one_that_is_deleted() -> None:
    assert not is_member(task_of({}, RUNNING, deletionTimestamp=rfc3339(NOW)), remembered(), Dialect.V7)


@pytest.mark.parametrize(
    ("members", "pages", "worth"),
    [(9, 0, "no"), (10, 0, "yes"), (10, 9, "yes"), (10, 10, "no"), (5000, 51, "yes"), (0, 0, "no")],
)
def test_a_list_is_worth_it_where_it_costs_less_than_queries(members: int, pages: int, worth: str) -> None:
    assert is_worth_it(members, pages) == (worth == "yes")


def row(task_id: str, status: str = "RUNNING", age: float | None = 3600) -> ListedTask:
    return ListedTask(task_id, status, None if age is None else NOW - timedelta(seconds=age))


@given(st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30)))
def test_each_member_is_either_seen_or_missing(members: list[int], listed: list[int]) -> None:
    everybody = [Member(f"uid-{number}", f"agora-{number}", None, NOW) for number in members]
    sweep = judge(everybody, [row(f"agora-{number}") for number in listed])
    assert {int(member.task_id[6:]) for member in sweep.seen} == set(members) & set(listed)
    assert {int(member.task_id[6:]) for member in sweep.missing} == set(members) - set(listed)


def test_a_row_that_says_otherwise_is_no_sight_of_a_running_task() -> None:
    members = [Member(f"uid-{word}", f"agora-{word}", None, NOW) for word in ("RUNNING", "STOPPING", "")]
    sweep = judge(members, [row(f"agora-{word}", word) for word in ("RUNNING", "STOPPING", "")])
    assert [member.uid for member in sweep.missing] == ["uid-STOPPING"]


@given(st.sets(st.integers(0, 9999), min_size=1, max_size=300), st.text("uid-0123456789", max_size=8))
def test_within_a_round_of_lists_each_is_asked_about(numbers: set[int], last: str) -> None:
    members = [Member(f"uid-{number}", f"agora-{number}", None, NOW) for number in numbers]
    asked = set[str]()
    for _ in range(ROUND):
        turn = next_asked(members, last)
        assert len(turn) == math.ceil(len(members) / ROUND)
        asked.update(turn)
        last = turn[-1]
    assert asked == {member.uid for member in members}


def test_what_no_object_names_and_is_older_than_a_minute_is_nobodys() -> None:
    rows = [row("mine"), row("stranger"), row("young", age=59), row("of unknown age", age=None)]
    assert unowned(rows, {"mine"}, 0, NOW) == 2
    assert unowned(rows, {"mine"}, 1, NOW) == 1, "it may be that of a start in doubt"
    assert unowned(rows, {"mine"}, 5, NOW) == 0


def test_an_object_owns_its_task_the_one_that_retires_and_the_one_that_is_not_written_yet() -> None:
    task = task_of({}, {**RUNNING, "retiring": {"taskId": "agora-0"}})
    written = task.status.model_copy(update={"task_id": "agora-2", "retiring": None})
    assert owned_ids(task, None) == {"agora-0", "agora-1"}
    assert owned_ids(task, remembered(unrecorded=(task, written))) == {"agora-0", "agora-1", "agora-2"}
    assert owned_ids(task_of(), remembered()) == set()


@pytest.mark.parametrize("status", [None, {"observedGeneration": 1, "instanceId": "tt-1"}])
def test_a_start_is_in_doubt_until_the_task_is_named(status: dict[str, Any] | None) -> None:
    assert start_in_doubt(task_of({}, status))


@pytest.mark.parametrize("status", [{"observedGeneration": 1}, RUNNING])
def test_no_start_is_in_doubt_that_is_not_announced_or_is_named(status: dict[str, Any]) -> None:
    assert not start_in_doubt(task_of({}, status))


def test_nothing_is_started_before_the_finalizer() -> None:
    assert not start_in_doubt(task_of(guarded=False))
