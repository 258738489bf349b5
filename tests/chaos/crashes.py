"""The crash matrix: every step of every operation, cut at every boundary.

A row is a step: what brings an object there, the call to Agora that it makes, and the write that records it. A column
is a cut: where the operator dies, or whose answer is lost while it lives on. What holds a step at its boundary stands
outside of the operator: the simulator's fault script, and the proxy before the API server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from agora_transcription.api import FINALIZER
from support.kube import condition, is_settled
from support.proxy import ApiProxy, Asked, Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.kube import Body
    from support.world import World

SETTLING_SECONDS = 120.0
"""Longer than any pause after the few failures of one cell, at an Agora that is slow to know new tasks."""


class Cut(Enum):
    """Where a step is cut; the value is the column's heading."""

    BEFORE_CALL = "killed before the request arrives"
    BEFORE_ANSWER = "killed after Agora acted, before its answer"
    BEFORE_WRITE = "killed after the answer, before the write"
    AFTER_WRITE = "killed after the write, before its answer and echo"
    ANSWER_LOST = "Agora's answer lost"
    WRITE_ANSWER_LOST = "the API server's answer lost"

    @property
    def kills(self) -> bool:
        return self not in {Cut.ANSWER_LOST, Cut.WRITE_ANSWER_LOST}

    @property
    def is_at_agora(self) -> bool:
        return self in {Cut.BEFORE_CALL, Cut.BEFORE_ANSWER, Cut.ANSWER_LOST}


FAULTS: dict[Cut, Body] = {
    Cut.BEFORE_CALL: {"hold": True},
    Cut.BEFORE_ANSWER: {"hold": True, "effect": True},
    Cut.ANSWER_LOST: {"drop": "after"},
}
ACTIONS: dict[Cut, Literal["hold before", "hold after", "drop after"]] = {
    Cut.BEFORE_WRITE: "hold before",
    Cut.AFTER_WRITE: "hold after",
    Cut.WRITE_ANSWER_LOST: "drop after",
}


class Stage:
    """A world with the proxy before its API server, and one API for its objects."""

    def __init__(self, world: World, proxy: ApiProxy, api: str) -> None:
        self.world = world
        self.proxy = proxy
        self.api = api

    @property
    def start(self) -> str:
        """The simulator's name of the call that starts a task."""
        return "join" if self.api == "V7" else "start"

    async def create(self, name: str, **spec: Any) -> Body:
        return await self.world.create(name, agoraApi=self.api, **spec)

    async def restart(self) -> None:
        """Begin again after a kill, with nothing left of what held the step."""
        self.proxy.release()
        await self.forget_faults()
        await self.world.operator.start_and_wait()

    async def forget_faults(self) -> None:
        await self.world.agora.delete("/simulator/faults")
        await self.world.agora.post("/simulator/release")


@dataclass(frozen=True, eq=False)
class Step:
    """A row.

    Attributes:
        title: The row's heading.
        apis: In which of Agora's APIs there is such a step.
        act: What somebody does, or what happens, that makes the operator take the step.
        ends: How the object is in the end.
        prepare: Brings the object to where `act` is possible.
        call: The simulator's name of the call; None for a step that only writes.
        write: Tells the write that records the step; None where another row has it.
        starts: How many Agora tasks the object has had in the end.
        after_lost_start: A first start has taken effect before, and was answered with an error.
        overlaps: Two tasks run at once, on purpose and for a moment.
    """

    title: str
    apis: tuple[str, ...]
    act: Callable[[Stage, str], Awaitable[Any]]
    ends: Literal["running", "suspended", "gone"]
    prepare: Callable[[Stage, str], Awaitable[Any]] | None = None
    call: str | None = None
    write: Callable[[Body], bool] | None = None
    starts: int = 1
    after_lost_start: bool = False
    overlaps: bool = False

    def has(self, cut: Cut) -> bool:
        return (self.call if cut.is_at_agora else self.write) is not None


@dataclass(frozen=True)
class Cell:
    """One step, cut at one boundary."""

    api: str
    step: Step
    cut: Cut

    def __str__(self) -> str:
        return f"{self.api}-{self.step.title}-{self.cut.name.lower()}".replace(" ", "_").replace(",", "")


# What is done to an object -----------------------------------------------------------------------------------------


async def run(stage: Stage, name: str) -> None:
    await stage.create(name)
    await stage.world.running(name)


async def run_overlapping(stage: Stage, name: str) -> None:
    await stage.create(name, rollover="Overlap")
    await stage.world.running(name)


async def create(stage: Stage, name: str) -> None:
    await stage.create(name)


async def change_languages(stage: Stage, name: str) -> None:
    await stage.world.kube.patch(name, {"languages": ["de-DE", "fr-FR"]})


async def change_idle_timeout(stage: Stage, name: str) -> None:
    await stage.world.kube.patch(name, {"idleTimeoutSeconds": 1234})


async def suspend(stage: Stage, name: str) -> None:
    await stage.world.kube.patch(name, {"suspend": True})


async def fail(stage: Stage, name: str) -> None:
    [task] = await stage.world.live(name)
    await stage.world.end(task["taskId"], "FAILED", "Fatal ASR error")


