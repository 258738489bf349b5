"""Days in the life of a task, in milliseconds: renewals, ends, deadlines, and clocks that jump.

The real reconciler between two models; the clock moves from one due time to the next. Agora and the API server live by
a steady clock, the operator by one that can be put forward and back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription import agora
from agora_transcription.agora import Dialect, State
from agora_transcription.api import EndReason, Phase, Reason
from unit.controller.agora_model import AgoraModel, AgoraTask, Character
from unit.controller.builders import SECRET, Clock
from unit.controller.kubernetes_model import ApiServer, Process
from unit.controller.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOUR = 3600.0
DAY = 24 * HOUR
MARGIN = 600.0
"""How long before its expiry a task is renewed."""

POLL_INTERVAL = 300.0

V7 = {"agoraApi": "V7"}
V6 = {"agoraApi": "V6"}
DIALECTS = pytest.mark.parametrize("api", [V7, V6], ids=["V7", "V6"])
ROLLOVERS = pytest.mark.parametrize("rollover", ["Replace", "Overlap"])


class WallClock(Clock):
    """The clock of the operator's machine: its wall's time can be put forward and back."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    @property
    def true(self) -> datetime:
        return super().now()


class SteadyClock(Clock):
    """The same time, without the jumps."""

    def __init__(self, wall: WallClock) -> None:
        super().__init__()
        self._wall = wall

    def now(self) -> datetime:
        return self._wall.true

    def monotonic(self) -> float:
        return self._wall.monotonic()

    def advance(self, seconds: float) -> None:
        self._wall.advance(seconds)


class AgingAgora(AgoraModel):
    """An Agora whose tasks last as long as their tokens, or for 72 hours; remembers when they ended."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, Character(start_seconds=2, stop_seconds=1))
        self.ends: dict[str, float] = {}

    def state(self, task: AgoraTask) -> State:
        limit = task.started + (DAY if task.request.bot_token or task.dialect is Dialect.V6 else 3 * DAY)
        if task.ended is None and self.clock.monotonic() >= limit and (task.stop_at is None or task.stop_at > limit):
            task.ended = State.FAILED
            self.ends[task.id] = limit
        if task.ended is not None or task.stop_at is not None:
            return super().state(task)
        return State.ACTIVE if self.clock.monotonic() >= task.started + 2 else State.STARTING

    def end(self, task: AgoraTask, state: State = State.STOPPED) -> None:
        super().end(task, state)
        self.ends[task.id] = self.clock.monotonic()

    def until(self, task: AgoraTask) -> float:
        """When a task ended; now, if it runs on."""
        self.state(task)
        ends = self.ends.get(task.id, task.stop_at)
        return self.clock.monotonic() if ends is None else min(ends, self.clock.monotonic())


class Life(Scene):
    """An object, both servers, and an operator whose clock may be wrong."""

    def __init__(self, clock: WallClock) -> None:
        steady = SteadyClock(clock)
        self.clock = clock
        self.wall = clock
        self.server = ApiServer(steady)
        self.agora: AgingAgora = AgingAgora(steady)
        self.server.tell = self._tell
        self.restart()

    def restart(self) -> None:
        self.process = Process(self.server, self.agora, poll_interval=POLL_INTERVAL)
        if self.server.object is not None:
            self.process.hear(None, self.server.object)

    async def begin(self, **spec: Any) -> None:
        self.server.create(spec, guarded=True)
        await self.pass_time(5)
        assert self.status.phase is Phase.RUNNING

    @property
    def tasks(self) -> list[AgoraTask]:
        return list(self.agora.tasks.values())

    @property
    def lives(self) -> list[tuple[float, float]]:
        """When each task began and ended."""
        return [(task.started, self.agora.until(task)) for task in self.tasks]

    @property
    def gaps(self) -> list[float]:
        """Seconds from each end to the next start; below zero where both ran."""
        return [after[0] - before[1] for before, after in pairwise(self.lives)]

    @property
    def ends(self) -> list[EndReason]:
        return [ended.reason for ended in self.status.history]

    def starts_fail(self, begin: float, end: float, error: type[agora.AgoraError] = agora.Upstream) -> list[float]:
        """Let every start fail in a time; answers when they were tried."""
        tried: list[float] = []

        def fail(operation: str) -> None:
            now = self.clock.monotonic()
            if operation in {"start", "acquire"} and begin <= now < end:
                tried.append(now)
                raise error(operation)

        self.agora.before_call = fail
        return tried


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    clock = WallClock()
    clock.install(monkeypatch)
    made = Life(clock)
    yield made
    assert len(made.agora.running()) <= 1


def jumps(life: Life, **by: float) -> None:
    """Put the operator's clock forward or back."""
    life.wall.ahead += timedelta(**by)


