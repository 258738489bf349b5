"""The v6 dialect: acquire, start, query, update, stop.

Sources: Agora's reference pages of v6.x and its "Common errors" page. A builderToken starts one task; every call about
the task needs it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.simulator.admission import authenticate, launch
from agora_transcription.simulator.answers import Answer, Incoming, Refused
from agora_transcription.simulator.bodies import check_no_body, parse_body
from agora_transcription.simulator.starts import AcquireBody, StartBody
from agora_transcription.simulator.tasks import Dialect, State, Task
from agora_transcription.simulator.updates import V6UpdateBody, changed_settings, due_change, parse_query
from agora_transcription.simulator.world import Ticket

if TYPE_CHECKING:
    from agora_transcription.simulator.world import World

__all__ = ["acquire", "query", "refusal", "start", "stop", "update"]

STATUS: Final = {
    State.STARTING: "STARTING",
    State.RUNNING: "IN_PROGRESS",
    State.STOPPING: "STOPPING",
    State.STOPPED: "STOPPED",
    State.FAILED: "FAILURE_STOP",
}

START_STATUS: Final = {State.STARTING: "IDLE", State.RUNNING: "STARTED"}
"""A start's own answer uses the words of earlier phases."""

START_WITHIN: Final = 300
"""Seconds from acquire to start."""

TOKEN_LIFETIME: Final = 86400
"""Seconds that a builderToken, and with it the task, lasts."""

SCHEMA_FAILURE: Final = "body schema check fail, "
NOT_FOUND: Final = "The task is not found"


def acquire(world: World, incoming: Incoming) -> Answer:
    """Hand out a builderToken."""
    account = authenticate(world, incoming)
    _parameters(incoming)
    body = parse_body(incoming, AcquireBody, prefix=SCHEMA_FAILURE)
    now = world.now()
    token = secrets.token_urlsafe(300)
    world.tickets[token] = Ticket(account.app_id, body.instance_id, now)
    return Answer(200, {"tokenName": token, "createTs": int(now), "instanceId": body.instance_id})


def start(world: World, incoming: Incoming) -> Answer:
    """Start a task with a builderToken that has not started one yet."""
    account = authenticate(world, incoming)
    ticket = _ticket(world, incoming, _parameters(incoming, "builderToken"))
    now = world.now()
    too_old = now > ticket.created_at + START_WITHIN
    if ticket.task is not None and not (too_old and world.options.token_age_first):
        if ticket.task.state.ended:
            raise Refused(400, "The task was started with this builderToken before", code=49)
        status = STATUS[ticket.task.state].replace("IN_PROGRESS", "STARTED")
        raise Refused(409, f"The task has been started, current status is {status}, taskId is {ticket.task.id}")
    if too_old:
        raise Refused(400, "resourceId reaches out the limited time interval!")
    body = parse_body(incoming, StartBody, prefix=SCHEMA_FAILURE)
    ends = ticket.created_at + TOKEN_LIFETIME
    ticket.task = launch(world, account, ticket.instance_id, body, task_id=secrets.token_hex(16), ends=ends)
    return Answer(200, _described(ticket.task, START_STATUS))


def query(world: World, incoming: Incoming) -> Answer:
    """Tell how a task is."""
    authenticate(world, incoming)
    return Answer(200, _described(_task(world, incoming, _parameters(incoming, "builderToken"))))


def update(world: World, incoming: Incoming) -> Answer:
    """Change a running task."""
    authenticate(world, incoming)
    parameters = _parameters(incoming, "builderToken", "sequenceId", "updateMask")
    task = _task(world, incoming, parameters)
    if task.state.ended:
        raise Refused(404, NOT_FOUND)
    try:
        change = due_change(task, parameters, world.now())
        body = parse_body(incoming, V6UpdateBody, prefix=SCHEMA_FAILURE)
        settings = changed_settings(task.settings, change.mask, body)
    except ValueError as error:
        raise Refused(400, str(error), code=2) from None
    task.apply(change, settings)
    return Answer(200, _described(task))


def stop(world: World, incoming: Incoming) -> Answer:
    """Stop a task; the answer has no body, as none is documented."""
    authenticate(world, incoming)
    check_no_body(incoming)
    task = _task(world, incoming, _parameters(incoming, "builderToken"))
    if task.state.ended:
        raise Refused(404, NOT_FOUND)
    if task.state is State.STOPPING:
        raise Refused(400, "The task is being stopped already", code=49)
    world.tasks.stop(task, world.now(), world.options.stop_delay)
    return Answer(200)


def refusal(refused: Refused) -> Answer:
    """A refusal in this dialect's shapes: a code and a reason, or a bare message."""
    if refused.code is not None:
        return Answer(refused.status, {"code": refused.code, "reason": refused.text})
    text = "invalid_appid!" if refused.text == "invalid_appid" else refused.text
    return Answer(refused.status, {"message": text})


def _described(task: Task, words: dict[State, str] = STATUS) -> dict[str, Any]:
    return {"taskId": task.id, "createTs": int(task.started_at), "status": words[task.state]}


def _parameters(incoming: Incoming, *allowed: str) -> dict[str, str]:
    try:
        return parse_query(incoming.query, frozenset(allowed))
    except ValueError as error:
        raise Refused(400, str(error), code=2) from None


def _ticket(world: World, incoming: Incoming, parameters: dict[str, str]) -> Ticket:
    token = parameters.get("builderToken")
    if not token:
        raise Refused(400, "builderToken: required", code=2)
    ticket = world.tickets.get(token)
    if ticket is None:
        raise Refused(400, "The tokenName cannot be parsed", code=1001)
    if ticket.app_id != incoming.app_id:
        raise Refused(400, "The App ID does not fit the tokenName", code=1003)
    return ticket


def _task(world: World, incoming: Incoming, parameters: dict[str, str]) -> Task:
    """The task of a call, which has to come with its own builderToken."""
    ticket = _ticket(world, incoming, parameters)
    world.now()
    task = world.known(Dialect.V6, incoming.app_id, incoming.task_id)
    if task is None:
        raise Refused(404, NOT_FOUND)
    if ticket.task is not task:
        raise Refused(400, "The taskId does not match with builderToken.", code=53)
    return task
