"""Agora tasks that no object owns: listed, and stopped only if somebody names them.

Rows of Agora's list carry neither name nor channel, so a task cannot be attributed: it is an orphan if no
TranscriptionTask of the cluster names it. One that another cluster or another client runs in the same project looks the
same, which is why nothing here stops a task by itself.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from agora_transcription import agora
from agora_transcription.api import FINALIZER
from agora_transcription.api.status import format_time
from agora_transcription.controller.credentials import SecretInvalid, account_of
from agora_transcription.controller.looks import LONGEST_LOOK_BACK, LOOK_BACK
from agora_transcription.controller.store import KubernetesStore, StoreError
from agora_transcription.controller.translate import account_hash
from agora_transcription.kube.connection import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agora_transcription.agora import Account, Agora, ListedTask
    from agora_transcription.controller.store import Body, Store

__all__ = ["CANNOT_TELL", "NONE_LEFT", "REFUSED", "SOME_LEFT", "NotAnOrphan", "Orphan", "Request", "orphans_of", "run"]

NONE_LEFT: Final = 0
"""Exit code: there is no orphan, or none any more."""

CANNOT_TELL: Final = 1
"""Exit code: Agora or the cluster could not be asked, or a task not be stopped."""

REFUSED: Final = 2
"""Exit code: the arguments are wrong, or a task to be stopped is no orphan; nothing was stopped."""

SOME_LEFT: Final = 3
"""Exit code: there are orphans."""

STOPPED: Final = "STOPPED"

PAUSE: Final = 0.2
"""Seconds between two calls: Agora counts those of the operator and these together."""


class NotAnOrphan(Exception):
    """A task was to be stopped that is not on the list; the message names it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked.

    Attributes:
        account: The project and its credentials; None to read them from `secret`.
        secret: Namespace and name of a Secret as the operator's tasks have it; empty where there is an account.
        agora_url: The base URL of Agora's REST API.
        kubeconfig: See the operator's setting.
        stop: The tasks to be stopped.
        as_json: JSON instead of a table.
    """

    account: Account | None
    secret: tuple[str, str]
    agora_url: str
    kubeconfig: str | None
    stop: tuple[str, ...] = ()
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Orphan:
    """A live task that no object names.

    Attributes:
        task_id: Agora's id.
        state: Agora's word; STOPPED once this command has stopped it.
        started: None where Agora does not say.
        may_belong_to: Objects, as namespace/name, that may have started it and do not know its id yet.
    """

    task_id: str
    state: str
    started: datetime | None
    may_belong_to: tuple[str, ...] = ()


def orphans_of(rows: Iterable[ListedTask], bodies: Sequence[Body], project: str) -> list[Orphan]:
    """Compare what runs with what is owned.

    Args:
        rows: The project's live tasks, listed before the objects were: one that was started in between is not there.
        bodies: All TranscriptionTasks of the cluster, as the API server has them, readable for this version or not.
        project: The digest of the project's App ID.
    """
    owned = {task_id for body in bodies for task_id in _named(body)}
    doubtful = [body for body in bodies if _start_in_doubt(body, project)]
    found = []
    for row in rows:
        if row.task_id not in owned:
            candidates = sorted(_key(body) for body in doubtful if _may_be(row, body))
            found.append(Orphan(row.task_id, row.status or "unknown", row.started, tuple(candidates)))
    return sorted(found, key=lambda orphan: (orphan.started or datetime.min.replace(tzinfo=UTC), orphan.task_id))


def _named(body: Body) -> list[str]:
    status: Mapping[str, Any] = body.get("status") or {}
    names = [status.get("taskId"), (status.get("retiring") or {}).get("taskId")]
    return [name for name in names if name]


def _start_in_doubt(body: Body, project: str) -> bool:
    """Whether a V7 task of the project may run that the object's status does not name."""
    status: Mapping[str, Any] = body.get("status") or {}
    announced = status.get("instanceId") is not None or status.get("observedGeneration", -1) < 0
    return (
        FINALIZER in (body["metadata"].get("finalizers") or ())
        and not status.get("taskId")
        and announced
        and status.get("accountHash") in {None, project}
        and ((body.get("spec") or {}).get("agoraApi") or status.get("agoraApi")) != agora.Dialect.V6.value
    )


def _may_be(row: ListedTask, body: Body) -> bool:
    """Whether a task is not older than the attempt that it would be of."""
    begun = (body.get("status") or {}).get("attemptTime") or body["metadata"]["creationTimestamp"]
    return row.started is None or row.started >= datetime.fromisoformat(begun) - LOOK_BACK


