"""Start, stop and query of a channel's transcription: what the gateway does with TranscriptionTasks.

Nothing is kept in memory. The object's name follows from the channel, so whoever comes next, this process or another,
finds what an earlier call has made: the API server sees to it that there is one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from agora_transcription.gateway import passes, tasks
from agora_transcription.gateway.answers import Refusal
from agora_transcription.gateway.passes import Pass
from agora_transcription.gateway.tasks import ChannelTask, Stage
from agora_transcription.kube.replies import Body, NotFound, Outdated, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.gateway.bodies import TaskRequest
    from agora_transcription.gateway.files import Files
    from agora_transcription.gateway.store import TaskStore
    from agora_transcription.settings import GatewaySettings

__all__ = ["Started", "State", "Transcriptions", "longest_call"]

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks at an object, each pause twice the one before."""

TAKE_BACK_SECONDS: Final = 5.0
"""How long it is tried to delete what a failed start has made."""

UNCLEAR: Final = {409, 429}
"""Answers of the API server below 500 after which the same may well succeed."""

logger = logging.getLogger(__name__)


def longest_call(settings: GatewaySettings) -> float:
    """Seconds that a call may take until it is answered."""
    return max(settings.start_timeout + TAKE_BACK_SECONDS, settings.stop_timeout)


@dataclass(frozen=True, slots=True)
class Started:
    """What a start is answered with."""

    task_id: str
    builder_token: str


@dataclass(frozen=True, slots=True)
class State:
    """What a query is answered with.

    Attributes:
        task_id: As it was asked for.
        created: Unix seconds.
        status: A word of Agora's V6: PREPARING, IN_PROGRESS or STOPPING.
    """

    task_id: str
    created: int
    status: str


