"""Whose turn it is to call Agora: an account has a budget, and only so many objects are acted on at the same time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from agora_transcription import agora
from agora_transcription.controller.calls import priority_of
from agora_transcription.controller.steps import Query
from agora_transcription.telemetry.metrics import CONTROLLER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.api import TranscriptionTask
    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.steps import Call
    from agora_transcription.telemetry.metrics import Metrics

__all__ = ["Turns"]

TOLD_AFTER: Final = 10.0
"""Seconds that a start, an update or a stop waits for an App ID that Agora holds back before its object says so."""


class Turns:
    """Gives turns; the queue, which each wait is told to, is that of the objects' keys."""

    def __init__(self, budgets: agora.Budgets, metrics: Metrics, workers: int) -> None:
        """Prepare.

        Args:
            budgets: Who may call Agora when.
            metrics: Where it is counted how many act.
            workers: How many objects may be acted on at the same time.
        """
        self._budgets = budgets
        self._active = metrics.active_workers.labels(CONTROLLER)
        self._slots = asyncio.Semaphore(workers)
        metrics.max_workers.labels(CONTROLLER).set(workers)

    async def first(self, task: TranscriptionTask, step: Call, account: agora.Account, queue: WorkQueue[str]) -> bool:
        """Wait until a step may make its first call; False when the object has changed before.

        Raises:
            CircuitOpen: When the credentials are refused.
            Throttled: When Agora holds the account back for so long that the object should say so.
        """
        changed = queue.dirty(task.metadata.uid)
        changed.clear()
        with queue.parked(task.metadata.uid, dispensable=isinstance(step, Query)):
            return await _admitted(self._budgets, account, step, tenant=task.metadata.namespace, changed=changed)

    @asynccontextmanager
    async def worker(self, uid: str, queue: WorkQueue[str]) -> AsyncIterator[None]:
        """Act as one of the workers, once one is free."""
        with queue.parked(uid):
            await self._slots.acquire()
        self._active.inc()
        try:
            yield
        finally:
            self._active.dec()
            self._slots.release()

    async def another(self, task: TranscriptionTask, step: Call, account: agora.Account, queue: WorkQueue[str]) -> None:
        """Wait until a step that takes several calls may make the next one; others may act meanwhile.

        Raises:
            NotSent: When the credentials are refused.
        """
        with queue.parked(task.metadata.uid):
            self._slots.release()
            try:
                await self._budgets.admit_next(account, priority_of(step), tenant=task.metadata.namespace)
            except agora.CircuitOpen as error:
                raise agora.NotSent(step.operation, text=str(error)) from None
            finally:
                await self._slots.acquire()


async def _admitted(
    budgets: agora.Budgets, account: agora.Account, step: Call, *, tenant: str, changed: asyncio.Event
) -> bool:
    """Wait for a call's turn; False when something has changed first.

    Args:
        budgets: Give the turns.
        account: Whose call it is.
        step: The call.
        tenant: Its object's namespace.
        changed: Set when the call may not be wanted any more.

    Raises:
        CircuitOpen: When the credentials are refused.
        Throttled: When Agora holds the account back for so long that the object should say so. A look can wait without
            a word.
    """
    priority = priority_of(step)
    if budgets.admit_at_once(account, priority):
        return True
    patience = None if priority is agora.Priority.POLL else TOLD_AFTER
    turn = asyncio.ensure_future(budgets.admit(account, priority, tenant=tenant))
    change = asyncio.ensure_future(changed.wait())
    try:
        while not (turn.done() or change.done()):
            await asyncio.wait({turn, change}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not (turn.done() or change.done()) and (held := budgets.held(account)):
                text = "Agora has asked this App ID for fewer requests"
                raise agora.Throttled(step.operation, code=None, text=text, retry_after=held)
        if not turn.done():
            return False
        await turn
        return True
    finally:
        turn.cancel()
        change.cancel()
