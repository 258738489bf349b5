"""Which of the listed tasks is the one that a conflict did not name: exactly one that can be nobody else's, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from agora_transcription import agora
from agora_transcription.agora import Dialect, ListedTask
from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.calls import Caller
from agora_transcription.controller.looks import SETTLE_TIME
from agora_transcription.controller.memory import Memory
from agora_transcription.controller.steps import Look, Start
from agora_transcription.controller.translate import instance_name
from unit.controller.agora_model import fault
from unit.controller.builders import CREDENTIALS, UID, after, body_of, rfc3339

if TYPE_CHECKING:
    from agora_transcription.api import TaskStatus
    from unit.controller.builders import Clock
    from unit.controller.scene import Scene

ATTEMPT = 3600.0
"""When the current attempt was announced, in seconds after the object's creation."""

DAY = 24 * 3600


class Listing:
    """An Agora that lists what it likes, whatever is asked."""

    def __init__(self, *rows: ListedTask) -> None:
        self.rows = rows

    def dialect(self, dialect: Dialect) -> agora.Agora:
        api = _ListingApi(dialect, self.rows)
        return cast("agora.Agora", api)


class _ListingApi:
    def __init__(self, dialect: Dialect, rows: tuple[ListedTask, ...]) -> None:
        self.dialect = dialect
        self._rows = rows

    async def start(self, *_: object) -> NoReturn:
        raise agora.Conflict("start", task_id=self._rows[0].task_id)

    async def list_live(self, *_: object) -> tuple[ListedTask, ...]:
        return self._rows


def row(task_id: str, started: float | None = ATTEMPT + 1, status: str = "RUNNING") -> ListedTask:
    return ListedTask(task_id, status, None if started is None else after(started))


def undecided(**status: Any) -> dict[str, Any]:
    """The status of an object whose second attempt was announced and has had no answer."""
    fields = {"observedGeneration": 1, "attempt": 1, "instanceId": instance_name(UID, 1), "attemptGeneration": 1}
    return {**fields, "attemptTime": rfc3339(after(ATTEMPT)), **status}


async def look(
    clock: Clock,
    *rows: ListedTask,
    others: tuple[dict[str, Any], ...] = (),
    former: dict[str, Any] | None = None,
    since: float | None = None,
    **status: Any,
) -> TaskStatus | None:
    """Look for the object's task."""
    cache = TaskCache()
    for body in (body_of(status=undecided(**status)), *others, *([former] if former else ())):
        cache.offer(body)
    if former:
        cache.drop(former["metadata"]["uid"])
    task = cache.get(UID)
    assert task is not None
    clock.advance(ATTEMPT + 30)
    memory = Memory(
        poll_at=clock.now(), last_sent=clock.now(), conflict_since=clock.monotonic() if since is None else since
    )
    caller = Caller(cast("agora.AgoraClient", Listing(*rows)), cache, 60, agora.TokenVersion.V007)
    return await caller.perform(task, memory, Look(Dialect.V7), CREDENTIALS)


def other(channel: str = "standup", **status: Any) -> dict[str, Any]:
    """Another object."""
    return body_of({"channel": channel}, {"observedGeneration": 1, **status}, uid="another", name="another")


@pytest.mark.parametrize("started", [ATTEMPT + 1, ATTEMPT - 59, None], ids=["after", "clocks differ", "untold"])
async def test_the_only_task_of_the_attempts_time_is_adopted(clock: Clock, started: float | None) -> None:
    status = await look(clock, row("mine", started))
    assert status is not None
    assert status.task_id == "mine"


async def test_a_task_that_is_older_than_the_attempt_is_somebody_elses(clock: Clock) -> None:
    status = await look(clock, row("older", ATTEMPT - 61), row("mine"))
    assert status is not None
    assert status.task_id == "mine"


async def test_a_lone_task_that_is_older_than_the_attempt_is_not_adopted(clock: Clock) -> None:
    with pytest.raises(agora.Conflict, match="0 listed tasks of channel standup may be it, 1 are nobody's"):
        await look(clock, row("older", ATTEMPT - 61))


async def test_and_no_other_is_started_while_it_lives_since_a_clock_may_be_wrong(clock: Clock) -> None:
    since = ATTEMPT + 30 - SETTLE_TIME * 2
    with pytest.raises(agora.Conflict):
        await look(clock, row("older", ATTEMPT - 61), since=since)


async def test_the_objects_own_retiring_task_is_not_adopted_again(clock: Clock) -> None:
    with pytest.raises(agora.Conflict):
        await look(clock, row("retiring", None), retiring={"taskId": "retiring"})


