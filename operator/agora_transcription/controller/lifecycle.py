"""When this process acts: from the start or its election on, until it is told to stop or has lost its Lease.

Told to stop (SIGTERM, SIGINT) it begins nothing more, lets end what is under way, gives the Lease up, and exits; within
`LIMIT` in every case. A process that has lost its Lease exits at once, as in a crash: each step is made for that, while
an orderly end could still write what another replica has meanwhile found to be different.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from agora_transcription.controller.lease import Election

__all__ = ["FAILED", "Lifecycle", "cut_off", "done_before"]

LIMIT: Final = 9.5
"""Seconds from the signal until the process is ended whatever is still going on; Kubernetes gives a Pod 30."""

PATIENCE: Final = 1.0
"""Seconds after which what has not ended is cancelled again: a library may have lost the first time."""

FAILED: Final = 1
"""The exit code of a process that has lost its Lease or its CRD, or has not stopped in time."""

logger = logging.getLogger(__name__)


class Lifecycle:
    """The time in which this process acts.

    Attributes:
        acting: It acts, or has acted: it waits for no election.
        stopping: Set when it is told to stop.
    """

    def __init__(self, election: Election | None, leads: Callable[[float], None]) -> None:
        """Prepare.

        Args:
            election: Has to be won first; None to act from the start.
            leads: Told 1 when the election is won and 0 while it is not, for metrics.
        """
        self.acting = election is None
        self.stopping = asyncio.Event()
        self._election = election
        self._leads = leads
        self._renewals: asyncio.Task[None] | None = None
        self._over = False

    def may_call(self) -> bool:
        """Whether Agora may be called at this moment: before the end, and while no other replica can lead."""
        return not self._over and (self._election is None or self._election.may_act())

    def listen(self) -> None:
        """Take the signals that tell to stop, also away from who has taken them before."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, self._told, number)

    async def begin(self, group: asyncio.TaskGroup) -> bool:
        """Win the election, if there is one; False when told to stop before.

        Args:
            group: Renews the Lease from then on, and fails if that does.
        """
        election = self._election
        if election is None:
            return True
        self._leads(0)
        logger.info("Waits for the Lease %s", election)
        if not await done_before(self.stopping, election.acquire()):
            return False
        self._renewals = group.create_task(self._renew(election), name="renewals")
        self.acting = True
        self._leads(1)
        logger.info("Holds the Lease %s", election)
        return True

    async def end(self) -> None:
        """Give the Lease up: to be called once nothing of this process acts any more."""
        self._over = True
        election, self._election = self._election, None
        if election is None:
            return
        if self._renewals is not None:
            self._renewals.cancel()
            await asyncio.wait({self._renewals})
        # Also when it was not won: a try that was cut off may have been.
        await election.release()
        self._leads(0)

    async def _renew(self, election: Election) -> None:
        await election.renew_loop()
        logger.critical("The Lease %s is lost: this process ends at once", election)
        _exit()

    def _told(self, number: signal.Signals) -> None:
        if self.stopping.is_set():
            return
        self._over = True
        self.stopping.set()
        # A thread, because it has to hold whatever the loop is doing.
        limit = threading.Timer(LIMIT, _exit)
        limit.daemon = True
        limit.start()
        logger.info("%s: stops", number.name)


async def done_before(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Do some work that waits; False, and the work is cut off, when told to stop before it is done.

    Neither is left running, and where the work fails this does.
    """
    both = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    if stop.is_set():
        return False
    both[0].result()
    return True


async def cut_off(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until all of them have ended."""
    going = {task for task in tasks if not task.done()}
    for task in going:
        if not task.cancelling():  # where a part has failed its group has done so
            task.cancel()
    while going:
        _, going = await asyncio.wait(going, timeout=PATIENCE)
        for task in going:
            logger.warning("%s has not stopped yet and is told so again", task.get_name())
            task.cancel()


def _exit() -> NoReturn:
    """End the process at once; `logging.shutdown` would wait for a log that nobody reads. No line is held back."""
    os._exit(FAILED)
