"""Budgets in virtual time: hours pass in milliseconds, and every admission has an exact moment."""

from __future__ import annotations

import asyncio
import gc
import selectors
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agora_transcription.agora import (
    Account,
    AgoraError,
    Ambiguous,
    Budgets,
    CircuitOpen,
    CredentialsRefused,
    Gone,
    NotSent,
    Priority,
    RequestRefused,
    Throttled,
    Upstream,
)
from agora_transcription.agora.fairness import PASSES

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer instead of passing."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = selectors.SelectSelector()
        super().__init__(selector)
        wait = selector.select

        def jump(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is None:
                raise AssertionError("everybody waits and no timer is set")
            self.now += timeout
            return wait(0)

        selector.select = jump  # type: ignore[method-assign]

    def time(self) -> float:
        return self.now


def run(scenario: Coroutine[object, object, T]) -> T:
    """Run a scenario in virtual time; an exception that nobody looked at fails it."""
    loop = VirtualTimeLoop()
    unseen: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _loop, context: unseen.append(context))
    try:
        result = loop.run_until_complete(scenario)
        gc.collect(1)
    finally:
        loop.close()
    assert unseen == []
    return result


def now() -> float:
    """Seconds since the scenario began."""
    return round(asyncio.get_running_loop().time() - 1000.0, 6)


def budgets(rate: float = 0, burst: int = 1, *, probe_interval: float = 300.0) -> Budgets:
    return Budgets(rate, burst, clock=asyncio.get_running_loop().time, probe_interval=probe_interval)


ACCOUNT = Account("0" * 32, "id", SecretStr("secret"))
OTHER_APP = Account("1" * 32, "id", SecretStr("secret"))
OTHER_TENANT = replace(ACCOUNT, customer_secret=SecretStr("the right one"))
REFUSED = CredentialsRefused("start", code=401)


async def admitted_at(
    budget: Budgets, account: Account = ACCOUNT, priority: Priority = Priority.POLL, tenant: str = ""
) -> float:
    await budget.admit(account, priority, tenant)
    return now()


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    async def scenario() -> list[float]:
        budget = budgets(rate=2, burst=3)
        return await asyncio.gather(*(admitted_at(budget) for _ in range(6)))

    assert run(scenario()) == [0, 0, 0, 0.5, 1.0, 1.5]


def test_a_quiet_time_earns_a_burst_and_no_more() -> None:
    async def scenario() -> list[float]:
        budget = budgets(rate=2, burst=3)
        await asyncio.sleep(1000)
        return await asyncio.gather(*(admitted_at(budget) for _ in range(5)))

    assert run(scenario()) == [1000, 1000, 1000, 1000.5, 1001]


def test_rate_0_is_no_limit() -> None:
    async def scenario() -> list[float]:
        budget = budgets(rate=0, burst=1)
        return await asyncio.gather(*(admitted_at(budget) for _ in range(500)))

    assert set(run(scenario())) == {0}


def test_at_once_is_one_of_the_burst_like_any_other() -> None:
    async def scenario() -> tuple[list[bool], float]:
        budget = budgets(rate=2, burst=3)
        return [budget.admit_at_once(ACCOUNT, Priority.START_STOP) for _ in range(4)], await admitted_at(budget)

    assert run(scenario()) == ([True, True, True, False], 0.5)


def test_at_once_overtakes_nobody() -> None:
    """A poll that has waited for its token gets it, though a start asks in the very moment in which there is one."""

    async def scenario() -> tuple[bool, float]:
        budget = budgets(rate=1, burst=1)
        await budget.admit(ACCOUNT, Priority.POLL)
        waiting = asyncio.create_task(admitted_at(budget))
        await asyncio.sleep(0)
        asyncio.get_running_loop().now += 1  # type: ignore[attr-defined]  # the virtual loop's; its timer has not run
        return budget.admit_at_once(ACCOUNT, Priority.START_STOP), await waiting

    assert run(scenario()) == (False, 1)