# Renewals ----------------------------------------------------------------------------------------------------------


@DIALECTS
@ROLLOVERS
async def test_ten_days_of_renewals_before_the_token_ends(life: Life, api: dict[str, str], rollover: str) -> None:
    await life.begin(**api, rollover=rollover)
    await life.pass_time(10 * DAY)

    assert len(life.tasks) == 11
    lengths = [end - begin for begin, end in life.lives[:-1]]
    assert all(DAY - MARGIN - 60 < length < DAY for length in lengths)
    assert set(life.ends) == {EndReason.ROLLED_OVER}
    assert life.status.restarts == 10
    for before, after in pairwise(life.tasks):
        assert before.request.bot_uid != after.request.bot_uid
        assert before.request.subscriber_uid is None or before.request.subscriber_uid != after.request.subscriber_uid
    if rollover == "Replace":
        assert all(0 <= gap < 5 for gap in life.gaps)
    else:
        # The next one has come up, which takes it 2 s, before the earlier one is stopped; and then that goes at once.
        assert all(-10 < gap <= -2 for gap in life.gaps)


@ROLLOVERS
async def test_a_project_without_certificate_is_limited_by_the_lifetime_only(life: Life, rollover: str) -> None:
    life.server.set_secret({key: value for key, value in SECRET.items() if key != "appCertificate"})
    await life.begin(rollover=rollover)
    await life.pass_time(10 * DAY)
    assert len(life.tasks) == 4
    assert all(3 * DAY - MARGIN - 60 < end - begin < 3 * DAY for begin, end in life.lives[:-1])
    assert all(abs(gap) < 10 for gap in life.gaps)


@DIALECTS
async def test_one_that_cannot_be_renewed_for_an_hour_lasts_to_its_end(life: Life, api: dict[str, str]) -> None:
    tried = life.starts_fail(10, DAY + HOUR)
    await life.begin(**api, rollover="Overlap")
    await life.pass_time(DAY - 60)
    assert len(tried) > 3, "it is tried while the earlier one still runs"
    assert len(life.agora.running()) == 1
    await life.pass_time(2 * HOUR)
    first, _ = life.tasks
    assert life.agora.until(first) == first.started + DAY
    assert life.status.phase is Phase.RUNNING
    assert life.status.retiring is None
    assert len(life.agora.live()) == 1


@DIALECTS
async def test_one_that_is_replaced_is_away_for_as_long_as_nothing_starts(life: Life, api: dict[str, str]) -> None:
    tried = life.starts_fail(10, DAY + HOUR)
    await life.begin(**api, rollover="Replace")
    await life.pass_time(DAY + HOUR - 10)
    assert life.reason == Reason.AGORA_UNAVAILABLE
    assert len(tried) < 40, "the pauses grow"
    await life.pass_time(HOUR)
    assert life.status.phase is Phase.RUNNING
    assert len(life.tasks) == 2


@DIALECTS
@ROLLOVERS
async def test_an_operator_that_was_down_across_the_end(life: Life, api: dict[str, str], rollover: str) -> None:
    await life.begin(**api, rollover=rollover)
    await life.pass_time(HOUR)
    life.clock.advance(2 * DAY)
    life.restart()
    await life.pass_time(POLL_INTERVAL + 30)
    assert life.status.phase is Phase.RUNNING
    assert life.ends == [EndReason.ROLLED_OVER], "it was to be renewed, whatever the policy for ends"
    assert len(life.tasks) == 2


@DIALECTS
async def test_an_operator_that_was_down_across_the_renewal_only(life: Life, api: dict[str, str]) -> None:
    await life.begin(**api, rollover="Overlap")
    life.clock.advance(DAY - 300)
    life.restart()
    await life.pass_time(30)
    assert len(life.tasks) == 2
    assert life.gaps[0] < 0


# Ends --------------------------------------------------------------------------------------------------------------


@DIALECTS
@pytest.mark.parametrize(
    ("policy", "state", "ends"),
    [
        ("Always", State.STOPPED, None),
        ("Always", State.FAILED, None),
        ("OnFailure", State.STOPPED, Reason.COMPLETED),
        ("OnFailure", State.FAILED, None),
        ("Never", State.STOPPED, Reason.COMPLETED),
        ("Never", State.FAILED, Reason.TASK_FAILED),
    ],
)
async def test_the_end_after_an_hour(
    life: Life, api: dict[str, str], policy: str, state: State, ends: Reason | None
) -> None:
    """STOPPED after a time longer than the idle timeout reads as idleness."""
    await life.begin(**api, restartPolicy=policy, idleTimeoutSeconds=300)
    await life.pass_time(HOUR)
    life.agora.end(life.tasks[0], state)
    await life.pass_time(POLL_INTERVAL * 1.1 + 10)
    assert life.ends == [EndReason.IDLE if state is State.STOPPED else EndReason.FAILED]
    assert len(life.agora.live()) == (ends is None)
    assert life.reason == (ends or Reason.RUNNING)


