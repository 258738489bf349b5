"""Which Agora tasks are orphans, what of them is stopped, and how it is told."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from agora_transcription import agora
from agora_transcription.agora import Dialect, ListedTask
from agora_transcription.controller.orphans import (
    NotAnOrphan,
    Orphan,
    as_json,
    as_table,
    find,
    orphans_of,
    stop,
)
from agora_transcription.controller.translate import account_hash
from unit.controller.agora_model import AgoraModel
from unit.controller.builders import CREDENTIALS, after, body_of, rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.controller.store import Store
    from unit.controller.builders import Clock
    from unit.controller.scene import Scene

NOW = after(3600)
PROJECT = account_hash(CREDENTIALS.account)


def row(task_id: str, status: str = "RUNNING", started: float | None = 60) -> ListedTask:
    return ListedTask(task_id, status, None if started is None else after(started))


def named(task_id: str, **more: Any) -> dict[str, Any]:
    return body_of({}, {"observedGeneration": 1, "taskId": task_id, **more})


def doubtful(name: str = "standup", spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    known = {"observedGeneration": 1, "instanceId": "tt-1", "accountHash": PROJECT, "attemptTime": rfc3339(after(60))}
    return body_of(spec, {**known, **status}, name=name)


def test_what_an_object_names_is_no_orphan() -> None:
    bodies = [named("a"), named("b", retiring={"taskId": "c"})]
    rows = [row(task_id) for task_id in "abcd"]
    assert [orphan.task_id for orphan in orphans_of(rows, bodies, PROJECT)] == ["d"]


def test_a_task_that_an_object_had_once_and_that_runs_still_is_one() -> None:
    ended = {"taskId": "old", "endTime": rfc3339(after(10)), "reason": "Disappeared"}
    (orphan,) = orphans_of([row("old")], [named("new", history=[ended])], PROJECT)
    assert orphan == Orphan("old", "RUNNING", after(60))


def test_an_object_that_this_version_cannot_read_owns_its_task_all_the_same() -> None:
    unreadable = {**named("a"), "spec": {"channel": 7, "somethingNew": True}}
    assert orphans_of([row("a")], [unreadable], PROJECT) == []


@pytest.mark.parametrize(
    "body",
    [
        doubtful(),
        doubtful(accountHash=None),
        doubtful(attemptTime=rfc3339(after(119))),
        doubtful(spec={"agoraApi": "V7"}),
        body_of({}, {"observedGeneration": -1}),
        {**body_of(), "status": None},
    ],
)
def test_an_object_whose_start_is_in_doubt_may_be_the_owner(body: dict[str, Any]) -> None:
    (orphan,) = orphans_of([row("a")], [body], PROJECT)
    assert orphan.may_belong_to == ("calls/standup",)


@pytest.mark.parametrize(
    "body",
    [
        doubtful(instanceId=None),
        doubtful(taskId="b"),
        doubtful(accountHash="another"),
        doubtful(agoraApi="V6"),
        doubtful(spec={"agoraApi": "V6"}),
        doubtful(attemptTime=rfc3339(after(121))),
        body_of({}, {"observedGeneration": -1}, guarded=False),
    ],
)
def test_one_that_cannot_have_started_it_is_not(body: dict[str, Any]) -> None:
    (orphan,) = orphans_of([row("a")], [body], PROJECT)
    assert orphan.may_belong_to == ()


def test_the_oldest_comes_first_and_all_candidates_are_named() -> None:
    bodies = [doubtful("b"), doubtful("a")]
    found = orphans_of([row("late", started=600), row("early"), row("untold", started=None)], bodies, PROJECT)
    assert [orphan.task_id for orphan in found] == ["untold", "early", "late"]
    assert {orphan.may_belong_to for orphan in found} == {("calls/a", "calls/b")}


class Objects:
    """The store of one scene; while it lists, something may happen."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.bodies = bodies

    async def all(self) -> AsyncIterator[dict[str, Any]]:
        for body in self.bodies:
            yield body


async def test_what_is_started_while_it_is_looked_for_is_no_orphan(scene: Scene) -> None:
    """Agora is asked first: a task that is on its list has an object that is listed after it."""
    await scene.running()
    api = scene.agora.dialect(Dialect.V7)
    store = cast("Store", scene.server)
    assert await find(api, CREDENTIALS.account, store, scene.clock.now()) == []
    assert scene.server.object is not None
    other = cast("Store", Objects())
    (orphan,) = await find(api, CREDENTIALS.account, other, scene.clock.now())
    assert (orphan.task_id, orphan.state) == ("agora-1", "RUNNING")