def test_at_once_is_never_where_agora_wants_nothing() -> None:
    async def scenario() -> list[bool]:
        budget = budgets()
        budget.report(OTHER_APP, Throttled("query", retry_after=5))
        budget.report(ACCOUNT, REFUSED)
        asked = [ACCOUNT, OTHER_APP, OTHER_TENANT]
        at_once = [budget.admit_at_once(account, Priority.START_STOP) for account in asked]
        await asyncio.sleep(
            300
        )  # time for one call to try the refused credentials: that is a matter of waiting in line
        return [*at_once, budget.admit_at_once(ACCOUNT, Priority.START_STOP)]

    assert run(scenario()) == [False, False, True, False]


def test_each_app_id_has_a_bucket_of_its_own() -> None:
    async def scenario() -> list[float]:
        budget = budgets(rate=1, burst=1)
        accounts = [ACCOUNT, OTHER_APP, ACCOUNT, OTHER_APP]
        return await asyncio.gather(*(admitted_at(budget, account) for account in accounts))

    assert run(scenario()) == [0, 0, 1, 1]


def test_two_tenants_of_an_app_id_share_its_bucket() -> None:
    async def scenario() -> list[float]:
        budget = budgets(rate=1, burst=1)
        return list(await asyncio.gather(admitted_at(budget, ACCOUNT), admitted_at(budget, OTHER_TENANT)))

    assert run(scenario()) == [0, 1]


def test_starts_go_before_updates_before_polls_and_each_in_order() -> None:
    async def scenario() -> list[str]:
        budget, order = budgets(rate=1, burst=1), list[str]()
        await budget.admit(ACCOUNT, Priority.POLL)

        async def call(name: str, priority: Priority) -> None:
            await budget.admit(ACCOUNT, priority)
            order.append(name)

        async with asyncio.TaskGroup() as group:
            for name, priority in [
                ("poll 1", Priority.POLL),
                ("update 1", Priority.UPDATE),
                ("poll 2", Priority.POLL),
                ("start 1", Priority.START_STOP),
                ("update 2", Priority.UPDATE),
                ("stop 2", Priority.START_STOP),
            ]:
                group.create_task(call(name, priority))
        return order

    assert run(scenario()) == ["start 1", "stop 2", "update 1", "update 2", "poll 1", "poll 2"]


def test_waits_are_observed() -> None:
    async def scenario() -> list[float]:
        waits: list[tuple[Priority, float]] = []
        clock = asyncio.get_running_loop().time
        budget = Budgets(1, 1, clock=clock, observe_wait=lambda *wait: waits.append(wait))
        await asyncio.gather(*(budget.admit(ACCOUNT, Priority.POLL) for _ in range(3)))
        await budget.admit(ACCOUNT, Priority.UPDATE)
        assert [priority for priority, _ in waits] == [Priority.POLL] * 3 + [Priority.UPDATE]
        return [seconds for _, seconds in waits]

    assert run(scenario()) == pytest.approx([0, 1, 2, 1])


def test_those_who_wait_are_counted_by_priority_until_they_do_not() -> None:
    async def scenario() -> None:
        budget = budgets(rate=1, burst=1)
        urgency = [Priority.START_STOP] * 2 + [Priority.UPDATE] + [Priority.POLL] * 2
        calls = [asyncio.create_task(admitted_at(budget, priority=priority)) for priority in urgency]
        await asyncio.sleep(0.5)
        assert budget.waiting == {Priority.START_STOP: 1, Priority.UPDATE: 1, Priority.POLL: 2}
        calls[3].cancel()
        await asyncio.sleep(1)
        assert budget.waiting == {Priority.START_STOP: 0, Priority.UPDATE: 1, Priority.POLL: 1}
        budget.report(ACCOUNT, REFUSED)
        await asyncio.wait(calls)
        assert budget.waiting.total() == 0
        assert isinstance(calls[4].exception(), CircuitOpen)
        assert isinstance(calls[2].exception(), CircuitOpen)

    run(scenario())


