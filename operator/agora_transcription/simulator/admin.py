"""What Agora does not have: looking at the simulator from the side, and meddling with it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agora_transcription.simulator.captions.stage import Stage
from agora_transcription.simulator.faults import Fault
from agora_transcription.simulator.options import SimulatorOptions
from agora_transcription.simulator.tasks import State
from agora_transcription.simulator.views import call_row, doubles, notice_row, task_row
from agora_transcription.simulator.world import World

__all__ = ["admin_router"]

Json = dict[str, Any]


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Advance(_Wanted):
    """How far the tasks' time is moved forward."""

    advance_seconds: Annotated[float, Field(ge=0)]


class Channel(_Wanted):
    """What a channel has."""

    hosts: Annotated[int, Field(ge=0)]


class End(_Wanted):
    """How a task ends behind its owner's back."""

    status: Literal["STOPPED", "FAILED"]
    message: str = ""


def admin_router(world: World, stage: Stage) -> APIRouter:
    """The routes below `/simulator`, and `/healthz`."""
    router = APIRouter()
    _add_views(router, world)
    _add_faults(router, world)
    _add_levers(router, world, stage)
    return router


def _add_views(router: APIRouter, world: World) -> None:
    @router.get("/healthz")
    async def healthz() -> Json:
        return {"status": "ok"}

    @router.get("/simulator/tasks")
    async def tasks(channel: str | None = None, *, live: bool = False) -> list[Json]:
        world.now()
        return [
            task_row(task)
            for task in world.tasks.by_id.values()
            if channel in {None, task.channel} and not (live and task.state.ended)
        ]

    @router.get("/simulator/calls")
    async def calls(since: Annotated[int, Field(ge=0)] = 0) -> list[Json]:
        return [call_row(index, call) for index, call in enumerate(world.calls[since:], since)]

    @router.get("/simulator/notifications")
    async def notifications() -> list[Json]:
        world.now()
        return [notice_row(notice) for notice in world.notices]

    @router.get("/simulator/doubles")
    async def two_at_once() -> list[Json]:
        world.now()
        return doubles(world.tasks.by_id.values())


def _add_faults(router: APIRouter, world: World) -> None:
    @router.get("/simulator/faults")
    async def faults() -> list[Json]:
        return [fault.model_dump(by_alias=True, exclude_defaults=True) for fault in world.faults.remaining]

    @router.post("/simulator/faults")
    async def add_faults(added: list[Fault]) -> Json:
        world.faults.remaining.extend(added)
        return {"added": len(added)}

    @router.delete("/simulator/faults")
    async def clear_faults(channel: str | None = None, name: str | None = None) -> Json:
        before = len(world.faults.remaining)
        world.faults.remaining = [
            fault
            for fault in world.faults.remaining
            if channel not in {None, fault.match.channel} or name not in {None, fault.match.name}
        ]
        return {"cleared": before - len(world.faults.remaining)}

    @router.post("/simulator/release")
    async def release() -> Json:
        return {"released": world.release()}


def _add_levers(router: APIRouter, world: World, stage: Stage) -> None:
    @router.get("/simulator/options")
    async def options() -> SimulatorOptions:
        return world.options

    @router.put("/simulator/options")
    async def change_options(partial: SimulatorOptions) -> SimulatorOptions:
        world.options = world.options.changed_by(partial)
        return world.options

    @router.post("/simulator/clock")
    async def advance(wanted: Advance) -> Json:
        world.clock.advance(wanted.advance_seconds)
        return {"now": world.now()}

    @router.put("/simulator/channels/{name}")
    async def set_hosts(name: str, wanted: Channel) -> Json:
        world.tasks.set_hosts(name, wanted.hosts, world.now())
        return {"channel": name, "hosts": wanted.hosts}

    @router.post("/simulator/tasks/{task_id}/end")
    async def end(task_id: str, wanted: End) -> Json:
        now = world.now()
        task = world.tasks.by_id.get(task_id)
        if task is None or task.state.ended:
            raise HTTPException(404, "no such live task")
        world.tasks.end(task, now, State[wanted.status], wanted.message)
        return task_row(task)

    @router.delete("/simulator/state")
    async def reset() -> Json:
        world.reset()
        stage.reset()
        return {"status": "ok"}
