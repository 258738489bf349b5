"""The election: who holds the Lease, for how long that is certain, when it is lost; time and API server are made up."""

from __future__ import annotations

import asyncio
import copy
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from agora_transcription.controller import lease
from agora_transcription.controller.clock import steady_clock
from agora_transcription.controller.lease import FENCE_SECONDS, LEASE_SECONDS, Election, Lock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Clock:
    """What time it is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def nothing() -> None:
    """Nothing comes in between."""


class Leases:
    """The API server's Leases: one, with a resourceVersion; and what goes wrong with the next requests."""

    def __init__(self) -> None:
        self.stored: Any = None
        self.version = 0
        self.faults: list[Exception] = []
        self.lost_answers = 0
        self.before_write: Callable[[], Awaitable[None]] = nothing
        self.writes = 0

    async def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        assert (name, namespace) == ("operator", "system")
        self._fail()
        if self.stored is None:
            error = ApiException(status=404, reason="Not Found")
            error.body = '{"code": 404}'
            raise error
        return copy.deepcopy(self.stored)

    async def create_namespaced_lease(self, namespace: str, body: Any) -> None:
        assert namespace == "system"
        await self._come_between()
        self._fail()
        if self.stored is not None:
            raise ApiException(status=409, reason="Conflict")
        self._store(body)

    async def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> None:
        assert (name, namespace) == ("operator", "system")
        await self._come_between()
        self._fail()
        if self.stored is None or body.metadata.resource_version != self.stored.metadata.resource_version:
            raise ApiException(status=409, reason="Conflict")
        self._store(body)

    async def _come_between(self) -> None:
        hook, self.before_write = self.before_write, nothing
        await hook()

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    def _store(self, body: Any) -> None:
        for moment in (body.spec.renew_time, body.spec.acquire_time):
            assert moment.tzinfo is not None
            assert moment.microsecond, "Kubernetes' MicroTime is never without"
        self.version += 1
        self.writes += 1
        self.stored = copy.deepcopy(body)
        self.stored.metadata.resource_version = str(self.version)
        if self.lost_answers:
            self.lost_answers -= 1
            raise aiohttp.ServerDisconnectedError

    @property
    def holder(self) -> str | None:
        return None if self.stored is None else self.stored.spec.holder_identity


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that sleeping moves."""
    clock = Clock()
    turn = asyncio.sleep

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        await turn(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return clock


def replica(leases: Leases, clock: Callable[[], float]) -> Election:
    api: Any = object()  # never asked: its part is played by `leases`
    lock = Lock(api, "system", "operator")
    lock.api_instance = leases  # type: ignore[assignment]
    return Election(lock, clock=clock)


def at(clock: Clock, seconds: float, action: Callable[[], Any]) -> Callable[[], float]:
    """A clock that does something once when it is that late."""
    done: list[Any] = []

    def read() -> float:
        if clock.now >= seconds and not done:
            done.append(action())
        return clock.now

    return read


async def test_the_first_one_creates_the_lease_and_the_second_waits(leases: Leases, clock: Clock) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    assert await first.acquire()
    assert leases.holder == first._lock.identity
    assert not await second.try_acquire_or_renew()
    assert (first.may_act(), second.may_act()) == (True, False)


async def test_two_that_create_it_at_once_are_not_both_leaders(leases: Leases, clock: Clock) -> None:
    first, second = replica(leases, clock), replica(leases, clock)

    async def faster() -> None:
        assert await second.try_acquire_or_renew()

    leases.before_write = faster
    assert not await first.try_acquire_or_renew()
    assert (first.may_act(), second.may_act()) == (False, True)
    assert first.check() is None, "that another was faster is no problem"


async def test_a_lease_that_is_not_renewed_is_taken_after_its_time_and_not_before(leases: Leases, clock: Clock) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    assert await first.acquire()
    began = clock.now
    assert await second.acquire()
    assert LEASE_SECONDS <= clock.now - began <= LEASE_SECONDS + 1
    assert not first.may_act()


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_a_wall_clock_that_jumps_takes_no_lease(
    leases: Leases, clock: Clock, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    assert await first.acquire()
    assert not await second.try_acquire_or_renew()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    assert not await second.try_acquire_or_renew()
    assert await first.try_acquire_or_renew()
    assert not await second.try_acquire_or_renew()
    clock.now += LEASE_SECONDS
    assert await second.try_acquire_or_renew()


async def test_the_fence_counts_from_before_the_renewal_was_sent(leases: Leases, clock: Clock) -> None:
    first = replica(leases, clock)

    async def slow() -> None:
        clock.now += 2.5

    leases.before_write = slow
    began = clock.now
    assert await first.acquire()
    clock.now = began + FENCE_SECONDS - 0.01
    assert first.may_act()
    clock.now = began + FENCE_SECONDS
    assert not first.may_act()


async def test_a_leader_that_renews_stays_one(leases: Leases, clock: Clock) -> None:
    first = replica(leases, clock)
    assert await first.acquire()
    end = clock.now + 3600
    first._clock = at(clock, end, lambda: leases.faults.extend([OSError()] * 99))
    await first.renew_loop()
    assert clock.now >= end
    # Every two seconds, not more often.
    assert 1700 <= leases.writes <= 1900


@pytest.mark.parametrize(
    "fault",
    [
        aiohttp.ServerDisconnectedError(),
        TimeoutError(),
        ConnectionRefusedError(),
        ApiException(status=500, reason="Internal Server Error"),
        ApiException(status=429, reason="Too Many Requests"),
        ApiException(status=403, reason="Forbidden"),
        ValueError("no Lease"),
    ],
    ids=lambda fault: f"{type(fault).__name__}{getattr(fault, 'status', '')}",
)
async def test_one_failed_renewal_is_made_good_and_many_lose_the_lease_before_the_fence_falls(
    leases: Leases, clock: Clock, fault: Exception
) -> None:
    first = replica(leases, clock)
    assert await first.acquire()
    leases.faults = [fault, fault]
    began = clock.now
    first._clock = at(clock, began + 100, lambda: leases.faults.extend([fault] * 99))
    await first.renew_loop()
    assert clock.now >= began + 100, "two failures were survived"
    assert first.may_act(), "it ends while it still may act"
    # What went wrong stands in /readyz, in words that are no page of headers.
    assert first.check() is not None
    assert "\n" not in str(first.check())


async def test_an_answer_that_does_not_come_is_a_failed_try(
    leases: Leases, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TRY_SECONDS", 0.01)
    first = replica(leases, clock)

    async def never() -> None:
        await asyncio.Event().wait()

    leases.before_write = never
    assert not await first.try_acquire_or_renew()
    assert await first.try_acquire_or_renew()


async def test_a_renewal_whose_answer_is_lost_still_holds(leases: Leases, clock: Clock) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    assert await first.acquire()
    assert not await second.try_acquire_or_renew()
    sent = first._sent
    clock.now += 2
    leases.lost_answers = 1
    assert not await first.try_acquire_or_renew()
    assert first._sent == sent, "what is not known to have been renewed is not counted"
    clock.now += 1
    assert await first.try_acquire_or_renew()


async def test_one_that_was_stopped_finds_its_lease_lost_and_does_not_try_to_win_it_back(
    leases: Leases, clock: Clock
) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    assert await first.acquire()
    assert await second.acquire()
    await second.release()
    writes = leases.writes
    await first.renew_loop()
    assert leases.writes == writes
    assert not first.may_act()


async def test_a_lease_that_another_has_is_lost_at_once(leases: Leases, clock: Clock) -> None:
    first = replica(leases, clock)
    assert await first.acquire()
    assert leases.stored
    leases.stored.spec.holder_identity = "somebody"
    began = clock.now
    await first.renew_loop()
    assert clock.now - began == lease.RENEW_PERIOD


async def test_a_released_lease_is_taken_at_the_next_look(leases: Leases, clock: Clock) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    assert await first.acquire()
    assert not await second.try_acquire_or_renew()
    await first.release()
    assert not first.may_act()
    assert not leases.holder
    assert await second.try_acquire_or_renew()
    assert second.may_act()


async def test_what_another_holds_is_not_released(leases: Leases, clock: Clock) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    await first.release()
    assert leases.stored is None
    assert await first.acquire()
    await second.release()
    assert leases.holder == first._lock.identity


async def test_a_renewal_that_comes_in_between_does_not_keep_the_release_from_happening(
    leases: Leases, clock: Clock
) -> None:
    first = replica(leases, clock)
    assert await first.acquire()

    async def renewal() -> None:
        assert leases.stored
        leases.stored.metadata.resource_version = "elsewhere"

    leases.before_write = renewal
    await first.release()
    assert not leases.holder


async def test_a_release_that_fails_says_so_and_ends(
    leases: Leases, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first = replica(leases, clock)
    assert await first.acquire()
    leases.faults = [ApiException(status=503, reason="Service Unavailable")]
    await first.release()
    assert "system/operator is not released and runs out: 503 Service Unavailable" in caplog.text
    assert not first.may_act()


async def test_a_lease_made_beforehand_is_taken(leases: Leases, clock: Clock) -> None:
    leases.stored = client.V1Lease(metadata=client.V1ObjectMeta(name="operator", resource_version="7"))
    first = replica(leases, clock)
    assert await first.try_acquire_or_renew()


async def test_a_longer_lease_of_another_version_is_waited_for(leases: Leases, clock: Clock) -> None:
    first, second = replica(leases, clock), replica(leases, clock)
    assert await first.acquire()
    assert leases.stored
    leases.stored.spec.lease_duration_seconds = 40
    began = clock.now
    assert await second.acquire()
    assert clock.now - began >= 40


async def test_a_problem_is_said_once_and_over_once_it_is_over(
    leases: Leases, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    first = replica(leases, clock)
    assert first.check() == "the Lease system/operator has not been read yet"
    leases.faults = [ApiException(status=403, reason="Forbidden")] * 3
    for _ in range(3):
        assert not await first.try_acquire_or_renew()
    assert first.check() == (
        "the Lease system/operator cannot be held: 403 Forbidden."
        " In the namespace system a Role of this account must allow to create leases,"
        " and to get and update the one that --lease-name names, with resourceNames: [operator]"
    )
    assert caplog.text.count("403 Forbidden") == 1
    assert await first.try_acquire_or_renew()
    assert first.check() is None


@pytest.mark.parametrize(
    "body",
    [None, "", "<html>404 Not Found</html>", '"404"', '{"code": 502}', '{"message": "no route"}'],
    ids=["none", "empty", "HTML", "text", "another code", "no code"],
)
async def test_a_proxys_404_is_a_problem_and_not_a_lease_that_is_missing(
    leases: Leases, clock: Clock, caplog: pytest.LogCaptureFixture, body: str | None
) -> None:
    first = replica(leases, clock)
    for _ in range(3):
        error = ApiException(status=404, reason="Not Found")
        error.body = body
        leases.faults.append(error)
        assert not await first.try_acquire_or_renew()
        assert first.check() == "the Lease system/operator cannot be held: 404 Not Found"
    assert [record.levelname for record in caplog.records] == ["WARNING"], "said once"
    assert await first.try_acquire_or_renew()
    assert first.check() is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-21 10:00:00+00:00", datetime(2026, 11, 21, 10, 0, 0, 1, tzinfo=UTC)),
        ("2026-11-21 11:00:00.000005+01:00", datetime(2026, 11, 21, 10, 0, 0, 5, tzinfo=UTC)),
    ],
)
def test_times_are_kubernetes_micro_times_on_full_seconds_too(leases: Leases, written: str, expected: datetime) -> None:
    assert datetime.fromisoformat(replica(leases, Clock())._lock.time_str_to_iso(written)) == expected


async def test_the_acquisition_keeps_its_time_through_renewals(leases: Leases, clock: Clock) -> None:
    first = replica(leases, clock)
    assert await first.acquire()
    assert leases.stored
    acquired, renewed = leases.stored.spec.acquire_time, leases.stored.spec.renew_time
    assert abs(acquired - datetime.now(UTC)).total_seconds() < 60, "UTC, wherever this runs"
    for _ in range(3):
        assert await first.try_acquire_or_renew()
    assert leases.stored.spec.acquire_time == acquired
    assert leases.stored.spec.renew_time > renewed


def test_the_clock_goes_on() -> None:
    assert steady_clock() <= steady_clock()


class Skewed:
    """A clock that began elsewhere and goes a little faster or slower than the true one."""

    def __init__(self, true: Clock, offset: float, rate: float) -> None:
        self.true, self.offset, self.rate = true, offset, rate

    def __call__(self) -> float:
        return self.offset + self.true.now * self.rate


@dataclass(frozen=True)
class Turn:
    """What one replica does.

    Attributes:
        who: Which one.
        after: Seconds before.
        jump: How far the wall clock is set before.
        releases: It gives the Lease up, instead of trying for it.
        stopped: Seconds between its look and its write.
        other: Who has a turn in that time.
        outcome: What becomes of its request.
    """

    who: int
    after: float
    jump: float
    releases: bool
    stopped: float
    other: int | None
    outcome: str


TURN = st.builds(
    Turn,
    who=st.integers(0, 1),
    after=st.sampled_from([0.1, 2.0, 10.2]),
    jump=st.sampled_from([0.0] * 5 + [3600.0, -3600.0]),
    releases=st.sampled_from([False] * 5 + [True]),
    stopped=st.sampled_from([0.0] * 5 + [1.0, 10.2, 30.0]),
    other=st.sampled_from([None, None, None, 0, 1]),
    outcome=st.sampled_from(["answered"] * 5 + ["lost", "failed"]),
)
RATES = st.tuples(*[st.sampled_from([0.95, 1.0, 1.05])] * 2)
"""How fast the replicas' clocks go."""