async def test_one_that_is_being_stopped_is_not_adopted_and_no_other_started_while_it_is_listed(clock: Clock) -> None:
    """It can be that of an object that was deleted a moment ago, and its own is not listed yet."""
    with pytest.raises(agora.Conflict, match="0 listed tasks of channel standup may be it, 1 are nobody's"):
        await look(clock, row("stopping", status="STOPPING"), since=ATTEMPT + 30 - SETTLE_TIME * 2)
    status = await look(clock, row("stopping", status="STOPPING"), row("mine"))
    assert status is not None
    assert status.task_id == "mine"


@pytest.mark.parametrize(
    "status",
    [
        {"taskId": "theirs"},
        {"retiring": {"taskId": "theirs"}},
        {"history": [{"taskId": "theirs", "endTime": rfc3339(after(ATTEMPT)), "reason": "Idle"}]},
    ],
    ids=["current", "retiring", "ended"],
)
async def test_the_task_of_an_object_that_has_gone_is_not_adopted(clock: Clock, status: dict[str, Any]) -> None:
    with pytest.raises(agora.Conflict, match="none of the channel's tasks is listed yet"):
        await look(clock, row("theirs"), former=other(**status))


async def test_two_that_may_be_it_leave_it_undecided(clock: Clock) -> None:
    with pytest.raises(agora.Conflict, match="2 listed tasks of channel standup may be it, 2 are nobody's"):
        await look(clock, row("mine"), row("or-mine"))


@pytest.mark.parametrize(
    ("others", "adopted"),
    [
        (other(instanceId="tt-another-0"), False),
        (body_of(uid="another", name="another"), False),
        (other(instanceId="tt-another-0", taskId="theirs"), True),
        (other("lecture", instanceId="tt-another-0"), True),
        (other(phase="Suspended"), True),
        (body_of(uid="another", name="another", guarded=False), True),
    ],
    ids=["announced", "never written", "named", "of another channel", "at rest", "without finalizer"],
)
async def test_another_object_of_the_channel_whose_task_is_not_named_leaves_it_undecided(
    clock: Clock, others: dict[str, Any], *, adopted: bool
) -> None:
    if adopted:
        status = await look(clock, row("mine"), others=(others,))
        assert status is not None
        assert status.task_id == "mine"
        return
    with pytest.raises(agora.Conflict, match="1 listed tasks"):
        await look(clock, row("mine"), others=(others,))


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    ("others", "status", "adopted"),
    [
        ((), {}, True),
        ((other("lecture", taskId="named"),), {}, False),
        ((other(retiring={"taskId": "named"}),), {}, False),
        ((), {"history": [{"taskId": "named", "endTime": rfc3339(after(ATTEMPT - 9)), "reason": "Idle"}]}, False),
    ],
    ids=["nobody's", "another's", "another's retiring one", "an ended one of its own"],
)
async def test_a_conflict_that_names_a_task_of_somebody_else_is_as_one_that_names_none(
    clock: Clock, dialect: Dialect, others: tuple[dict[str, Any], ...], status: dict[str, Any], *, adopted: bool
) -> None:
    """Two objects with one task: the first that is deleted would stop it for both."""
    cache = TaskCache()
    for body in (body_of(status=undecided(**status)), *others):
        cache.offer(body)
    task = cache.get(UID)
    assert task is not None
    clock.advance(ATTEMPT + 30)
    memory = Memory(poll_at=clock.now(), last_sent=clock.now())
    caller = Caller(cast("agora.AgoraClient", Listing(row("named"))), cache, 60, agora.TokenVersion.V007)
    try:
        outcome = await caller.perform(task, memory, Start(dialect, 1), CREDENTIALS)
    except agora.Conflict:
        outcome = None
    assert (outcome.task_id if outcome else None) == ("named" if adopted else None)
    assert (memory.conflict_since is None) is adopted, "the list is asked, where there is one"


async def test_a_rollover_whose_answer_is_lost_adopts_the_new_task_and_stops_the_old(scene: Scene) -> None:
    scene.agora.character.conflict_names_task = False
    await scene.running(rollover="Overlap")
    await scene.pass_time(DAY - 700)
    scene.agora.spared, scene.agora.fault = {"query"}, fault(agora.Ambiguous, effect=True)
    await scene.pass_time(300)
    assert "list" in scene.agora.calls
    assert [task.id for task in scene.agora.running()] == ["agora-2"]
    assert scene.status.task_id == "agora-2"
    assert scene.status.retiring is None
