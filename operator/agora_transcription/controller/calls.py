"""Carrying out the steps that call Agora: one call, and what it changes in the memory and in the status.

Each function makes its call and answers the status that the object should have now, or None where nothing is to be
written. Errors that mean something for the step are handled here; the others rise to the reconciler.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agora_transcription import agora
from agora_transcription.controller import transitions
from agora_transcription.controller.clock import steady_clock
from agora_transcription.controller.looks import Access, confirm_gone, doubt_of_new, find_task
from agora_transcription.controller.memory import now
from agora_transcription.controller.steps import Acquire, Call, Look, Query, Start, Stop, UpdateTask
from agora_transcription.controller.translate import Credentials, account_hash, instance_name, start_request

if TYPE_CHECKING:
    from agora_transcription.api import TaskStatus, TranscriptionTask
    from agora_transcription.controller.cache import TaskCache
    from agora_transcription.controller.memory import Memory

__all__ = ["Caller", "priority_of"]


def priority_of(step: Call) -> agora.Priority:
    """Who goes first at Agora: what is billed begins or ends, then what a user waits for, then a look."""
    match step:
        case UpdateTask():
            return agora.Priority.UPDATE
        case Query():
            return agora.Priority.POLL
        case _:
            return agora.Priority.START_STOP


class Caller:
    """Makes the calls of steps."""

    def __init__(
        self, client: agora.AgoraClient, cache: TaskCache, poll_interval: float, tokens: agora.TokenVersion
    ) -> None:
        """Prepare.

        Args:
            client: Agora.
            cache: The other objects, whose tasks are not to be adopted.
            poll_interval: Seconds between two looks at a running task.
            tokens: The version of the bots' RTC tokens.
        """
        self._tokens = tokens
        self._client = client
        self._cache = cache
        self._interval = poll_interval

    async def perform(
        self,
        task: TranscriptionTask,
        memory: Memory,
        step: Call,
        credentials: Credentials,
        more: agora.More = agora.at_once,
    ) -> TaskStatus | None:
        """Make the call of a step.

        Args:
            task: The object.
            memory: Its memory.
            step: What is to be done.
            credentials: The content of its Secrets.
            more: Awaited before each further call that the step takes.

        Returns:
            The status that the object should have now; None if it stays.

        Raises:
            AgoraError: When the call failed in a way that is no outcome of its own.
        """
        access = self.access(step.dialect, credentials.account, more)
        status = await self._outcome(task, memory, step, access, credentials)
        if status is not None and status.task_id and status.task_id != task.status.task_id:
            status = status.model_copy(update={"account_hash": account_hash(credentials.account)})
        return status

    def access(self, dialect: agora.Dialect, account: agora.Account, more: agora.More) -> Access:
        """How calls of an account reach Agora; `more` is awaited before each but the first."""
        return Access(self._client.dialect(dialect), account, more)

    async def _outcome(
        self, task: TranscriptionTask, memory: Memory, step: Call, access: Access, credentials: Credentials
    ) -> TaskStatus | None:
        api, account = access.api, access.account
        match step:
            case Acquire():
                return await self._acquire(task, memory, step, api, account)
            case Start():
                return await self._start(task, memory, step, access, credentials)
            case Look():
                return await find_task(task, memory, access, self._cache)
            case Query():
                await self._query(task, memory, step, access)
                return None
            case UpdateTask():
                return await self._update(task, memory, step, api, account)
            case Stop():
                return await self._stop(task, memory, step, access)

    async def _acquire(
        self, task: TranscriptionTask, memory: Memory, step: Acquire, api: agora.Agora, account: agora.Account
    ) -> TaskStatus | None:
        token = await api.acquire(account, instance_name(task.metadata.uid, step.attempt))
        memory.unsent = True
        return transitions.acquired(task, token.get_secret_value(), account_hash(account), now()) if token else None

    async def _start(
        self, task: TranscriptionTask, memory: Memory, step: Start, access: Access, credentials: Credentials
    ) -> TaskStatus | None:
        mint = partial(agora.mint_rtc_token, credentials.account, task.spec.channel, version=self._tokens, now=now())
        request = start_request(
            task.spec, credentials, uid=task.metadata.uid, attempt=step.attempt, dialect=step.dialect, mint=mint
        )
        was_unsent, memory.unsent = memory.unsent, False
        try:
            observation = await access.api.start(
                credentials.account, request, transitions.builder_token_of(task.status)
            )
        except agora.Conflict as conflict:
            if conflict.task_id is None or conflict.task_id in self._cache.known_task_ids(but=task.metadata.uid):
                # A name or token has one task, so an id that is another object's has not been understood.
                return _unnamed(task, memory, step, conflict)
            memory.poll_at = now()
            return transitions.adopted(task, step.dialect, conflict.task_id, access.lifetime(), now())
        except agora.TokenRefused as error:
            if not was_unsent:
                # A start with this token may have been taken before it expired, and nothing tells its task.
                unclear = agora.Conflict("start", code=error.code, reason=error.reason, text=error.text)
                return _unnamed(task, memory, step, unclear)
            memory.token_refused(task, error)
            return transitions.without_token(task)
        except (agora.Refused, agora.NotSent, agora.NotSupported):
            # A refusal starts nothing; what an earlier try may have started it leaves open.
            memory.unsent = was_unsent
            raise
        memory.see(observation, self._interval)
        return transitions.started(task, step.dialect, observation, access.lifetime(), now())

    async def _query(self, task: TranscriptionTask, memory: Memory, step: Query, access: Access) -> None:
        try:
            observation = await access.api.query(access.account, step.handle)
        except agora.Gone as error:
            await confirm_gone(task, step.handle, error, access, memory.known_for(step.handle.task_id))
            memory.gone = True
            return
        except agora.TokenRefused:
            expiry = task.status.expiry_time
            if expiry is None or now() < expiry:
                raise
            # A V6 task ends with its builderToken.
            memory.gone = True
            return
        memory.see(observation, self._interval)

    async def _update(
        self, task: TranscriptionTask, memory: Memory, step: UpdateTask, api: agora.Agora, account: agora.Account
    ) -> TaskStatus | None:
        memory.reserved = None
        try:
            observation = await api.update(account, step.handle, step.update)
        except agora.Gone:
            memory.poll_at = now()
            raise
        finally:
            memory.last_sent = now()
        return transitions.updated(task, observation, now())

    async def halt(self, task: TranscriptionTask, handle: agora.Handle, known_for: float, access: Access) -> bool:
        """Stop a task that is not, or not any more, the current one of an object.

        Args:
            task: The object, as it was last known.
            handle: The Agora task.
            known_for: Seconds for which this process has known the Agora task.
            access: How to reach it.

        Returns:
            Whether it was stopped now; False if it had ended before.

        Raises:
            AgoraError: When it may still run.
        """
        try:
            await access.api.stop(access.account, handle)
        except agora.Gone as error:
            await confirm_gone(task, handle, error, access, known_for)
        except (agora.Busy, agora.RequestRefused):
            # Perhaps because it has ended: a query tells.
            await access.more()
            try:
                ended = (await access.api.query(access.account, handle)).state.ended
            except agora.Gone as error:
                await confirm_gone(task, handle, error, access, known_for)
            else:
                if not ended:
                    raise
        else:
            return True
        return False

    async def _stop(self, task: TranscriptionTask, memory: Memory, step: Stop, access: Access) -> TaskStatus | None:
        known_for = memory.known_for(step.handle.task_id)
        if step.retiring:
            try:
                await self.halt(task, step.handle, known_for, access)
            except agora.TokenRefused:
                started = task.status.retiring.start_time if task.status.retiring else None
                if started is None or now() < started + transitions.TOKEN_LIFETIME:
                    raise
                # A V6 task ends with its builderToken.
            return transitions.retired_earlier(task, now())
        try:
            await access.api.stop(access.account, step.handle)
        except agora.Gone as error:
            if task.deleting:
                await confirm_gone(task, step.handle, error, access, known_for)
            else:
                doubt_of_new(error, known_for)
            # This may also mean that an earlier stop is still under way (V6's code 49): a query tells.
        if task.deleting:
            memory.gone = True
            return None
        memory.observation = None
        memory.looks = 0
        memory.look_soon(self._interval)
        return transitions.stop_accepted(task, step.reason, now())


def _unnamed(task: TranscriptionTask, memory: Memory, step: Start, conflict: agora.Conflict) -> TaskStatus | None:
    """Go on from a conflict that names no task: V7 can be asked for its tasks, V6 cannot.

    Raises:
        Conflict: The task may still run, and only time can tell; none of V6 outlives its builderToken.
    """
    if memory.conflict_since is None:
        memory.conflict_since = steady_clock()
    if step.dialect is agora.Dialect.V7:
        return None
    if now() - (task.status.attempt_time or now()) <= transitions.TOKEN_LIFETIME:
        raise conflict
    memory.next_attempt(unsent=True)
    return transitions.skipped(task)