async def near_its_end(stage: Stage, name: str) -> None:
    """Let the object's task expire in a minute, as far as its status says."""
    await stage.world.expires_in(name, timedelta(minutes=1))


async def delete(stage: Stage, name: str) -> None:
    await stage.world.kube.delete(name)


def lost_start(stage: Stage, name: str) -> Body:
    """A start that takes effect and is answered with an error."""
    return {"operation": stage.start, "match": {"channel": f"room-{name}"}, "status": 504, "effect": True}


async def start_unclear(stage: Stage, name: str) -> None:
    """Start a task whose answer never comes."""
    await stage.world.faults(lost_start(stage, name))
    await stage.create(name)
    await stage.world.eventually(lambda: stage.world.live(name), "the task of the unclear start")


# Which write it is -------------------------------------------------------------------------------------------------


def guards(patch: Body) -> bool:
    return FINALIZER in (_finalizers(patch) or ())


def releases(patch: Body) -> bool:
    return _finalizers(patch) == []


def _finalizers(patch: Body) -> list[str] | None:
    found: list[str] | None = patch.get("metadata", {}).get("finalizers")
    return found


def sets(key: str) -> Callable[[Body], bool]:
    def check(patch: Body) -> bool:
        return bool(patch.get("status", {}).get(key))

    return check


def clears(key: str) -> Callable[[Body], bool]:
    def check(patch: Body) -> bool:
        status: Body = patch.get("status", {})
        return key in status and status[key] is None

    return check


# The rows ----------------------------------------------------------------------------------------------------------

BOTH, V7, V6 = ("V7", "V6"), ("V7",), ("V6",)


def _of_each_api(title: str, *, v7: str, v6: str, **rest: Any) -> list[Step]:
    """A step whose call has a name of its own in each API."""
    return [Step(title, V7, call=v7, **rest), Step(title, V6, call=v6, **rest)]


STEPS: tuple[Step, ...] = (
    Step("finalizer added", BOTH, create, "running", write=guards),
    Step("acquire", V6, create, "running", call="acquire", write=sets("builderToken")),
    *_of_each_api("first start", v7="join", v6="start", act=create, ends="running", write=sets("taskId")),
    Step("adopt: the repeated start", V7, create, "running", call="join", after_lost_start=True),
    Step("adopt: the list", V7, create, "running", call="list", write=sets("taskId"), after_lost_start=True),
    Step(
        "adopt: the repeated start",
        V6,
        create,
        "running",
        call="start",
        write=sets("taskId"),
        after_lost_start=True,
    ),
    Step("update: sequenceId reserved", BOTH, change_languages, "running", run, write=sets("sequenceId")),
    Step("update", BOTH, change_languages, "running", run, call="update", write=sets("applied")),
    *_of_each_api(
        "suspend: stop", v7="leave", v6="stop", act=suspend, ends="suspended", prepare=run, write=sets("stopReason")
    ),
    Step("suspend: end recorded", BOTH, suspend, "suspended", run, write=clears("taskId")),
    Step("restart: end recorded", BOTH, fail, "running", run, write=clears("taskId"), starts=2),
    Step("restart: acquire", V6, fail, "running", run, call="acquire", write=sets("builderToken"), starts=2),
    *_of_each_api(
        "restart: start", v7="join", v6="start", act=fail, ends="running", prepare=run, write=sets("taskId"), starts=2
    ),
    *_of_each_api(
        "changed setting: stop",
        v7="leave",
        v6="stop",
        act=change_idle_timeout,
        ends="running",
        prepare=run,
        write=sets("stopReason"),
        starts=2,
    ),
    *_of_each_api(
        "rollover, Replace: stop",
        v7="leave",
        v6="stop",
        act=near_its_end,
        ends="running",
        prepare=run,
        write=sets("stopReason"),
        starts=2,
    ),
    *_of_each_api(
        "rollover, Replace: start",
        v7="join",
        v6="start",
        act=near_its_end,
        ends="running",
        prepare=run,
        write=sets("taskId"),
        starts=2,
    ),
    Step(
        "rollover, Overlap: announced",
        BOTH,
        near_its_end,
        "running",
        run_overlapping,
        write=sets("retiring"),
        starts=2,
        overlaps=True,
    ),
    *_of_each_api(
        "rollover, Overlap: start",
        v7="join",
        v6="start",
        act=near_its_end,
        ends="running",
        prepare=run_overlapping,
        write=sets("taskId"),
        starts=2,
        overlaps=True,
    ),
    *_of_each_api(
        "rollover, Overlap: stop of the earlier",
        v7="leave",
        v6="stop",
        act=near_its_end,
        ends="running",
        prepare=run_overlapping,
        write=clears("retiring"),
        starts=2,
        overlaps=True,
    ),
    *_of_each_api(
        "delete: stop, finalizer removed", v7="leave", v6="stop", act=delete, ends="gone", prepare=run, write=releases
    ),
    *_of_each_api(
        "delete after an unclear start",
        v7="leave",
        v6="stop",
        act=delete,
        ends="gone",
        prepare=start_unclear,
        write=releases,
    ),
)

