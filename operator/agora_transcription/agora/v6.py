"""The V6 dialect: acquire, start, query, PATCH update, DELETE stop.

All of it is below `/v1/projects/{appId}/rtsc/speech-to-text`. A task is a taskId and the builderToken that started it.
A token starts one task, within 5 minutes of its making, and a repeated start is told from a new one by it. It travels
in the query string, so no URL of this dialect may be logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from agora_transcription.agora.answers import SUCCESS, check_stopped, observation
from agora_transcription.agora.bodies import common_body, secrets_of, update_body, update_mask
from agora_transcription.agora.calls import Call, path, query
from agora_transcription.agora.errors import NotSupported, RequestRefused, TokenRefused, Upstream
from agora_transcription.agora.explanations import read_json
from agora_transcription.agora.models import Dialect, at_once

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from agora_transcription.agora.calls import Operation, Send
    from agora_transcription.agora.models import Account, Handle, ListedTask, More, Observation, StartRequest, Update

__all__ = ["AgoraV6", "start_body", "update_query"]


_MAX_TOKEN = 8192
"""Characters of a builderToken that the status takes: a longer one could be used and not be kept."""


class AgoraV6:
    """Speaks V6; see `Agora` for what the methods promise."""

    def __init__(self, send: Send) -> None:
        self._send = send

    @property
    def dialect(self) -> Dialect:
        """V6."""
        return Dialect.V6

    async def acquire(self, account: Account, instance_id: str) -> SecretStr:
        """Get a builderToken."""
        body = {"instanceId": instance_id}
        call = Call(Dialect.V6, "acquire", account, "POST", _path(account, "builderTokens"), body=body)
        document = read_json(await self._send(call))
        token = document.get("tokenName") if isinstance(document, dict) else None
        if not isinstance(token, str) or not 0 < len(token) <= _MAX_TOKEN:
            raise Upstream("acquire", code=SUCCESS, text="the answer holds no builderToken")
        return SecretStr(token)

    async def start(self, account: Account, request: StartRequest, builder_token: SecretStr | None) -> Observation:
        """Start with a builderToken."""
        token = _present("start", builder_token)
        call = Call(
            Dialect.V6,
            "start",
            account,
            "POST",
            _path(account, "tasks"),
            query=query(builderToken=token.get_secret_value()),
            body=start_body(request),
            secrets=(token, *secrets_of(request)),
        )
        return observation(call, await self._send(call))

    async def query(self, account: Account, handle: Handle) -> Observation:
        """Read one task."""
        token = _present("query", handle.builder_token)
        call = Call(
            Dialect.V6,
            "query",
            account,
            "GET",
            _path(account, "tasks", handle.task_id),
            query=query(builderToken=token.get_secret_value()),
            secrets=(token,),
        )
        return observation(call, await self._send(call), task_id=handle.task_id)

    async def update(self, account: Account, handle: Handle, update: Update) -> Observation:
        """Replace the masked fields."""
        token = _present("update", handle.builder_token)
        call = Call(
            Dialect.V6,
            "update",
            account,
            "PATCH",
            _path(account, "tasks", handle.task_id),
            query=update_query(token, update),
            body=update_body(update),
            secrets=(token,),
        )
        return observation(call, await self._send(call), task_id=handle.task_id)

    async def stop(self, account: Account, handle: Handle) -> None:
        """Delete the task."""
        token = _present("stop", handle.builder_token)
        call = Call(
            Dialect.V6,
            "stop",
            account,
            "DELETE",
            _path(account, "tasks", handle.task_id),
            query=query(builderToken=token.get_secret_value()),
            secrets=(token,),
        )
        check_stopped(await self._send(call))

    async def list_live(
        self,
        account: Account,  # noqa: ARG002 - the Protocol's
        channel: str | None,  # noqa: ARG002
        since: datetime,  # noqa: ARG002
        more: More = at_once,  # noqa: ARG002
    ) -> Sequence[ListedTask]:
        """Refuse: V6 has no list."""
        raise NotSupported("list", text="the V6 dialect cannot list tasks")

    async def list_running(self, account: Account, since: datetime, more: More = at_once) -> Sequence[ListedTask]:  # noqa: ARG002 - the Protocol's
        """Refuse: V6 has no list."""
        raise NotSupported("list", text="the V6 dialect cannot list tasks")


def start_body(request: StartRequest) -> dict[str, object]:
    """The StartRequest ("Start" page).

    Raises:
        RequestRefused: The request asks for what V6 does not have, or lacks the second bot that it requires. Nothing
            is sent: left out silently, the one would be missed and the other refused.
    """
    storage = request.captions.storage
    complaint = ""
    if request.subscriber_uid is None:
        complaint = "V6 needs subBotUid, a second bot that listens"
    elif request.keywords:
        complaint = "V6 has no keywords"
    elif storage is not None and storage.endpoint is not None:
        complaint = "V6 stores captions with no S3-compatible endpoint"
    if complaint:
        raise RequestRefused("start", text=complaint)
    return common_body(request)


def update_query(builder_token: SecretStr, update: Update) -> str:
    """The query string of an update."""
    return query(
        builderToken=builder_token.get_secret_value(),
        sequenceId=update.sequence_id,
        updateMask=update_mask(update),
    )


def _path(account: Account, *segments: str) -> str:
    return "/v1/projects" + path(account.app_id, "rtsc", "speech-to-text", *segments)


def _present(operation: Operation, builder_token: SecretStr | None) -> SecretStr:
    """The token, without which V6 can do nothing with a task."""
    if builder_token is None:
        raise TokenRefused(operation, text="V6 needs the builderToken")
    return builder_token
