"""One reconciliation: read the credentials, ask the plan, do the one step, write the status."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from agora_transcription import agora
from agora_transcription.controller.memory import Memory, now
from agora_transcription.controller.notifications import Event
from agora_transcription.controller.plan import decide
from agora_transcription.controller.steps import (
    AddFinalizer,
    Call,
    DeleteObject,
    Idle,
    Nothing,
    RemoveFinalizer,
    Step,
    Trouble,
    Write,
)
from agora_transcription.controller.store import NotFound, Outdated, Store, StoreError
from agora_transcription.controller.strays import Strays
from agora_transcription.controller.troubles import backoff, trouble_of
from agora_transcription.controller.turns import Turns
from agora_transcription.controller.writer import Writer
from agora_transcription.telemetry.logs import ObjectLogger

if TYPE_CHECKING:
    from agora_transcription.api import TranscriptionTask
    from agora_transcription.controller.cache import TaskCache
    from agora_transcription.controller.calls import Caller
    from agora_transcription.controller.credentials import CredentialStore
    from agora_transcription.controller.events import EventPoster
    from agora_transcription.controller.notifications import Notification
    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.translate import Credentials
    from agora_transcription.telemetry.metrics import Metrics

__all__ = ["Reconciler", "Services"]

LOGGED: Final = {"start", "update", "stop", "retire"}
"""What changes something at Agora has a line in the log; looks have none."""

UNTOUCHED: Final = (agora.CircuitOpen, agora.CredentialsRefused, agora.Throttled)
"""What certainly left a task as it was: no look is needed, which would wait for the account as well."""

NOT_PERMITTED_RETRY: Final = timedelta(seconds=1)
"""The process is about to end; it does nothing but wait for that."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What a reconciliation works with.

    Attributes:
        store: Kubernetes.
        cache: The newest version of every object.
        credentials: The Secrets.
        budgets: Who may call Agora when.
        caller: The calls.
        events: Kubernetes events.
        metrics: Prometheus.
    """

    store: Store
    cache: TaskCache
    credentials: CredentialStore
    budgets: agora.Budgets
    caller: Caller
    events: EventPoster
    metrics: Metrics


class Reconciler:
    """Brings tasks and Agora together, one step at a time."""

    def __init__(self, services: Services, *, default: agora.Dialect, workers: int, poll_interval: float) -> None:
        """Prepare.

        Args:
            services: What it works with.
            default: The API for objects that name none.
            workers: How many objects may be acted on at the same time.
            poll_interval: Seconds between two looks at a running task; the first ones after a start are spread over it.
        """
        self.services = services
        self._default = default
        self._writer = Writer(services.store, services.cache, services.events, services.metrics)
        self._turns = Turns(services.budgets, services.metrics, workers)
        self._interval = poll_interval
        self._began = now()
        self._memories: dict[str, Memory] = {}
        self.strays = Strays(services, self.recall, default=default)
        self._queue: WorkQueue[str] | None = None

    def attach(self, queue: WorkQueue[str]) -> None:
        """Name the queue that calls `reconcile`, for later times."""
        self._queue = queue

    @property
    def queue(self) -> WorkQueue[str]:
        """The queue that calls `reconcile`."""
        if self._queue is None:
            raise RuntimeError("the reconciler has no queue yet")
        return self._queue

    def begin(self) -> None:
        """From now on this process acts; until now another may have."""
        self._began = now()

    def recall(self, uid: str) -> Memory | None:
        """What is remembered of an object; None before it was worked on."""
        return self._memories.get(uid)

    def created(self, uid: str) -> None:
        """An object came into being under this process's eyes: nobody can have started anything for it."""
        self._memory(uid).unsent = True

    def notified(self, uid: str, notification: Notification) -> None:
        """Agora has notified something about an object's task: it is looked at soon, and only that counts."""
        if notification.event == Event.JOINED and self._is_running(uid):
            return  # no news
        self._memory(uid).hear(notification.farewell)
        self.queue.add(uid)

    def gone(self, uid: str, version: str | None = None) -> None:
        """An object does not exist any more; its last resourceVersion, where it is known."""
        task = self.services.cache.drop(uid, version)
        memory = self._memories.pop(uid, None)
        if task is not None:
            self.strays.take(task, memory)
        self.services.credentials.forget(uid)
        self.queue.forget(uid)

    async def reconcile(self, uid: str) -> None:
        """Take the next step for an object."""
        task = self.services.cache.get(uid)
        if task is None:
            self.gone(uid)  # nothing else may tell, if the removal of the finalizer was its end
            return
        metrics, begun, result = self.services.metrics, time.monotonic(), "error"
        log = ObjectLogger(logger, task.metadata.namespace, task.metadata.name, uid)
        memory = self._memory(uid)
        try:
            result = await self._step_on_newest(task, memory, log)
            memory.failures.pop("kubernetes", None)
        except NotFound:
            self.gone(uid)
            result = "success"
        except StoreError as error:
            failures = memory.failures["kubernetes"] = memory.failures.get("kubernetes", 0) + 1
            self._again_in(uid, backoff(failures, random.random()))  # noqa: S311 - no secret
            log.warning("Kubernetes: %s; next try in a moment", error)
        finally:
            if memory.unrecorded is not None and self._memories.get(uid) is not memory:
                # The object went while a call was out: what came of it stands only in this memory.
                self.strays.take(task, memory)
            metrics.observe_reconcile(result, time.monotonic() - begun)

    async def _step_on_newest(self, task: TranscriptionTask, memory: Memory, log: ObjectLogger) -> str:
        try:
            return await self._step(task, memory, log)
        except Outdated:
            # Somebody changed the object meanwhile. The watch will tell too; asking is sooner and cannot be missed.
            await self._writer.refresh(task)
            self.queue.add(task.metadata.uid)
            return "requeue"
        except NotFound as error:
            # Its status can be missing alone, where somebody has applied another CRD; then the object is not gone.
            await self._writer.refresh(task)
            raise StoreError(f"write {task.key}", error.code, "not found, though it can be read") from error

    async def _step(self, task: TranscriptionTask, memory: Memory, log: ObjectLogger) -> str:
        """Decide on and take one step; answers its result for the metrics."""
        if memory.unrecorded is not None:
            await self._writer.outcome(*memory.unrecorded, memory)
            self.queue.add(task.metadata.uid)
            return "requeue"
        status = task.status
        started = bool(status.task_id or status.retiring or (status.instance_id and not memory.unsent))
        credentials, problem = await self.services.credentials.resolve(task, started=started)
        newest = self.services.cache.get(task.metadata.uid)
        if newest is None:
            self.services.credentials.forget(task.metadata.uid)
        if self.queue.closed or newest is not task:
            return "requeue"  # it changed while its Secrets were read, which has made its key dirty; or this is the end
        memory.notice(task, credentials)
        step = decide(task, memory.known(credentials, problem), self._default, now())
        if isinstance(step, Call):
            if credentials is None:
                raise RuntimeError(f"{task.key}: {step.operation} was decided on without credentials")
            return await self._call(task, memory, step, credentials, log)
        blocked = problem is not None or any(trouble.lasting for trouble in memory.trouble.values())
        return await self._act(task, memory, step, log, blocked=blocked)

    async def _act(
        self, task: TranscriptionTask, memory: Memory, step: Step, log: ObjectLogger, *, blocked: bool
    ) -> str:
        """Take a step that only concerns Kubernetes."""
        services, uid = self.services, task.metadata.uid
        match step:
            case Nothing():
                if task.deleting and not memory.released:
                    self.strays.take(task, memory)
                    memory.released = True
                return "success"
            case Idle(until):
                (services.credentials.wait_for_change if blocked else services.credentials.settle)(task)
                if until is None:
                    return "success"
                self._again_in(uid, (until - now()).total_seconds())
                return "requeue_after"
            case Write(status):
                await self._writer.status(task, status, memory)
            case AddFinalizer():
                await self._writer.guard(task, memory)
            case RemoveFinalizer(abandoned):
                await self._writer.release(task, memory, abandoned, log)
            case DeleteObject():
                await self._writer.delete(task)
                return "success"
        self.queue.add(uid)
        return "requeue"

    async def _call(
        self, task: TranscriptionTask, memory: Memory, step: Call, credentials: Credentials, log: ObjectLogger
    ) -> str:
        """Take a step that calls Agora, once the account's budget and the number of workers allow it."""
        uid, services = task.metadata.uid, self.services
        self.queue.add(uid)
        try:
            if not await self._turns.first(task, step, credentials.account, self.queue):
                return "requeue"
        except (agora.CircuitOpen, agora.Throttled) as error:
            self._trouble(task, memory, step, error)
            return "requeue"
        async with self._turns.worker(uid, self.queue):
            if services.cache.get(uid) is task:
                return await self._perform(task, memory, step, credentials, log)
            # It has changed while this waited, and the call may be wrong by now.
            services.budgets.report(credentials.account, agora.NotSent(step.operation))
            return "requeue"

    async def _perform(
        self, task: TranscriptionTask, memory: Memory, step: Call, credentials: Credentials, log: ObjectLogger
    ) -> str:
        """Make the call, and write down what came of it."""
        memory.account = credentials.account
        more = partial(self._turns.another, task, step, credentials.account, self.queue)
        try:
            with self.services.budgets.reporting(credentials.account, step.operation):
                status = await self.services.caller.perform(task, memory, step, credentials, more)
        except agora.AgoraError as error:
            # No error of this operator's: the call is counted by its code, and the conditions tell of it.
            self._trouble(task, memory, step, error)
            log.warning("%s", error)
            return "requeue"
        memory.succeeded(step.operation)
        if step.operation in LOGGED:
            log.info("%s: done, Agora task %s", step.operation, (status or task.status).task_id or "not named yet")
        if status is not None:
            await self._writer.outcome(task, status, memory)
        return "requeue"

    def _trouble(
        self, task: TranscriptionTask, memory: Memory, step: Call, error: agora.AgoraError | agora.CircuitOpen
    ) -> None:
        if isinstance(error, agora.NotPermitted):
            # No news of the task; and whatever is known of it is another process's to say.
            before = memory.trouble.get(step.operation, Trouble(None, now()))
            memory.trouble[step.operation] = replace(before, until=now() + NOT_PERMITTED_RETRY)
            return
        failures = memory.failures[step.operation] = memory.failures.get(step.operation, 0) + 1
        trouble = trouble_of(task, error, failures, random.random(), now())  # noqa: S311 - no secret
        memory.trouble[step.operation] = trouble
        if step.operation == "query":
            memory.poll_at = trouble.until
        elif step.operation == "stop" and not isinstance(error, UNTOUCHED):
            # Perhaps it was not stopped because it has ended, or was stopped and the answer got lost.
            memory.observation, memory.poll_at = None, now()
        if isinstance(error, agora.CircuitOpen | agora.CredentialsRefused):
            self.services.credentials.doubt(task)

    def _memory(self, uid: str) -> Memory:
        memory = self._memories.get(uid)
        if memory is None:
            # After a restart the running tasks are looked at in the course of one interval, the others at once.
            delay = random.uniform(0, self._interval) if self._is_running(uid) else 0.0  # noqa: S311 - no secret
            memory = Memory(poll_at=now() + timedelta(seconds=delay), last_sent=self._began)
            self._memories[uid] = memory
        return memory

    def _is_running(self, uid: str) -> bool:
        """Whether the status says that Agora's task runs."""
        task = self.services.cache.get(uid)
        return task is not None and task.status.agora_status in {"RUNNING", "STARTED", "IN_PROGRESS"}

    def _again_in(self, uid: str, seconds: float) -> None:
        self.queue.add_at(uid, time.monotonic() + max(seconds, 0.0))