def test_one_namespaces_5000_starts_do_not_hold_up_another_ones_single_one() -> None:
    async def scenario() -> tuple[float, float]:
        budget = budgets(rate=20, burst=20)
        many = [
            asyncio.create_task(admitted_at(budget, priority=Priority.START_STOP, tenant="crowd")) for _ in range(5000)
        ]
        await asyncio.sleep(10)
        alone = await admitted_at(budget, priority=Priority.START_STOP, tenant="single") - 10
        return alone, max(await asyncio.gather(*many))

    alone, last = run(scenario())
    assert alone <= 0.1
    assert last == pytest.approx((5001 - 20) / 20, abs=0.1)


def test_polls_go_on_under_steady_starts() -> None:
    """Starts that come as fast as the budget allows, for as long as it takes, leave a tenth of it to the polls."""

    async def scenario() -> list[float]:
        budget = budgets(rate=10, burst=1)

        async def start_for_ever() -> None:
            while True:
                await budget.admit(ACCOUNT, Priority.START_STOP)

        starts = [asyncio.create_task(start_for_ever()) for _ in range(5)]
        await asyncio.sleep(0)
        polls = await asyncio.gather(*(admitted_at(budget) for _ in range(5)))
        for start in starts:
            start.cancel()
        await asyncio.wait(starts)
        return polls

    assert run(scenario()) == pytest.approx([1, 2, 3, 4, 5], abs=0.11)


def test_one_who_gives_up_waiting_does_not_hold_up_the_others() -> None:
    async def scenario() -> float:
        budget = budgets(rate=1, burst=1)
        await budget.admit(ACCOUNT, Priority.POLL)
        impatient = [asyncio.create_task(admitted_at(budget, priority=Priority.START_STOP)) for _ in range(3)]
        patient = asyncio.create_task(admitted_at(budget))
        await asyncio.sleep(0.5)
        for task in impatient:
            task.cancel()
        return await patient

    assert run(scenario()) == 1


def test_one_cancelled_in_the_moment_of_admission_gives_it_back() -> None:
    async def scenario() -> float:
        budget = budgets(rate=1, burst=1)
        await budget.admit(ACCOUNT, Priority.POLL)
        first = asyncio.create_task(admitted_at(budget))
        second = asyncio.create_task(admitted_at(budget))
        await asyncio.sleep(0)
        # The budget's own timer for t=1 is set: one scheduled later for the same moment runs right after it.
        asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 1, first.cancel)
        result = await second
        assert first.cancelled()
        return result

    assert run(scenario()) == 1


@dataclass(frozen=True)
class Ask:
    """A call that is asked for, and given up after some time."""

    at: float
    priority: Priority
    patience: float


asks = st.builds(
    Ask,
    at=st.sampled_from([0, 0.1, 0.5, 1, 1.5, 2, 5]) | st.floats(0, 10),
    priority=st.sampled_from(Priority),
    patience=st.sampled_from([0, 0.25, 0.5, 1, 1000.0]) | st.floats(0, 10),
)


@given(rate=st.sampled_from([0.5, 1, 2, 3, 10]), burst=st.integers(1, 5), plan=st.lists(asks, max_size=25))
def test_never_more_than_rate_and_burst_allow_and_no_token_is_lost(rate: float, burst: int, plan: list[Ask]) -> None:
    async def scenario() -> list[float]:
        budget, admissions = budgets(rate, burst), list[float]()

        async def call(ask: Ask) -> None:
            await asyncio.sleep(ask.at)
            try:
                async with asyncio.timeout(ask.patience):
                    await budget.admit(ACCOUNT, ask.priority)
            except TimeoutError:
                return
            admissions.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(call(ask) for ask in plan))
        # Whoever gave up left nothing behind: after the time that a full bucket takes, a burst is there, and no more.
        await asyncio.sleep(burst / rate)
        began = asyncio.get_running_loop().time()
        after = await asyncio.gather(*(admitted_at(budget) for _ in range(burst + 1)))
        assert [at == round(began - 1000.0, 6) for at in after] == [True] * burst + [False]
        return admissions

    admissions = sorted(run(scenario()))
    for first, since in enumerate(admissions):
        for last in range(first, len(admissions)):
            assert last - first + 1 <= rate * (admissions[last] - since) + burst + 1e-6