@DIALECTS
async def test_a_channel_that_stays_empty_is_not_joined_ever_faster(life: Life, api: dict[str, str]) -> None:
    await life.begin(**api, restartPolicy="Always", idleTimeoutSeconds=10)
    for _ in range(8):
        before = len(life.tasks)
        await life.pass_time(20)
        life.agora.end(life.tasks[-1])
        await life.pass_time(POLL_INTERVAL * 1.1 + 90)
        assert len(life.tasks) == before + 1
        life.restart()
    assert max(life.gaps) >= 80


@DIALECTS
async def test_the_deadline_counts_over_restarts_and_renewals(life: Life, api: dict[str, str]) -> None:
    await life.begin(**api, activeDeadlineSeconds=int(30 * HOUR))
    await life.pass_time(HOUR)
    life.server.edit(idleTimeoutSeconds=120)
    await life.pass_time(29 * HOUR - 60)
    assert life.ends == [EndReason.SPEC_CHANGED, EndReason.ROLLED_OVER]
    assert life.status.phase is Phase.RUNNING
    await life.pass_time(120)
    assert life.reason == Reason.DEADLINE_EXCEEDED
    assert life.agora.live() == []
    assert life.lives[-1][1] == pytest.approx(30 * HOUR, abs=10)


@DIALECTS
async def test_resumed_it_has_its_whole_time_again(life: Life, api: dict[str, str]) -> None:
    await life.begin(**api, activeDeadlineSeconds=3600)
    await life.pass_time(HOUR / 2)
    life.server.edit(suspend=True)
    await life.pass_time(2 * HOUR)
    assert life.agora.live() == []
    life.server.edit(suspend=False)
    await life.pass_time(HOUR - 60)
    assert life.status.phase is Phase.RUNNING
    await life.pass_time(120)
    assert life.reason == Reason.DEADLINE_EXCEEDED
    assert life.lives[1][1] - life.lives[1][0] == pytest.approx(HOUR, abs=10)


@DIALECTS
@pytest.mark.parametrize("down", [False, True], ids=["watching", "down meanwhile"])
async def test_finished_objects_go_after_their_time(life: Life, api: dict[str, str], *, down: bool) -> None:
    await life.begin(**api, activeDeadlineSeconds=60, ttlSecondsAfterFinished=600)
    await life.pass_time(120)
    if down:
        life.clock.advance(HOUR)
        life.restart()
        await life.process.work()
    else:
        await life.pass_time(520)
        assert life.exists()
        await life.pass_time(60)
    assert not life.exists()
    assert life.agora.live() == []


# Clocks that jump --------------------------------------------------------------------------------------------------

JUMPS = {
    "an hour ahead": {"hours": 1},
    "3 days ahead": {"days": 3},
    "2 hours back": {"hours": -2},
    "5 minutes back": {"minutes": -5},
    "3 days back": {"days": -3},
}
JUMPING = pytest.mark.parametrize("by", JUMPS.values(), ids=JUMPS)


@DIALECTS
@JUMPING
@ROLLOVERS
async def test_a_jump_costs_one_restart_at_most(
    life: Life, api: dict[str, str], by: dict[str, float], rollover: str
) -> None:
    await life.begin(**api, rollover=rollover)
    await life.pass_time(HOUR)
    jumps(life, **by)
    await life.pass_time(10 * HOUR)
    assert life.status.phase is Phase.RUNNING
    assert len(life.tasks) <= (2 if by == {"days": 3} else 1)
    # Wrong for good, it comes to its end and goes on all the same.
    await life.pass_time(4 * DAY)
    assert life.status.phase is Phase.RUNNING
    assert max(life.gaps) < POLL_INTERVAL * 1.1 + 10


@DIALECTS
@JUMPING
async def test_an_end_is_noticed_a_look_later_at_most(life: Life, api: dict[str, str], by: dict[str, float]) -> None:
    await life.begin(**api)
    await life.pass_time(HOUR)
    jumps(life, **by)
    life.agora.end(life.agora.live()[0], State.FAILED)
    await life.pass_time(2 * POLL_INTERVAL * 1.1 + 10)
    assert len(life.agora.live()) == 1


