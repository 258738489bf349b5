"""Agora tasks whose object has vanished without the operator's consent: they are stopped all the same.

A finalizer can be taken away by hand, or by a tool that means it well. What the operator saw of such an object is all
there is left of it, and only in this process: a restart forgets it, and `agora-transcription orphans` finds it then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agora_transcription import agora
from agora_transcription.api import FINALIZER, DeletionPolicy, Reason
from agora_transcription.controller.clock import steady_clock
from agora_transcription.controller.memory import now
from agora_transcription.controller.plan import dialect_of
from agora_transcription.controller.store import NotFound, StoreError
from agora_transcription.controller.sweeps import owned_ids
from agora_transcription.controller.transitions import TASK_LIFETIME, builder_token_of
from agora_transcription.controller.translate import account_hash
from agora_transcription.controller.troubles import backoff
from agora_transcription.telemetry.logs import ObjectLogger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from agora_transcription.api import TaskStatus, TranscriptionTask
    from agora_transcription.api.status import Retiring
    from agora_transcription.controller.memory import Memory
    from agora_transcription.controller.reconciler import Services

__all__ = ["Stray", "Strays", "strays_of"]

LEAST_SECONDS: Final = 60.0
"""How long it is tried at least: that a task has ended by itself is not certain, and a clock can be wrong."""

VANISHED: Final = "The object went without the operator's consent"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stray:
    """An Agora task without its object.

    Attributes:
        task: The object, as it was last known.
        dialect: The API that the task was started with.
        handle: The Agora task.
        project: The digest of its project's App ID, where it is known.
        known_since: By the steady clock, since when this process knows of it.
        until: It has ended by itself then.
    """

    task: TranscriptionTask
    dialect: agora.Dialect
    handle: agora.Handle
    project: str | None
    known_since: float
    until: datetime


def strays_of(
    task: TranscriptionTask, memory: Memory | None, default: agora.Dialect, moment: datetime
) -> tuple[Stray, ...]:
    """Which Agora tasks an object leaves behind that vanishes now.

    None if it goes with consent, or if `spec.deletionPolicy` wants its task to run on.

    Args:
        task: The object, as it was last known.
        memory: What is remembered of it.
        default: The API for objects that name none.
        moment: The time.
    """
    if task.spec.deletion_policy is DeletionPolicy.ORPHAN or (memory is not None and memory.released):
        return ()
    status = memory.unrecorded[1] if memory and memory.unrecorded else task.status
    met, known_since = steady_clock(), memory.known_since if memory else {}

    def stray(record: TaskStatus | Retiring, task_id: str, expiry: datetime | None) -> Stray:
        handle, since = agora.Handle(task_id, builder_token_of(record)), known_since.get(task_id, met)
        until = expiry or (record.start_time or moment) + TASK_LIFETIME
        return Stray(task, dialect_of(task, default), handle, record.account_hash, since, until)

    found = []
    if status.task_id and not _has_ended(status.task_id, memory):
        found.append(stray(status, status.task_id, status.expiry_time))
    if status.retiring:
        found.append(stray(status.retiring, status.retiring.task_id, None))
    return tuple(found)


def _has_ended(task_id: str, memory: Memory | None) -> bool:
    if memory is None or memory.task_id != task_id:
        return False
    return memory.gone or (memory.observation is not None and memory.observation.state.ended)


class Strays:
    """Stops what vanished objects leave behind, each until it has ended or belongs to another object."""

    def __init__(
        self,
        services: Services,
        recall: Callable[[str], Memory | None],
        *,
        default: agora.Dialect,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare.

        Args:
            services: What reconciliations work with, too.
            recall: What is remembered of an object.
            default: The API for objects that name none.
            sleep: Waits between two tries.
        """
        self._services = services
        self._recall = recall
        self._default = default
        self._sleep = sleep
        self._found: asyncio.Queue[tuple[Stray, agora.Account | None]] = asyncio.Queue()
        self._ids: set[str] = set()

    def take(self, task: TranscriptionTask, memory: Memory | None) -> None:
        """An object vanishes: see to what it leaves behind. To be called before its credentials are forgotten."""
        credentials = self._services.credentials.last_good(task.metadata.uid)
        account = credentials.account if credentials else memory.account if memory else None
        for stray in strays_of(task, memory, self._default, now()):
            if stray.handle.task_id not in self._ids:
                self._ids.add(stray.handle.task_id)
                self._services.cache.bury(task.metadata.uid, stray.handle.task_id)
                self._log(stray).info(
                    "Gone, maybe without the operator's consent: stopping its Agora task %s", stray.handle.task_id
                )
                self._found.put_nowait((stray, account))

    async def run(self) -> None:
        """Stop what is found, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                stray, account = await self._found.get()
                group.create_task(self.stop(stray, account), name=f"stray {stray.handle.task_id}")

    async def stop(self, stray: Stray, account: agora.Account | None) -> None:
        """Stop one, however long it takes."""
        outcome, failures = "left", 0
        while True:
            try:
                if await self._is_there(stray):
                    outcome = "owned"
                    break
                account = account or await self._account(stray)
                if account is not None:
                    outcome = await self._try(stray, account)
                    break
            except agora.AgoraError as error:
                self._log(stray).warning("The Agora task %s: %s", stray.handle.task_id, error)
                if isinstance(error, agora.CredentialsRefused):
                    account = None
            except agora.CircuitOpen:
                account = None
            except StoreError as error:
                self._log(stray).warning("Kubernetes: %s", error)
            if now() >= stray.until and steady_clock() - stray.known_since >= LEAST_SECONDS:
                break
            failures += 1
            await self._sleep(backoff(failures, random.random()))  # noqa: S311 - no secret
        self._tell(stray, outcome)

    async def _try(self, stray: Stray, account: agora.Account) -> str:
        """Make one try; answers what became of the task.

        Raises:
            AgoraError: It may still run.
            CircuitOpen: The credentials were refused.
        """
        budgets, tenant = self._services.budgets, stray.task.metadata.namespace

        async def more() -> None:
            await budgets.admit_next(account, agora.Priority.START_STOP, tenant)

        await budgets.admit(account, agora.Priority.START_STOP, tenant)
        if self._is_owned(stray):
            budgets.report(account, agora.NotSent("stop"))
            return "owned"
        caller, known_for = self._services.caller, steady_clock() - stray.known_since
        with budgets.reporting(account, "stop"):
            access = caller.access(stray.dialect, account, more)
            halted = await caller.halt(stray.task, stray.handle, known_for, access)
        return "stopped" if halted else "ended"

    async def _is_there(self, stray: Stray) -> bool:
        """Whether the object is there after all: one event or list can be wrong, and no stop can be undone.

        Raises:
            StoreError: The API server does not tell.
        """
        known = stray.task.metadata
        try:
            metadata = (await self._services.store.get(known.namespace, known.name))["metadata"]
        except NotFound:
            return False
        is_kept = FINALIZER in (metadata.get("finalizers") or ()) or "deletionTimestamp" not in metadata
        return metadata["uid"] == known.uid and is_kept

    def _is_owned(self, stray: Stray) -> bool:
        """Whether an object that is there and not on its way out has the Agora task: one may have adopted it."""
        task_id = stray.handle.task_id
        return any(
            task_id in owned_ids(task, self._recall(task.metadata.uid))
            for task in self._services.cache
            if task.guarded or not task.deleting
        )

    async def _account(self, stray: Stray) -> agora.Account | None:
        """Read the Secret that the object named, which may be there still, or be mended."""
        credentials, uid = self._services.credentials, stray.task.metadata.uid
        try:
            found, _ = await credentials.resolve(stray.task, started=True)
        except StoreError:
            return None
        finally:
            credentials.forget(uid)
        if found is None or stray.project not in {None, account_hash(found.account)}:
            return None
        return found.account

    def _tell(self, stray: Stray, outcome: str) -> None:
        task_id = stray.handle.task_id
        self._ids.discard(task_id)
        self._services.metrics.stray_tasks.labels(outcome).inc()
        match outcome:
            case "stopped":
                reason, message = Reason.STOPPED, f"{VANISHED}: stopped its Agora task {task_id}"
            case "owned":
                self._log(stray).warning("The Agora task %s belongs to an object after all, and runs on", task_id)
                return
            case "ended":
                self._log(stray).info("The Agora task %s had ended already", task_id)
                return
            case _:
                reason, message = Reason.ABANDONED, f"{VANISHED}: its Agora task {task_id} could not be stopped"
        self._log(stray).warning("%s", message)
        self._services.events.ended(stray.task, reason, message, warning=True)

    def _log(self, stray: Stray) -> ObjectLogger:
        metadata = stray.task.metadata
        return ObjectLogger(logger, metadata.namespace, metadata.name, metadata.uid)