@given(rate=st.sampled_from([1, 2, 10]), priorities=st.lists(st.sampled_from(Priority), max_size=30))
def test_everybody_who_waits_is_served_in_order_of_priority(rate: float, priorities: list[Priority]) -> None:
    """But for the turn that those have whom nine others have gone past: see `test_fairness.py`."""

    async def scenario() -> list[tuple[Priority, int]]:
        budget, served = budgets(rate, 1), list[tuple[Priority, int]]()
        await budget.admit(ACCOUNT, Priority.POLL)

        async def call(number: int, priority: Priority) -> None:
            await budget.admit(ACCOUNT, priority)
            served.append((priority, number))

        await asyncio.gather(*(call(number, priority) for number, priority in enumerate(priorities)))
        assert now() == pytest.approx(len(priorities) / rate)
        return served

    served = run(scenario())
    assert sorted(served) == sorted((priority, number) for number, priority in enumerate(priorities))
    for priority in Priority:
        assert [number for of, number in served if of is priority] == sorted(n for of, n in served if of is priority)
    if len(priorities) <= PASSES:
        assert served == sorted(served)


def throttled(retry_after: float | None = None) -> Throttled:
    return Throttled("query", retry_after=retry_after)


def test_a_429_silences_its_app_id_for_as_long_as_agora_wants() -> None:
    async def scenario() -> list[float]:
        budget = budgets()
        budget.report(ACCOUNT, throttled(17.0))
        accounts = [ACCOUNT, OTHER_TENANT, OTHER_APP]
        return await asyncio.gather(*(admitted_at(budget, account) for account in accounts))

    assert run(scenario()) == [17, 17, 0]


def test_how_long_agora_holds_an_app_id_back_can_be_asked() -> None:
    async def scenario() -> list[float]:
        budget = budgets()
        held = [budget.held(ACCOUNT)]
        budget.report(ACCOUNT, throttled(17.0))
        await asyncio.sleep(5)
        held += [budget.held(account) for account in (ACCOUNT, OTHER_TENANT, OTHER_APP)]
        await asyncio.sleep(20)
        return [*held, budget.held(ACCOUNT)]

    assert run(scenario()) == [0, 12, 12, 0, 0]


def test_a_429_reaches_those_who_wait_already() -> None:
    async def scenario() -> float:
        budget = budgets(rate=1, burst=1)
        await budget.admit(ACCOUNT, Priority.POLL)
        waiting = asyncio.create_task(admitted_at(budget))
        await asyncio.sleep(0.5)
        budget.report(ACCOUNT, throttled(10.0))
        return await waiting

    assert run(scenario()) == 10.5


def test_a_shorter_retry_after_does_not_shorten_the_silence() -> None:
    async def scenario() -> float:
        budget = budgets()
        budget.report(ACCOUNT, throttled(30.0))
        budget.report(ACCOUNT, throttled(1.0))
        return await admitted_at(budget)

    assert run(scenario()) == 30


def test_429s_without_a_time_double_up_to_a_minute_until_a_success() -> None:
    async def scenario() -> list[float]:
        budget, pauses = budgets(), list[float]()
        for _ in range(6):
            began = now()
            budget.report(ACCOUNT, throttled())
            pauses.append(await admitted_at(budget) - began)
        budget.report(ACCOUNT, None)
        began = now()
        budget.report(ACCOUNT, throttled())
        return [*pauses, await admitted_at(budget) - began]

    assert run(scenario()) == [5, 10, 20, 40, 60, 60, 5]


def test_429s_of_calls_that_were_under_way_together_count_as_one() -> None:
    async def scenario() -> float:
        budget = budgets()
        for _ in range(50):
            budget.report(ACCOUNT, throttled())
        return await admitted_at(budget)

    assert run(scenario()) == 5


def test_refused_credentials_are_not_sent_again_before_the_interval_is_over() -> None:
    async def scenario() -> None:
        budget = budgets()
        budget.report(ACCOUNT, REFUSED)
        with pytest.raises(CircuitOpen) as first:
            await budget.admit(ACCOUNT, Priority.START_STOP)
        await asyncio.sleep(100)
        with pytest.raises(CircuitOpen) as later:
            await budget.admit(ACCOUNT, Priority.START_STOP)
        assert (first.value.retry_in, later.value.retry_in) == (300, 200)
        assert "secret" not in str(later.value)

    run(scenario())