@pytest.mark.parametrize("days", [-20, 20])
async def test_a_wrong_clock_hides_no_orphan(scene: Scene, days: int) -> None:
    await scene.running()
    there = scene.clock.now() + timedelta(days=days)
    (orphan,) = await find(scene.agora.dialect(Dialect.V7), CREDENTIALS.account, cast("Store", Objects()), there)
    assert orphan.task_id == "agora-1"


@pytest.fixture
def model(clock: Clock) -> AgoraModel:
    model = AgoraModel(clock)
    for number in range(3):
        request = agora.StartRequest(f"name-{number}", "room", agora.LiveSettings(("en-US",)), 60, "1")
        model.launch(Dialect.V7, request)
    return model


ORPHANS = [Orphan(f"agora-{number}", "RUNNING", after(60)) for number in (1, 2)]


async def test_exactly_the_named_ones_are_stopped(model: AgoraModel) -> None:
    left = await stop(model.dialect(Dialect.V7), CREDENTIALS.account, ORPHANS, ["agora-2"])
    assert [(orphan.task_id, orphan.state) for orphan in left] == [("agora-1", "RUNNING"), ("agora-2", "STOPPED")]
    assert [task.id for task in model.live()] == ["agora-1", "agora-3"]


async def test_each_stop_has_its_pause_before_it(model: AgoraModel) -> None:
    """Agora counts them together with the calls of the operator, whose turn they are not to take."""
    pauses = []

    async def pause() -> None:
        pauses.append(len(model.calls))

    await stop(model.dialect(Dialect.V7), CREDENTIALS.account, ORPHANS, ["agora-1", "agora-2"], pause)
    assert pauses == [0, 1]


async def test_nothing_is_stopped_unless_asked(model: AgoraModel) -> None:
    assert await stop(model.dialect(Dialect.V7), CREDENTIALS.account, ORPHANS, []) == ORPHANS
    assert model.calls == []


async def test_one_that_is_no_orphan_stops_nothing_at_all(model: AgoraModel) -> None:
    with pytest.raises(NotAnOrphan, match=r"agora-3: no orphan"):
        await stop(model.dialect(Dialect.V7), CREDENTIALS.account, ORPHANS, ["agora-1", "agora-3"])
    assert model.calls == []


async def test_one_that_has_ended_meanwhile_counts_as_stopped(model: AgoraModel) -> None:
    model.end(model.tasks["agora-1"])
    (first, _) = await stop(model.dialect(Dialect.V7), CREDENTIALS.account, ORPHANS, ["agora-1"])
    assert first.state == "STOPPED"


async def test_a_bare_404_does_not(model: AgoraModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def proxy(_: object) -> NoReturn:
        raise agora.Gone("stop", code=404, text="Not Found", confirmed=False)

    monkeypatch.setattr(model, "stop", proxy)
    with pytest.raises(agora.Gone):
        await stop(model.dialect(Dialect.V7), CREDENTIALS.account, ORPHANS, ["agora-1"])


def test_the_table() -> None:
    orphans = [Orphan("agora-1", "RUNNING", NOW - timedelta(hours=30)), Orphan("a", "IDLE", None, ("x/y", "x/z"))]
    assert as_table(orphans, NOW).splitlines() == [
        "TASK      STATE     AGE              MAY BELONG TO",
        "agora-1   RUNNING   1 day, 6:00:00",
        "a         IDLE      unknown          x/y, x/z",
    ]


def test_json() -> None:
    orphans = [Orphan("agora-1", "RUNNING", NOW - timedelta(seconds=90)), Orphan("a", "IDLE", None, ("x/y",))]
    assert json.loads(as_json(orphans, NOW)) == [
        {
            "taskId": "agora-1",
            "state": "RUNNING",
            "startTime": "2026-11-21T08:58:30.000Z",
            "ageSeconds": 90,
            "mayBelongTo": [],
        },
        {"taskId": "a", "state": "IDLE", "startTime": None, "ageSeconds": None, "mayBelongTo": ["x/y"]},
    ]
    assert json.loads(as_json([], NOW)) == []
