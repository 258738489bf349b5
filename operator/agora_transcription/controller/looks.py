"""Looking for a task among those of Agora, and what it takes to believe that it is not there.

A new task is not known everywhere at once, and who believes too soon that it has gone starts a second one beside it, or
leaves it running.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agora_transcription import agora
from agora_transcription.controller import transitions
from agora_transcription.controller.clock import steady_clock
from agora_transcription.controller.memory import now

if TYPE_CHECKING:
    from datetime import datetime

    from agora_transcription.api import TaskStatus, TranscriptionTask
    from agora_transcription.controller.cache import TaskCache
    from agora_transcription.controller.memory import Memory

__all__ = ["LONGEST_LOOK_BACK", "LOOK_BACK", "SETTLE_TIME", "Access", "confirm_gone", "doubt_of_new", "find_task"]

LOOK_BACK: Final = timedelta(seconds=60)
"""How much older than its attempt a listed task may seem: the clocks of Agora and of the cluster differ."""

LONGEST_LOOK_BACK: Final = timedelta(days=30)
"""How old a task of any object may seem: ten times the lifetime, so that a clock may be weeks off."""

NEWS_TIME: Final = 10.0
"""Seconds for which a task is known here before "not found" counts: until then Agora may not know it everywhere.

How soon a new task can be queried and stopped is not documented, and to believe it gone would start a second one, or
leave it running.
"""

SETTLE_TIME: Final = 120.0
"""Seconds for which a task is known here, or a conflict goes on, before its absence from Agora's list counts.

How soon a new task is listed is not documented either.
"""


@dataclass(frozen=True, slots=True)
class Access:
    """How a step reaches Agora.

    Attributes:
        api: The dialect.
        account: Whose calls they are.
        more: Awaited before each further call that the step takes.
    """

    api: agora.Agora
    account: agora.Account
    more: agora.More

    def lifetime(self) -> timedelta:
        """How long a task that is started so can last."""
        return transitions.lifetime(self.api.dialect, certified=self.account.app_certificate is not None)


async def find_task(task: TranscriptionTask, memory: Memory, access: Access, cache: TaskCache) -> TaskStatus | None:
    """Find the task that a conflict did not name.

    Rows of Agora's list carry no name: the task is known only if exactly one of its channel is nobody else's. One
    that seems older than the attempt is somebody else's, or a clock is wrong; one that is being stopped was that of
    an object that has gone. It is not adopted, and as long as it lives no other is started.
    """
    api, begun = access.api, task.metadata.creation_timestamp
    if transitions.attempt_of(task.status) and task.status.attempt_time:
        # Only the first attempt can have been sent before the status announced it.
        begun = task.status.attempt_time
    rows = await api.list_live(access.account, task.spec.channel, _earliest(task), access.more)
    others = cache.known_task_ids(but=task.metadata.uid)
    unknown = [row for row in rows if row.task_id not in others]
    found = [row.task_id for row in unknown if _is_of_attempt(row, begun)]
    if len(found) == 1 and not cache.unclear_in_channel(task):
        memory.conflict_since = None
        memory.poll_at = now()
        return transitions.adopted(task, api.dialect, found[0], access.lifetime(), now())
    since = steady_clock() if memory.conflict_since is None else memory.conflict_since
    if not unknown and steady_clock() - since > SETTLE_TIME:
        # The name is taken and nothing runs under it: the attempt has been and gone.
        memory.next_attempt(unsent=True)
        return transitions.skipped(task)
    text = "none of the channel's tasks is listed yet"
    if unknown:
        text = f"{len(found)} listed tasks of channel {task.spec.channel} may be it, {len(unknown)} are nobody's"
    raise agora.Conflict("list", code=200, text=text)


def doubt_of_new(error: agora.Gone, known_for: float) -> None:
    """Raise the error again for a task that is too new for it to count."""
    if known_for < (NEWS_TIME if error.confirmed else SETTLE_TIME):
        raise error


async def confirm_gone(
    task: TranscriptionTask, handle: agora.Handle, error: agora.Gone, access: Access, known_for: float
) -> None:
    """Make sure that a task is gone.

    One that is new may not be known everywhere yet, and not be listed for longer; a bare 404 may come from a proxy. To
    believe it would start a second task, or leave this one running.

    Args:
        task: The object.
        handle: The Agora task.
        error: What Agora has answered.
        access: How to ask for its list.
        known_for: Seconds for which this process has known the Agora task.

    Raises:
        AgoraError: When it may still run: it is too new, or Agora's list does not show that it has ended.
    """
    doubt_of_new(error, known_for)
    if error.confirmed:
        return
    await access.more()
    try:
        rows = await access.api.list_live(access.account, task.spec.channel, _earliest(task), access.more)
    except agora.NotSupported:
        text = f"{error.text}: this does not say that it is the task that is not known"
        raise agora.Upstream(error.operation, code=error.code, reason=error.reason, text=text) from error
    if handle.task_id in {row.task_id for row in rows}:
        raise agora.Upstream(error.operation, code=error.code, text="the task is not found, and listed") from error


def _is_of_attempt(row: agora.ListedTask, begun: datetime) -> bool:
    """Whether a listed task can be that of an attempt that began then."""
    is_stopping = agora.state_of(agora.Dialect.V7, row.status) is agora.State.STOPPING
    return not is_stopping and (row.started is None or row.started >= begun - LOOK_BACK)


def _earliest(task: TranscriptionTask) -> datetime:
    """Since when the tasks of an object that still live can have been started, however far off the clocks are."""
    return max(task.metadata.creation_timestamp - transitions.TASK_LIFETIME, now() - LONGEST_LOOK_BACK)