@settings(deadline=None, max_examples=500)  # the machine may be busy
@given(turns=st.lists(TURN, max_size=30), rates=RATES, offsets=st.tuples(*[st.sampled_from([0.0, 1e6, -1e6])] * 2))
def test_never_two_may_act_whatever_the_clocks_say(
    turns: list[Turn], rates: tuple[float, ...], offsets: tuple[float, ...]
) -> None:
    leases, true, wall = Leases(), Clock(), Clock()
    replicas = [replica(leases, Skewed(true, *how)) for how in zip(offsets, rates, strict=True)]

    def pass_time(seconds: float) -> None:
        for _ in range(20):
            true.now += seconds / 20
            assert sum(election.may_act() for election in replicas) <= 1

    async def story() -> None:
        for turn in turns:
            wall.now += turn.jump
            pass_time(turn.after)

            async def meanwhile(turn: Turn = turn) -> None:
                pass_time(turn.stopped / 2)
                # A replica does not renew while it releases: `release` asks for that, and `Lifecycle.end` sees to it.
                if turn.other is not None and not (turn.releases and turn.other == turn.who):
                    await replicas[turn.other].try_acquire_or_renew()
                pass_time(turn.stopped / 2)

            leases.before_write = meanwhile
            leases.lost_answers = int(turn.outcome == "lost")
            leases.faults = [OSError()] if turn.outcome == "failed" else []
            election = replicas[turn.who]
            await (election.release() if turn.releases else election.try_acquire_or_renew())
            leases.before_write = nothing
            pass_time(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: true.now + wall.now)
        asyncio.run(story())