@DIALECTS
@JUMPING
async def test_a_task_that_agora_has_forgotten_is_believed_to_be_gone(
    life: Life, api: dict[str, str], by: dict[str, float]
) -> None:
    life.agora.character.forgets_ended = True
    await life.begin(**api)
    jumps(life, **by)
    life.agora.end(life.agora.live()[0], State.FAILED)
    await life.pass_time(2 * POLL_INTERVAL + 60)
    assert len(life.agora.live()) == 1


@DIALECTS
@JUMPING
async def test_an_update_waits_for_no_clock(life: Life, api: dict[str, str], by: dict[str, float]) -> None:
    await life.begin(**api)
    await life.pass_time(60)
    jumps(life, **by)
    life.server.edit(languages=["de-DE"])
    await life.pass_time(10)
    assert life.tasks[-1].settings.languages == ("de-DE",)
    jumps(life, **by)
    life.server.edit(languages=["fr-FR"])
    await life.pass_time(20)
    assert life.tasks[-1].settings.languages == ("fr-FR",)


@DIALECTS
@JUMPING
async def test_a_failing_start_is_tried_again_as_if_nothing_were(
    life: Life, api: dict[str, str], by: dict[str, float]
) -> None:
    life.starts_fail(0, 30)
    life.server.create(api, guarded=True)
    await life.pass_time(25)
    jumps(life, **by)
    await life.pass_time(60)
    assert len(life.agora.live()) == 1
    assert len(life.tasks) <= (2 if by == {"days": 3} else 1)


@DIALECTS
@JUMPING
async def test_the_next_task_after_an_early_end_is_not_late(
    life: Life, api: dict[str, str], by: dict[str, float]
) -> None:
    await life.begin(**api, restartPolicy="Always")
    for _ in range(2):
        life.agora.end(life.agora.live()[0], State.FAILED)
        await life.pass_time(POLL_INTERVAL * 1.1 + 30)
    life.agora.end(life.agora.live()[0], State.FAILED)
    await life.pass_time(POLL_INTERVAL)
    jumps(life, **by)
    await life.pass_time(POLL_INTERVAL * 1.1 + 90)
    assert len(life.agora.live()) == 1


@DIALECTS
@JUMPING
async def test_a_stop_that_failed_is_tried_again_in_time(life: Life, api: dict[str, str], by: dict[str, float]) -> None:
    await life.begin(**api)
    await life.pass_time(60)
    failing = _fails("stop", life.clock.monotonic() + 20, life)
    life.agora.before_call = failing
    life.server.request_deletion()
    await life.pass_time(15)
    jumps(life, **by)
    await life.pass_time(60)
    assert not life.exists()
    assert life.agora.live() == []


@JUMPING
@pytest.mark.parametrize("again", [True, False], ids=["goes back", "stays"])
async def test_a_lost_start_is_found_whatever_the_clock_says(life: Life, by: dict[str, float], *, again: bool) -> None:
    """V7 has no id in its conflict here, so that the list has to tell."""
    life.agora.character.conflict_names_task = False
    await life.begin()
    life.agora.end(life.tasks[0], State.FAILED)
    jumps(life, **by)
    lost = _loses_one_start(life)
    await life.pass_time(2 * POLL_INTERVAL + 60)
    assert lost
    if again:
        jumps(life, **{unit: -amount for unit, amount in by.items()})
    await life.pass_time(HOUR)
    assert len(life.agora.live()) == 1


@JUMPING
async def test_a_proxy_that_does_not_know_the_path_ends_nothing_whatever_the_clock_says(
    life: Life, by: dict[str, float]
) -> None:
    jumps(life, **by)
    await life.begin()
    await life.pass_time(60)

    def not_found(called: str) -> None:
        if called == "query":
            raise agora.Gone("query", confirmed=False)

    life.agora.before_call = not_found
    await life.pass_time(3 * POLL_INTERVAL)
    life.agora.before_call = lambda _: None
    await life.pass_time(3 * POLL_INTERVAL)
    assert len(life.agora.live()) == 1
    assert len(life.tasks) <= (2 if by == {"days": 3} else 1)


def _fails(operation: str, until: float, life: Life) -> Callable[[str], None]:
    def fail(called: str) -> None:
        if called == operation and life.clock.monotonic() < until:
            raise agora.Upstream(operation, code=503)

    return fail


def _loses_one_start(life: Life) -> list[str]:
    """The next start takes its effect, and its answer is lost."""
    lost: list[str] = []
    join = life.agora.join

    def joined(request: agora.StartRequest) -> AgoraTask:
        task = join(request)
        if not lost:
            lost.append(task.id)
            raise agora.Ambiguous("start")
        return task

    life.agora.join = joined  # type: ignore[method-assign]
    return lost
