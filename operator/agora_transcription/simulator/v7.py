"""The v7 dialect: join, query, update, leave, list.

Sources: Agora's reference pages of v7.x and its OpenAPI document. What these leave open is decided the stricter way:
a name is never free again, and an ended task is not found by those who would change it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.simulator.admission import authenticate, launch
from agora_transcription.simulator.answers import Answer, Incoming, Refused
from agora_transcription.simulator.bodies import check_no_body, parse_body
from agora_transcription.simulator.starts import JoinBody
from agora_transcription.simulator.tasks import V7_LIFETIME, Dialect, Task
from agora_transcription.simulator.updates import UpdateBody, changed_settings, due_change, parse_query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agora_transcription.simulator.world import World

__all__ = ["join", "leave", "list_agents", "query", "refusal", "update"]

STATES: Final = ("IDLE", "STARTING", "RUNNING", "STOPPING", "STOPPED", "RECOVERING", "FAILED")
"""Status words; their positions are the numbers of the list's `state`."""

DAY: Final = 86400
DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100


def join(world: World, incoming: Incoming) -> Answer:
    """Start a task."""
    account = authenticate(world, incoming)
    _parameters(incoming)
    body = parse_body(incoming, JoinBody)
    namesake = world.tasks.named(Dialect.V7, account.app_id, body.name)
    if namesake is not None:
        conflict = {"detail": "the same name already exists", "reason": "TaskConflict"}
        if world.options.conflict_carries_id:
            conflict["agent_id"] = namesake.id
        return Answer(409, conflict)
    ends = world.now() + V7_LIFETIME
    task = launch(world, account, body.name, body, task_id=secrets.token_hex(13), ends=ends)
    return Answer(200, _described(task))


def query(world: World, incoming: Incoming) -> Answer:
    """Tell how a task is."""
    authenticate(world, incoming)
    _parameters(incoming)
    task = _known(world, incoming)
    return Answer(200, {"message": task.message, **_described(task)})


def update(world: World, incoming: Incoming) -> Answer:
    """Change a running task."""
    authenticate(world, incoming)
    task = _live(world, incoming)
    parameters = _parameters(incoming, "sequenceId", "updateMask")
    try:
        change = due_change(task, parameters, world.now())
        settings = changed_settings(task.settings, change.mask, parse_body(incoming, UpdateBody))
    except ValueError as error:
        raise Refused(400, str(error)) from None
    task.apply(change, settings)
    return Answer(200, _described(task))


def leave(world: World, incoming: Incoming) -> Answer:
    """Stop a task; the answer has no body, as none is documented."""
    authenticate(world, incoming)
    _parameters(incoming)
    check_no_body(incoming)
    world.tasks.stop(_live(world, incoming), world.now(), world.options.stop_delay)
    return Answer(200)


def list_agents(world: World, incoming: Incoming) -> Answer:
    """List tasks of one state, in the order of their starts, page by page."""
    account = authenticate(world, incoming)
    if not world.options.list_supported:
        raise Refused(404, "not found", reason="NotFound")
    wanted = _parameters(incoming, "channel", "from_time", "to_time", "state", "limit", "cursor")
    now = world.now()
    start = _number(wanted, "from_time", default=int(now) - DAY)
    end = _number(wanted, "to_time", default=int(now))
    state = STATES[_number(wanted, "state", default=STATES.index("RUNNING"), top=len(STATES) - 1)]
    limit = _number(wanted, "limit", default=DEFAULT_LIMIT, bottom=1, top=MAX_LIMIT)

    listed = [
        task
        for task in _candidates(world, account.app_id, wanted.get("channel"))
        if not world.forgotten(task) and now >= task.started_at + world.options.list_delay
    ]
    matching = [task for task in listed if task.state.name == state and start <= int(task.started_at) <= end]
    rest = matching
    if "cursor" in wanted:
        after = _order(world, account.app_id, wanted["cursor"])
        rest = [task for task in matching if task.order > after]
    page = rest[:limit]
    rows = [{"start_ts": int(task.started_at), "status": task.state.name, "agent_id": task.id} for task in page]
    cursor = page[-1].id if len(rest) > limit else ""
    meta = {"cursor": cursor, "total": len(matching)}
    return Answer(200, {"data": {"count": len(rows), "list": rows}, "meta": meta, "status": "ok"})


def refusal(refused: Refused) -> Answer:
    """A refusal in this dialect's shape; the gateway in front, which checks credentials, has its own."""
    if refused.status == 401:  # noqa: PLR2004 - HTTP's own number
        return Answer(401, {"message": refused.text})
    return Answer(refused.status, {"detail": refused.text, "reason": refused.reason})


def _described(task: Task) -> dict[str, Any]:
    return {"agent_id": task.id, "create_ts": int(task.started_at), "status": task.state.name}


def _known(world: World, incoming: Incoming) -> Task:
    world.now()
    task = world.known(Dialect.V7, incoming.app_id, incoming.task_id)
    if task is None:
        raise Refused(404, "task not found", reason="TaskNotFound")
    return task


def _live(world: World, incoming: Incoming) -> Task:
    task = _known(world, incoming)
    if task.state.ended:
        raise Refused(404, "task not found", reason="TaskNotFound")
    return task


def _parameters(incoming: Incoming, *allowed: str) -> dict[str, str]:
    try:
        return parse_query(incoming.query, frozenset(allowed))
    except ValueError as error:
        raise Refused(400, str(error)) from None


def _number(wanted: dict[str, str], name: str, *, default: int, bottom: int = 0, top: int = 2**53) -> int:
    text = wanted.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or not bottom <= int(text) <= top:
        raise Refused(400, f"{name}: must be an integer from {bottom} to {top}")
    return int(text)


def _candidates(world: World, app_id: str, channel: str | None) -> Iterable[Task]:
    tasks = world.tasks.by_id.values() if channel is None else world.tasks.of_channel(app_id, channel)
    return (task for task in tasks if task.app_id == app_id and task.dialect is Dialect.V7)


def _order(world: World, app_id: str, cursor: str) -> int:
    """Where the previous page ended; its last row may have changed its state since."""
    task = world.tasks.by_id.get(cursor)
    if task is None or task.app_id != app_id or task.dialect is not Dialect.V7:
        raise Refused(400, "cursor: must be the agent_id of the previous page's last row")
    return task.order
