"""The V7 dialect: join, query, update, leave and list, below `/api/speech-to-text/v1/projects/{appId}`.

A task is an agent_id. A repeated join is told from a new one by its `name`, so there is no token to acquire first.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agora_transcription.agora.answers import SUCCESS, check_stopped, observation, timestamp
from agora_transcription.agora.bodies import common_body, secrets_of, update_body, update_mask
from agora_transcription.agora.calls import Call, path, query
from agora_transcription.agora.errors import Upstream
from agora_transcription.agora.explanations import identifier, read_json
from agora_transcription.agora.models import Dialect, ListedTask, at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from agora_transcription.agora.calls import Send
    from agora_transcription.agora.models import Account, Handle, More, Observation, StartRequest, Update

__all__ = ["AgoraV7", "join_body", "update_query"]

_LIVE_STATES = (0, 1, 2, 3, 5)
"""IDLE, STARTING, RUNNING, STOPPING, RECOVERING: list takes exactly one state per request."""

_RUNNING = 2

_MAX_PAGES = 1000
"""Of one list: 100,000 tasks."""

_PAGE = 100
"""Rows asked for per page; the default is 20 and no maximum is documented."""


class AgoraV7:
    """Speaks V7; see `Agora` for what the methods promise."""

    def __init__(self, send: Send) -> None:
        self._send = send

    @property
    def dialect(self) -> Dialect:
        """V7."""
        return Dialect.V7

    async def acquire(self, account: Account, instance_id: str) -> SecretStr | None:  # noqa: ARG002 - the Protocol's
        """Answer None: a join needs no token."""
        return None

    async def start(self, account: Account, request: StartRequest, builder_token: SecretStr | None) -> Observation:  # noqa: ARG002 - the Protocol's
        """Join."""
        secrets = secrets_of(request)
        call = Call(
            Dialect.V7, "start", account, "POST", _path(account, "join"), body=join_body(request), secrets=secrets
        )
        return observation(call, await self._send(call))

    async def query(self, account: Account, handle: Handle) -> Observation:
        """Read one agent."""
        call = Call(Dialect.V7, "query", account, "GET", _path(account, "agents", handle.task_id))
        return observation(call, await self._send(call), task_id=handle.task_id)

    async def update(self, account: Account, handle: Handle, update: Update) -> Observation:
        """Replace the masked fields."""
        call = Call(
            Dialect.V7,
            "update",
            account,
            "POST",
            _path(account, "agents", handle.task_id, "update"),
            query=update_query(update),
            body=update_body(update),
        )
        return observation(call, await self._send(call), task_id=handle.task_id)

    async def stop(self, account: Account, handle: Handle) -> None:
        """Leave."""
        call = Call(Dialect.V7, "stop", account, "POST", _path(account, "agents", handle.task_id, "leave"))
        check_stopped(await self._send(call))

    async def list_live(
        self, account: Account, channel: str | None, since: datetime, more: More = at_once
    ) -> Sequence[ListedTask]:
        """Page through each state that is not an end.

        The states are asked for one after the other, in the order in which a task passes through them, so that one
        that moves on in between is seen at least once.
        """
        return await _Listing(self._send, account, channel, since, more).of(_LIVE_STATES)

    async def list_running(self, account: Account, since: datetime, more: More = at_once) -> Sequence[ListedTask]:
        """Page through the state RUNNING."""
        return await _Listing(self._send, account, None, since, more).of((_RUNNING,))


class _Listing:
    """One walk through pages of the list."""

    def __init__(self, send: Send, account: Account, channel: str | None, since: datetime, more: More) -> None:
        self._send = send
        self._account = account
        self._parameters: dict[str, str | int] = {} if channel is None else {"channel": channel}
        self._parameters |= {"from_time": int(since.astimezone(UTC).timestamp()), "limit": _PAGE}
        self._more = more
        self._pages = 0

    async def of(self, states: Sequence[int]) -> list[ListedTask]:
        """The tasks of these states, each once."""
        found: dict[str, ListedTask] = {}
        for state in states:
            found |= await self._all(state)
        return list(found.values())

    async def _all(self, state: int) -> dict[str, ListedTask]:
        """Follow the cursors of one state to an empty one, to an empty page, or to where they were before.

        Raises:
            Upstream: They lead back before all were shown that there are, or nowhere: who is not listed may run.
        """
        found: dict[str, ListedTask] = {}
        cursor, seen, total = "", set[str](), 0
        while cursor not in seen and self._pages < _MAX_PAGES:
            seen.add(cursor)
            rows, total, cursor = _rows(await self._page(state, cursor))
            found |= {row.task_id: row for row in rows}
            if not rows or not cursor:
                return found
        if cursor not in seen or len(found) < total:
            raise Upstream("list", code=SUCCESS, text="the pages of the list have no end")
        return found

    async def _page(self, state: int, cursor: str) -> bytes:
        if self._pages:
            await self._more()
        self._pages += 1
        parameters = {**self._parameters, "state": state, **({"cursor": cursor} if cursor else {})}
        return await self._send(
            Call(Dialect.V7, "list", self._account, "GET", _path(self._account, "agents"), query=query(**parameters))
        )


def join_body(request: StartRequest) -> dict[str, object]:
    """The JoinRequest ("Join" page).

    `subBotUid` is deprecated and only sent where it is asked for. The endpoint of an S3-compatible store goes into
    `extensionParams` at the top level, where the schema has it, not inside `captionConfig` as in the release notes.
    """
    body: dict[str, object] = {"name": request.name, **common_body(request)}
    if request.keywords:
        body["keywords"] = list(request.keywords)
    storage = request.captions.storage
    if storage is not None and storage.endpoint is not None:
        body["extensionParams"] = {"endpoint": storage.endpoint, "type": "s3"}
    return body


def update_query(update: Update) -> str:
    """The query string of an update; both parameters are deprecated and still required."""
    return query(sequenceId=update.sequence_id, updateMask=update_mask(update))


def _path(account: Account, *segments: str) -> str:
    return "/api/speech-to-text/v1/projects" + path(account.app_id, *segments)


def _rows(body: bytes) -> tuple[list[ListedTask], int, str]:
    """The rows of a page, how many there are on all pages, and the cursor of the next one; empty at the end.

    Raises:
        Upstream: The answer is not the documented one. A row without an id counts too: to leave out a task that is
            there is worse than to ask again.
    """
    document = read_json(body)
    data = document.get("data") if isinstance(document, dict) else None
    rows = data.get("list") if isinstance(data, dict) else None
    if rows is None and isinstance(data, dict):
        rows = []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and identifier(row.get("agent_id")) for row in rows):
        raise Upstream("list", code=SUCCESS, text="the answer is no list of tasks")
    tasks = [ListedTask(row["agent_id"], str(row.get("status", "")), timestamp(row.get("start_ts"))) for row in rows]
    meta = document.get("meta") if isinstance(document, dict) else None
    total, cursor = (meta.get("total"), meta.get("cursor")) if isinstance(meta, dict) else (None, None)
    return tasks, total if isinstance(total, int) else 0, cursor if isinstance(cursor, str) else ""