def _key(body: Body) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


async def find(
    api: Agora, account: Account, store: Store, now: datetime, more: agora.More = agora.at_once
) -> list[Orphan]:
    """List the orphans of a project.

    Args:
        api: Agora's V7.
        account: The project.
        store: The cluster.
        now: The time, which may be days off: nobody sees to the clock of a laptop.
        more: Awaited before each page of Agora's list but the first.

    Raises:
        AgoraError: Agora does not list its tasks.
        StoreError: The API server does not list its objects.
    """
    rows = await api.list_live(account, None, now - LONGEST_LOOK_BACK, more)
    bodies = [body async for body in store.all()]
    return orphans_of(rows, bodies, account_hash(account))


async def stop(
    api: Agora, account: Account, orphans: Sequence[Orphan], wanted: Sequence[str], more: agora.More = agora.at_once
) -> list[Orphan]:
    """Stop exactly the named tasks; answers all of the list, those with the state STOPPED.

    Args:
        api: Agora's V7.
        account: The project.
        orphans: The list.
        wanted: The ids of those to be stopped.
        more: Awaited before each call.

    Raises:
        NotAnOrphan: One of them is not on the list; then nothing is stopped.
        AgoraError: One could not be stopped; those before it were.
    """
    strangers = sorted(set(wanted) - {orphan.task_id for orphan in orphans})
    if strangers:
        raise NotAnOrphan(f"{', '.join(strangers)}: no orphan of this project; nothing was stopped")
    after = []
    for orphan in orphans:
        if orphan.task_id not in wanted:
            after.append(orphan)
            continue
        await more()
        try:
            await api.stop(account, agora.Handle(orphan.task_id))
        except agora.Gone as error:
            if not error.confirmed:
                raise
        after.append(replace(orphan, state=STOPPED))
    return after


async def run(request: Request, write: Callable[[str], None], complain: Callable[[str], None]) -> int:
    """Do what the command was asked; answers its exit code.

    Args:
        request: What it was asked.
        write: Takes the report.
        complain: Takes what went wrong.

    Raises:
        kubernetes.config.ConfigException: When there is no cluster to be found.
    """
    now = datetime.now(UTC)
    try:
        async with AsyncExitStack() as stack:
            kubernetes = await connect(request.kubeconfig)
            stack.push_async_callback(kubernetes.close)
            store = KubernetesStore(kubernetes)
            account = request.account or account_of((await store.secret(*request.secret)).data)
            client = await stack.enter_async_context(agora.AgoraClient(request.agora_url))
            api = client.dialect(agora.Dialect.V7)
            found = await find(api, account, store, now, _pause)
            orphans = await stop(api, account, found, request.stop, _pause)
    except NotAnOrphan as error:
        complain(str(error))
        return REFUSED
    except SecretInvalid as error:
        complain(f"Secret {'/'.join(request.secret)}: {error}")
        return CANNOT_TELL
    except (agora.AgoraError, StoreError) as error:
        complain(str(error))
        return CANNOT_TELL
    write(as_json(orphans, now) if request.as_json else as_table(orphans, now))
    return SOME_LEFT if any(orphan.state != STOPPED for orphan in orphans) else NONE_LEFT


async def _pause() -> None:
    await asyncio.sleep(PAUSE)


def as_json(orphans: Iterable[Orphan], now: datetime) -> str:
    """A JSON list, oldest first."""
    rows = [
        {
            "taskId": orphan.task_id,
            "state": orphan.state,
            "startTime": format_time(orphan.started) if orphan.started else None,
            "ageSeconds": int((now - orphan.started).total_seconds()) if orphan.started else None,
            "mayBelongTo": list(orphan.may_belong_to),
        }
        for orphan in orphans
    ]
    return json.dumps(rows, indent=2)


def as_table(orphans: Sequence[Orphan], now: datetime) -> str:
    """A table for people, oldest first."""
    if not orphans:
        return "No orphans: each task of the project belongs to an object."
    rows = [("TASK", "STATE", "AGE", "MAY BELONG TO")]
    for orphan in orphans:
        age = str(timedelta(seconds=int((now - orphan.started).total_seconds()))) if orphan.started else "unknown"
        rows.append((orphan.task_id, orphan.state, age, ", ".join(orphan.may_belong_to)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
