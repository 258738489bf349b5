"""The way of every call of Agora's: recorded, met by a fault or not, done, answered.

A fault may want the connection closed without an answer. The server offers that as `scope["state"]["abort"]` (see
`server`); without a server, as under httpx's ASGITransport, a `ConnectionResetError` is raised into the caller instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from fastapi import Response

from agora_transcription.simulator.answers import MALFORMED, Answer, Incoming, Refused
from agora_transcription.simulator.world import Call, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import Request

    from agora_transcription.simulator.faults import Fault
    from agora_transcription.simulator.tasks import Dialect

__all__ = ["Operation", "dispatch"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One of Agora's operations.

    Attributes:
        name: As faults and the record of calls name it.
        dialect: Which API it is of.
        perform: Does it; raises `Refused`.
        refusal: Puts a refusal in the dialect's shape.
    """

    name: str
    dialect: Dialect
    perform: Callable[[World, Incoming], Answer]
    refusal: Callable[[Refused], Answer]


async def dispatch(operation: Operation, world: World, request: Request) -> Response:
    """Handle a call from its arrival to its answer."""
    incoming = await _read(request)
    call = _record(operation, world, incoming)
    fault = world.faults.take(operation.name, name=call.name, channel=call.channel, task_id=call.task_id)
    if fault is None:
        answer: Answer | None = _perform(operation, world, incoming, call)
        headers: Mapping[str, str] = {}
    else:
        answer = await _play(fault, operation, world, incoming, call, request)
        headers = fault.headers
    if answer is None:
        return Response()  # goes nowhere: the connection is closed
    call.code = answer.status
    return _response(answer, headers)


async def _play(
    fault: Fault, operation: Operation, world: World, incoming: Incoming, call: Call, request: Request
) -> Answer | None:
    """Do what a fault says; None when there is nobody left to answer."""
    answer = _perform(operation, world, incoming, call) if fault.takes_effect_first else None
    if fault.delay_seconds:  # else a call that is seen could be released before it is held
        await asyncio.sleep(fault.delay_seconds)
    if fault.drop:
        _close(request)
        return None
    if fault.hold and not await _hold(world, request):
        return None
    if answer and fault.amend is not None:
        return Answer(fault.status or answer.status, {**(answer.body or {}), **fault.amend})
    if fault.status is not None:
        return Answer(fault.status, fault.body)
    return answer or _perform(operation, world, incoming, call)


def _perform(operation: Operation, world: World, incoming: Incoming, call: Call) -> Answer:
    try:
        answer = operation.perform(world, incoming)
    except Refused as refused:
        answer = operation.refusal(refused)
    if isinstance(answer.body, dict) and call.task_id is None:
        call.task_id = answer.body.get("agent_id") or answer.body.get("taskId")
    task = world.tasks.by_id.get(call.task_id or "")
    if task is not None:
        task.calls += 1
    return answer


async def _hold(world: World, request: Request) -> bool:
    """Wait until the call is released; False if the client went away first."""
    released = asyncio.Event()
    world.held.add(released)
    waits = [asyncio.ensure_future(released.wait()), asyncio.ensure_future(_disconnected(request))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        world.held.discard(released)
        for wait in waits:
            wait.cancel()
    return released.is_set()


async def _disconnected(request: Request) -> None:
    """Return once the client has gone; its body has been read before, so nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _close(request: Request) -> None:
    abort: Callable[[], None] | None = getattr(request.state, "abort", None)
    if abort is None:
        raise ConnectionResetError("a scripted fault closed the connection")
    abort()


async def _read(request: Request) -> Incoming:
    raw = await request.body()
    try:
        content: Any = json.loads(raw) if raw else None
    except ValueError:
        content = MALFORMED
    return Incoming(
        app_id=request.path_params["app_id"],
        task_id=request.path_params.get("task_id"),
        query=request.scope["query_string"].decode("latin-1"),
        content=content,
        content_type=request.headers.get("content-type", ""),
        authorization=request.headers.get("authorization", ""),
    )


def _record(operation: Operation, world: World, incoming: Incoming) -> Call:
    """Write a call down with everything that can be told of it before it is checked."""
    call = Call(world.now(), operation.name, operation.dialect, incoming.app_id, incoming.task_id)
    parameters = {name: values[-1] for name, values in parse_qs(incoming.query).items()}
    task = world.tasks.by_id.get(incoming.task_id or "")
    ticket = world.tickets.get(parameters.get("builderToken", ""))
    content = incoming.content if isinstance(incoming.content, dict) else {}
    if task is not None:
        call.name, call.channel = task.name, task.channel
    else:
        rtc = content.get("rtcConfig")
        instance_id = ticket.instance_id if ticket else _text(content.get("instanceId"))
        call.name = _text(content.get("name")) or instance_id
        call.channel = _text(rtc.get("channelName")) if isinstance(rtc, dict) else parameters.get("channel")
    call.update_mask = parameters.get("updateMask")
    with contextlib.suppress(ValueError):
        call.sequence_id = int(parameters.get("sequenceId", ""))
    world.calls.append(call)
    return call


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _response(answer: Answer, headers: Mapping[str, str]) -> Response:
    headers = {"X-Request-Id": uuid.uuid4().hex, **headers}
    if answer.body is None:
        return Response(status_code=answer.status, headers=headers)
    if isinstance(answer.body, str):
        return Response(answer.body, answer.status, headers)
    return Response(json.dumps(answer.body), answer.status, headers, media_type="application/json")