CELLS = tuple(
    Cell(api, step, cut) for api in BOTH for step in STEPS if api in step.apis for cut in Cut if step.has(cut)
)


# Playing a cell ----------------------------------------------------------------------------------------------------


async def bring_to_the_cut(stage: Stage, cell: Cell, name: str) -> None:
    """Let the object's step begin, and wait until it stands at its boundary."""
    step = cell.step
    if step.prepare:
        await step.prepare(stage, name)
    else:
        # What makes the step begin is the creation, and the uid that a fault may have to name is known only then.
        stage.proxy.mute(name)
        await step.act(stage, name)
    reached = await _arm(stage, cell, name)
    await (step.act(stage, name) if step.prepare else stage.proxy.unmute(name))
    await stage.world.eventually(reached, f"{cell}: the boundary", SETTLING_SECONDS)


async def _arm(stage: Stage, cell: Cell, name: str) -> Callable[[], Awaitable[bool]]:
    """Set up what cuts the step; answers how to see that it has been cut."""
    step = cell.step
    if step.after_lost_start:
        await stage.world.faults(lost_start(stage, name))
    if cell.cut.is_at_agora:
        match = await _match(stage, cell, name)
        # The lost start is one of the calls that go by.
        after = int(step.after_lost_start and step.call == stage.start)
        await stage.world.faults({"operation": step.call, "match": match, "after": after, **FAULTS[cell.cut]})
        return lambda: _fault_is_met(stage, step.call or "", match)

    def is_the_write(asked: Asked) -> bool:
        return asked.name == name and asked.method == "PATCH" and step.write is not None and step.write(asked.body)

    rule = stage.proxy.add(Rule(is_the_write, ACTIONS[cell.cut], mutes=cell.cut is Cut.AFTER_WRITE))

    async def reached() -> bool:
        return rule.reached.is_set()

    return reached


async def _match(stage: Stage, cell: Cell, name: str) -> Body:
    if cell.step.call != "acquire":
        return {"channel": f"room-{name}"}
    body = await stage.world.kube.get(name)
    assert body is not None
    attempt = cell.step.starts - 1
    return {"name": f"tt-{body['metadata']['uid']}-{attempt}"}


async def _fault_is_met(stage: Stage, call: str, match: Body) -> bool:
    left = (await stage.world.agora.get("/simulator/faults")).json()
    return call not in {fault["operation"] for fault in left if fault.get("match") == match}


async def judge(stage: Stage, cell: Cell, name: str) -> None:
    """Wait until the object is as it should be, and see that nothing was doubled, lost or left."""
    world, step = stage.world, cell.step
    await world.eventually(lambda: _has_converged(stage, step, name), f"{cell}: the end", SETTLING_SECONDS)
    if step.ends != "gone":
        await world.kube.delete(name)
        await world.kube.wait_gone(name, SETTLING_SECONDS)
    tasks = await world.tasks(channel=f"room-{name}")
    assert [task for task in tasks if task["endedAt"] is None] == [], f"{cell}: a task outlives its object"
    assert len(tasks) == step.starts, f"{cell}: {len(tasks)} tasks were started, {step.starts} were wanted"
    if not step.overlaps:
        for earlier, later in pairwise(sorted(tasks, key=lambda task: task["startedAt"])):
            assert earlier["endedAt"] <= later["startedAt"], f"{cell}: two tasks at the same time"
    sent = [call["sequenceId"] for call in await world.calls("update", name)]
    assert sent == sorted(set(sent)), f"{cell}: sequenceIds {sent} do not rise"


async def _has_converged(stage: Stage, step: Step, name: str) -> bool:
    body = await stage.world.kube.get(name)
    live = await stage.world.live(name)
    if step.ends == "gone":
        return body is None and not live
    if body is None or not is_settled(body):
        return False
    status = body["status"]
    if step.ends == "suspended":
        ready = condition(body, "Ready")
        return not live and ready is not None and ready["reason"] == "Suspended"
    wanted = set(body["spec"]["languages"])
    return (
        [task["taskId"] for task in live] == [status.get("taskId")]
        and set(live[0]["settings"]["languages"]) == wanted
        and "retiring" not in status
        and len(await stage.world.tasks(channel=f"room-{name}")) >= step.starts
    )


async def play(stage: Stage, cell: Cell, name: str) -> None:
    """Play one cell from beginning to end."""
    await bring_to_the_cut(stage, cell, name)
    if cell.cut.kills:
        stage.world.operator.kill()
        await stage.restart()
    await judge(stage, cell, name)


async def play_together(stage: Stage, cells: list[Cell]) -> None:
    """Play many cells of one cut at once: one kill meets each of them at its boundary."""
    names = {cell: f"row{index}" for index, cell in enumerate(cells)}
    async with asyncio.TaskGroup() as group:
        for cell, name in names.items():
            group.create_task(bring_to_the_cut(stage, cell, name))
    if cells[0].cut.kills:
        stage.world.operator.kill()
        await stage.restart()
    async with asyncio.TaskGroup() as group:
        for cell, name in names.items():
            group.create_task(judge(stage, cell, name))
