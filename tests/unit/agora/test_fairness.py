"""Whose turn it is among those that wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.agora.fairness import PASSES, FairQueue


@dataclass(frozen=True, eq=False)
class Call:
    priority: int
    tenant: str
    number: int


def queue_of(*calls: Call) -> FairQueue[Call]:
    queue = FairQueue[Call]((0, 1, 2))
    for call in calls:
        queue.add(call.priority, call.tenant, call)
    return queue


def calls_of(tenant: str, count: int, priority: int = 0) -> list[Call]:
    return [Call(priority, tenant, number) for number in range(count)]


def drained(queue: FairQueue[Call]) -> list[Call]:
    taken = []
    while queue:
        taken.append(queue.take())
    return taken


def test_tenants_take_turns_whoever_came_first() -> None:
    queue = queue_of(*calls_of("a", 4), *calls_of("b", 2), *calls_of("c", 1))
    assert "".join(call.tenant for call in drained(queue)) == "abcabaa"


def test_one_tenants_calls_keep_their_order() -> None:
    queue = queue_of(*calls_of("a", 100))
    assert [call.number for call in drained(queue)] == list(range(100))


def test_who_comes_late_waits_for_one_call_of_those_who_are_there() -> None:
    queue = queue_of(*calls_of("a", 5000))
    for _ in range(1000):
        queue.take()
    queue.add(0, "b", late := Call(0, "b", 0))
    assert late in [queue.take(), queue.take()]


def test_who_asks_for_one_thing_after_the_other_does_not_outrun_who_asks_for_all_at_once() -> None:
    queue, went, waits = queue_of(*calls_of("crowd", 100)), Counter[str](), False
    for number in range(100):
        if not waits:
            queue.add(0, "single", Call(0, "single", number))
        taken = queue.take()
        waits = taken.tenant != "single"
        went[taken.tenant] += 1
    assert went["crowd"] == pytest.approx(50, abs=1)


def test_who_was_away_has_saved_nothing_up() -> None:
    queue = queue_of(*calls_of("a", 1000), Call(0, "b", 0))
    for _ in range(500):
        queue.take()
    for call in calls_of("b", 10):
        queue.add(0, "b", call)
    assert Counter(queue.take().tenant for _ in range(10)) == {"a": 5, "b": 5}


def test_giving_up_and_asking_again_is_served_in_turn() -> None:
    queue = queue_of(*calls_of("a", 10))
    for number in range(100):
        queue.add(0, "b", gives_up := Call(0, "b", number))
        queue.remove(gives_up)
    queue.add(0, "b", last := Call(0, "b", 100))
    assert last in [queue.take(), queue.take()]


def test_removing_twice_or_a_stranger_is_no_error() -> None:
    queue = queue_of(here := Call(0, "a", 0))
    queue.remove(Call(0, "a", 0))
    queue.remove(here)
    queue.remove(here)
    assert not queue


def test_who_is_found_can_be_removed_meanwhile() -> None:
    queue = queue_of(*calls_of("a", 3), *calls_of("b", 3, priority=2))
    for call in queue:
        queue.remove(call)
    assert not queue


def test_higher_priorities_go_first() -> None:
    queue = queue_of(*calls_of("a", 3, priority=2), *calls_of("a", 3, priority=1), *calls_of("b", 3, priority=0))
    assert [call.priority for call in drained(queue)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_each_lower_priority_keeps_its_share() -> None:
    queue = queue_of(*(call for priority in (0, 1, 2) for call in calls_of("a", 1000, priority)))
    shares = Counter(queue.take().priority for _ in range(1000))
    assert shares[1] == pytest.approx(1000 / (PASSES + 2), abs=2)
    assert shares[2] == pytest.approx(1000 / (PASSES + 2), abs=2)


def test_nothing_is_kept_of_tenants_once_nobody_waits() -> None:
    queue = queue_of()
    for number in range(1000):
        queue.add(0, f"tenant-{number}", Call(0, f"tenant-{number}", 0))
        queue.take()
    line = queue._lines[0]
    assert not line._queues
    assert not line._tenants


plans = st.lists(
    st.tuples(st.just("add"), st.integers(0, 2), st.sampled_from("abc"))
    | st.tuples(st.just("take"), st.just(0), st.just(""))
    | st.tuples(st.just("remove"), st.integers(0, 30), st.just("")),
    max_size=60,
)


@given(plan=plans)
def test_nobody_is_lost_or_served_twice_and_nobody_waits_for_more_than_his_share(
    plan: list[tuple[str, int, str]],
) -> None:
    queue, waiting, went = queue_of(), list[Call](), list[Call]()
    ahead: dict[Call, Counter[str]] = {}
    for number, (what, value, tenant) in enumerate([*plan, *[("take", 0, "")] * len(plan)]):
        if what == "add":
            waiting.append(call := Call(value, tenant, number))
            ahead[call] = Counter()
            queue.add(value, tenant, call)
        elif what == "remove" and value < len(waiting):
            queue.remove(waiting.pop(value))
        elif what == "take" and waiting:
            went.append(call := queue.take())
            waiting.remove(call)
            for other in waiting:
                if other.priority == call.priority:
                    ahead[other][call.tenant] += 1
    assert not waiting
    assert not queue
    assert len(set(went)) == len(went)
    for call in went:
        own = ahead[call].pop(call.tenant, 0)
        # While so many of its own tenant went before it, no other tenant had more than one turn more.
        assert max(ahead[call].values(), default=0) <= own + 2