def test_refused_credentials_turn_away_everybody_who_waits_with_them() -> None:
    async def scenario() -> list[object]:
        budget = budgets(rate=1, burst=1)
        await budget.admit(ACCOUNT, Priority.POLL)
        waiting = [asyncio.create_task(admitted_at(budget, account)) for account in (ACCOUNT, OTHER_TENANT, ACCOUNT)]
        await asyncio.sleep(0.5)
        budget.report(ACCOUNT, REFUSED)
        turned_away, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert (now(), turned_away) == (0.5, {waiting[0], waiting[2]})
        results = await asyncio.gather(*waiting, return_exceptions=True)
        return [result if isinstance(result, float) else type(result) for result in results]

    assert run(scenario()) == [CircuitOpen, 1.0, CircuitOpen]


def test_one_cancelled_in_the_moment_of_being_turned_away_has_nothing_to_give_back() -> None:
    async def scenario() -> float:
        budget = budgets(rate=1, burst=1)
        await budget.admit(ACCOUNT, Priority.POLL)
        refused = asyncio.create_task(admitted_at(budget))
        await asyncio.sleep(0.5)
        budget.report(ACCOUNT, REFUSED)
        refused.cancel()
        with pytest.raises(asyncio.CancelledError):
            await refused
        return await admitted_at(budget, OTHER_TENANT)

    assert run(scenario()) == 1


def test_the_right_credentials_of_the_same_app_id_are_let_through_at_once() -> None:
    async def scenario() -> float:
        budget = budgets()
        budget.report(ACCOUNT, REFUSED)
        at = await admitted_at(budget, OTHER_TENANT)
        budget.report(OTHER_TENANT, None)
        with pytest.raises(CircuitOpen):  # and their success does not open the way for the wrong ones
            await budget.admit(ACCOUNT, Priority.POLL)
        return at

    assert run(scenario()) == 0


@pytest.mark.parametrize("priority", Priority)
def test_a_refused_credential_stops_all_calls_of_its_account_and_none_of_another(priority: Priority) -> None:
    async def scenario() -> list[float]:
        budget = budgets(rate=1, burst=1)
        await asyncio.gather(admitted_at(budget), admitted_at(budget, OTHER_APP))
        of_account = [asyncio.create_task(admitted_at(budget, priority=priority, tenant=name)) for name in "abc"]
        of_another = [asyncio.create_task(admitted_at(budget, OTHER_APP, priority, tenant=name)) for name in "abc"]
        await asyncio.sleep(0.5)
        budget.report(ACCOUNT, REFUSED)
        refused = await asyncio.gather(*of_account, return_exceptions=True)
        assert now() == 0.5, "who waits is told at once"
        assert [type(result) for result in refused] == [CircuitOpen] * 3
        for _ in range(2):
            with pytest.raises(CircuitOpen):
                await budget.admit(ACCOUNT, priority)
        return await asyncio.gather(*of_another)

    assert run(scenario()) == [1, 2, 3]


def test_one_probe_at_a_time_is_sent_per_interval() -> None:
    async def scenario() -> None:
        budget = budgets()
        budget.report(ACCOUNT, REFUSED)
        for interval in (1, 2, 3):
            await asyncio.sleep(300)
            results = await asyncio.gather(*(admitted_at(budget) for _ in range(10)), return_exceptions=True)
            assert [result for result in results if isinstance(result, float)] == [interval * 300]
            assert sum(isinstance(result, CircuitOpen) for result in results) == 9
            if interval > 1:  # the first probe is never reported: its call was cancelled
                budget.report(ACCOUNT, REFUSED)

    run(scenario())


@pytest.mark.parametrize("answer", [None, Gone("query", code=404), RequestRefused("start", code=400)])
def test_a_probe_that_is_answered_closes_the_breaker(answer: AgoraError | None) -> None:
    async def scenario() -> list[float]:
        budget = budgets()
        budget.report(ACCOUNT, REFUSED)
        await asyncio.sleep(300)
        await budget.admit(ACCOUNT, Priority.POLL)
        budget.report(ACCOUNT, answer)
        return await asyncio.gather(*(admitted_at(budget) for _ in range(3)))

    assert run(scenario()) == [300, 300, 300]


