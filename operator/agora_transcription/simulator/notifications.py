"""Agora's notifications of V7 tasks: joined (101), left (102), token about to expire (104); signed, sent, sent again.

Nothing of the operator's reader is used here. As at Agora each is sent up to four times until somebody answers 200,
and nobody promises an order.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from agora_transcription.simulator.tasks import Moment

if TYPE_CHECKING:
    from agora_transcription.simulator.options import Notifications
    from agora_transcription.simulator.tasks import Task
    from agora_transcription.simulator.world import World

__all__ = ["Notice", "deliver", "notice_of"]

PRODUCT: Final = 20
"""Agora's number of real-time speech-to-text."""

ANSWER_SECONDS: Final = 10
RETRY_SECONDS: Final = (1.0, 2.0, 4.0)
"""Pauses before each further try; Agora says three of growing length, and not how long."""

TICK_SECONDS: Final = 0.05
"""How often it is looked for what has come due."""

EVENTS: Final = {Moment.RUNNING: 101, Moment.ENDED: 102, Moment.TOKEN_EXPIRES: 104}


@dataclass(slots=True)
class Notice:
    """A notification.

    Attributes:
        body: What is sent.
        codes: The answer to each delivery so far; None for none.
    """

    body: dict[str, Any]
    codes: list[int | None] = field(default_factory=list)


def notice_of(moment: Moment, task: Task, sent: float) -> Notice:
    """Write a notification, with times as Agora's examples have them.

    Args:
        moment: What has happened.
        task: To which task.
        sent: Unix seconds: the sender's clock, which nobody advances.
    """
    payload: dict[str, Any] = {"agent_id": task.id, "start_ts": int(task.started_at), "channel": task.channel}
    if moment is Moment.ENDED:
        payload |= {"stop_ts": int(task.ended_at or 0), "status": task.state.name, "message": task.message}
    elif moment is Moment.TOKEN_EXPIRES:
        payload |= {"name": task.name, "message": "token will expire!"}
    return Notice(
        {
            "sid": task.id,
            "noticeId": str(uuid.uuid4()),
            "productId": PRODUCT,
            "eventType": EVENTS[moment],
            "notifyMs": int(sent * 1000),
            "payload": payload,
        }
    )


async def deliver(world: World) -> None:
    """Bring about what is due while somebody wants to be told, and send each notification, until cancelled."""
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as http, asyncio.TaskGroup() as group:
        while True:
            if (wanted := world.options.notifications) is not None:
                world.now()
                notices, world.unsent = world.unsent, []
                for notice in notices * (2 if wanted.duplicates else 1):
                    group.create_task(_send(http, wanted, notice))
            await asyncio.sleep(TICK_SECONDS)


async def _send(http: httpx.AsyncClient, wanted: Notifications, notice: Notice) -> None:
    body = json.dumps(notice.body).encode()
    key = wanted.secret.get_secret_value().encode()
    headers = {
        "Content-Type": "application/json",
        "Agora-Signature": hmac.new(key, body, hashlib.sha1).hexdigest(),
        "Agora-Signature-V2": hmac.new(key, body, hashlib.sha256).hexdigest(),
    }
    await asyncio.sleep(random.uniform(0, wanted.jitter))  # noqa: S311 - no secret
    for pause in (*RETRY_SECONDS, None):
        try:
            code: int | None = (await http.post(wanted.url, content=body, headers=headers)).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            code = None
        notice.codes.append(code)
        if code == httpx.codes.OK or pause is None:
            return
        await asyncio.sleep(pause)