class Transcriptions:
    """The transcriptions of one namespace."""

    def __init__(self, store: TaskStore, files: Files, settings: GatewaySettings) -> None:
        self._store = store
        self._files = files
        self._settings = settings

    async def start(self, channel: str) -> Started:
        """Have a channel transcribed, and answer as soon as Agora's task has an id.

        A channel that is transcribed already is answered with the ids that it has.

        Raises:
            Refusal: 502 if it cannot be, 504 if it takes too long. What this call has made is deleted again.
        """
        keys = self._files.signing_keys()
        call = secrets.token_hex(16)
        attempt = _Attempt(channel, tasks.name_of(channel), tasks.manifest(channel, self._settings, call), call)
        try:
            task = await self._started(attempt)
        except Refusal:
            running = await self._take_back(attempt)
            if running is None:
                raise
            task = running
        metadata, task_id = task.metadata, str(task.status.task_id)
        granted = Pass(metadata.namespace, metadata.name, metadata.uid, task_id)
        return Started(task_id, passes.sign(granted, keys[0]))

    async def stop(self, request: TaskRequest) -> None:
        """Stop what a start was answered for, and return once Agora has stopped it; what is over stays over.

        Raises:
            Refusal: 403 for a token that no start was answered with, or one of another task; 502; 504 if it takes too
                long. It is stopped all the same then.
        """
        granted = self._granted(request)
        limit = self._settings.stop_timeout
        try:
            async with asyncio.timeout(limit):
                for pause in _pauses():
                    if await self._is_gone(granted):
                        return
                    await asyncio.sleep(pause)
        except TimeoutError:
            raise Refusal(504, f"the transcription is being stopped, and has not ended in {limit:g} s") from None

    async def query(self, request: TaskRequest) -> State:
        """Say how a transcription is.

        Raises:
            Refusal: 403 as for a stop; 404 if it has ended; 502.
        """
        granted = self._granted(request)
        try:
            task = await self._find(granted.name)
        except StoreError as error:
            raise _unanswered(error) from error
        stage = tasks.stage_of(task) if task is not None and task.metadata.uid == granted.uid else Stage.OVER
        words = {Stage.STARTING: "PREPARING", Stage.RUNNING: "IN_PROGRESS", Stage.ENDING: "STOPPING"}
        if task is None or stage not in words or task.spec.suspend:
            raise Refusal(404, "the transcription has ended")
        created = task.status.first_start_time or task.metadata.creation_timestamp
        return State(granted.task_id, int(created.timestamp()), words[stage])

    # Start -----------------------------------------------------------------------------------------------------------

    async def _started(self, attempt: _Attempt) -> ChannelTask:
        limit = self._settings.start_timeout
        try:
            async with asyncio.timeout(limit):
                for pause in _pauses():
                    if task := await self._step(attempt):
                        return task
                    await asyncio.sleep(pause)
        except TimeoutError:
            if attempt.reason == tasks.UNSEEN:
                namespace = self._settings.namespace
                logger.warning("No operator has taken up %s/%s: does one watch %s?", namespace, attempt.name, namespace)
        raise Refusal(504, f"the transcription has not started in {limit:g} s: {attempt.reason}")

    async def _step(self, attempt: _Attempt) -> ChannelTask | None:
        """Look at the object, do what follows, and answer it once its task runs."""
        try:
            task = await self._find(attempt.name) or _read(await self._store.create(attempt.manifest))
            return task if await self._is_running(task, attempt) else None
        except (NotFound, Outdated):
            return None  # somebody else was faster: the next look shows with what
        except StoreError as error:
            if _is_final(error):
                raise _unanswered(error) from error
            logger.warning("Tries again: %s", error)
            attempt.reason = "the cluster does not answer"
            return None

    async def _is_running(self, task: ChannelTask, attempt: _Attempt) -> bool:
        if not task.is_for(attempt.channel):
            logger.error("%s is not the gateway's, and has the name of one of its channels: delete it", task.key)
            raise Refusal(502, "the transcription cannot be started: another object has its name")
        stage = tasks.stage_of(task)
        attempt.reason = tasks.reason_of(task)
        if stage is Stage.RUNNING:
            return True
        earlier = task.metadata.uid not in attempt.waited_for
        if stage is Stage.OVER or (stage is Stage.FAILED and earlier and not task.is_made_by(attempt.call)):
            # Of an earlier start, which did not live to delete it. Only as it was read: it may be mended just now.
            await self._store.delete(task, unchanged=True)
        elif stage is Stage.FAILED:
            logger.warning("%s does not start: %s", task.key, attempt.reason)
            raise Refusal(502, f"the transcription cannot be started: {attempt.reason}")
        elif stage is Stage.STARTING:
            attempt.waited_for.add(task.metadata.uid)
        return False

    async def _take_back(self, attempt: _Attempt) -> ChannelTask | None:
        """Delete what a start has made that is given up, unless its task runs by now: then answer it."""
        try:
            async with asyncio.timeout(TAKE_BACK_SECONDS):
                for pause in _pauses():
                    try:
                        task = await self._find(attempt.name)
                        if task is None or task.deleting or not task.is_made_by(attempt.call):
                            return None
                        if tasks.stage_of(task) is Stage.RUNNING:
                            return task
                        # Only as it was read, without a task: another call may be answered with the next version.
                        await self._store.delete(task, unchanged=True)
                    except StoreError as error:
                        if _is_final(error):
                            return None
                        logger.info("Tries again to delete it: %s", error)
                    await asyncio.sleep(pause)
        except TimeoutError:
            logger.warning("%s is left, without a task: the next start of its channel finds it", attempt.name)
        return None

    # Stop ------------------------------------------------------------------------------------------------------------

    async def _is_gone(self, granted: Pass) -> bool:
        """Look at the object, and have it deleted if nobody has yet."""
        try:
            task = await self._find(granted.name)
            if task is None or task.metadata.uid != granted.uid:
                return True
            if not task.deleting:
                await self._store.delete(task, unchanged=False)
        except (NotFound, Outdated):
            return False  # the next look shows why
        except StoreError as error:
            raise _unanswered(error) from error
        return False

    def _granted(self, request: TaskRequest) -> Pass:
        granted = passes.read(request.builder_token, self._files.signing_keys())
        if granted is None or (granted.namespace, granted.task_id) != (self._settings.namespace, request.task_id):
            raise Refusal(403, "taskId and builderToken do not belong together, or are of no start here")
        return granted

    async def _find(self, name: str) -> ChannelTask | None:
        """The object; None where there is none."""
        try:
            return _read(await self._store.get(name))
        except NotFound:
            return None


@dataclass(slots=True)
class _Attempt:
    """One start: what it would create, and what it has seen.

    Attributes:
        channel: The channel to transcribe.
        name: The object's.
        manifest: The object.
        call: Stands in the object that this start has made.
        reason: Why there is no task yet.
        waited_for: Objects that have failed under this start's eyes, if they fail; others had failed before.
    """

    channel: str
    name: str
    manifest: Body
    call: str
    reason: str = "Pending"
    waited_for: set[str] = field(default_factory=set)


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _read(body: Body) -> ChannelTask:
    try:
        return ChannelTask.model_validate(body)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        logger.error("%s cannot be read: %s", body["metadata"]["name"], fields)  # noqa: TRY400 - values are no one's business
        raise Refusal(502, "the transcription's object cannot be read") from None


def _is_final(error: StoreError) -> bool:
    """Whether the API server would say the same again."""
    return error.code is not None and error.code < 500 and error.code not in UNCLEAR  # noqa: PLR2004 - a client's fault


def _unanswered(error: StoreError) -> Refusal:
    logger.error("The API server: %s", error)
    return Refusal(502, "the cluster does not answer, or refuses")