def test_the_first_answer_of_several_calls_that_belong_together_lets_the_others_follow() -> None:
    async def scenario() -> list[float]:
        budget = budgets()
        budget.report(ACCOUNT, REFUSED)
        await asyncio.sleep(300)
        await budget.admit(ACCOUNT, Priority.POLL)
        await budget.admit_next(ACCOUNT, Priority.POLL)
        return await asyncio.gather(*(admitted_at(budget) for _ in range(3)))

    assert run(scenario()) == [300, 300, 300]


INCONCLUSIVE = [
    NotSent("query"),
    Ambiguous("query"),
    Upstream("query", code=502),
    RequestRefused("start"),
    Throttled("query", retry_after=0),
]


@pytest.mark.parametrize("answer", INCONCLUSIVE, ids=lambda answer: type(answer).__name__)
def test_a_probe_without_an_answer_from_behind_the_gateway_decides_nothing(answer: AgoraError) -> None:
    async def scenario() -> None:
        budget = budgets()
        budget.report(ACCOUNT, REFUSED)
        await asyncio.sleep(300)
        await budget.admit(ACCOUNT, Priority.POLL)
        budget.report(ACCOUNT, answer)
        with pytest.raises(CircuitOpen):
            await budget.admit(ACCOUNT, Priority.POLL)

    run(scenario())


def test_a_probe_cancelled_in_the_moment_of_admission_leaves_the_turn_to_the_next() -> None:
    async def scenario() -> float:
        budget = budgets(rate=1, burst=1, probe_interval=10)
        budget.report(ACCOUNT, REFUSED)
        await asyncio.sleep(10)
        await budget.admit(OTHER_TENANT, Priority.POLL)  # the probe will have to wait for the bucket, until t=11
        probe = asyncio.create_task(admitted_at(budget))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 1, probe.cancel)
        with pytest.raises(asyncio.CancelledError):
            await probe
        return await admitted_at(budget)

    assert run(scenario()) == 11


def test_idle_accounts_are_forgotten() -> None:
    async def scenario() -> int:
        budget = budgets(rate=10, burst=1)
        for number in range(1000):
            account = Account(f"{number:032x}", "id", SecretStr("secret"))
            await budget.admit(account, Priority.POLL)
            budget.report(account, REFUSED if number % 2 else throttled())
            await asyncio.sleep(60)
        return len(budget._projects)

    assert run(scenario()) <= 128


def test_credentials_that_were_replaced_are_forgotten() -> None:
    async def scenario() -> int:
        budget = budgets()
        for number in range(100):
            budget.report(replace(ACCOUNT, customer_secret=SecretStr(f"wrong {number}")), REFUSED)
            await asyncio.sleep(60)
        return len(budget._projects[ACCOUNT.app_id].probe_at)

    assert run(scenario()) <= 10


def test_what_has_been_forgotten_was_not_needed() -> None:
    async def scenario() -> float:
        budget = budgets(rate=10, burst=1)
        budget.report(ACCOUNT, REFUSED)
        budget.report(OTHER_APP, throttled(1000.0))
        for number in range(2, 500):
            await budget.admit(Account(f"{number:032x}", "id", SecretStr("secret")), Priority.POLL)
        await asyncio.sleep(299)
        with pytest.raises(CircuitOpen):
            await budget.admit(ACCOUNT, Priority.POLL)
        return await admitted_at(budget, OTHER_APP)

    assert run(scenario()) == 1000


def test_a_bucket_that_is_not_full_is_not_forgotten() -> None:
    async def scenario() -> list[float]:
        budget = budgets(rate=0.1, burst=2)
        await asyncio.gather(admitted_at(budget), admitted_at(budget))
        for number in range(2, 500):
            await budget.admit(Account(f"{number:032x}", "id", SecretStr("secret")), Priority.POLL)
        return list(await asyncio.gather(admitted_at(budget), admitted_at(budget)))

    assert run(scenario()) == [10, 20]
