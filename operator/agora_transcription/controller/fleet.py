"""The running tasks of an account, looked at together: a hundred with each page of Agora's list, not one by one.

A listed task counts as seen RUNNING, and its own look is put off, but not for ever: with each list a few are asked
about in turn, since a row may be stuck. One that is not listed is asked about at once: the query stays the truth, and
nothing ends because a list lacks it. Where the list is absent, fails or costs more than it saves, each task is looked
at on its own, as if there were no fleet.

Whatever this does can be lost or late: a task's own look is only put off by a few intervals.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agora_transcription import agora
from agora_transcription.agora import Dialect, Observation, State
from agora_transcription.controller.memory import now
from agora_transcription.controller.sweeps import (
    Member,
    is_member,
    is_worth_it,
    judge,
    next_asked,
    owned_ids,
    start_in_doubt,
    unowned,
)
from agora_transcription.controller.translate import account_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agora_transcription.agora import Account, ListedTask
    from agora_transcription.controller.memory import Memory
    from agora_transcription.controller.reconciler import Reconciler, Services

__all__ = ["WINDOW", "Fleet"]

PUT_OFF: Final = 3
"""Intervals that the own look of a listed task waits for; the next list puts it off again."""

FIRST_SECONDS: Final = 5.0
"""Before the first list: time to read the objects and their Secrets."""

AGAIN_SECONDS: Final = 600.0
"""Until a list is tried again that Agora does not have, or one that is only counted."""

WINDOW: Final = timedelta(hours=73)
"""How long ago a listed task may have been started: the longest lifetime of a V7 task, and a margin for the clocks."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _AccountRecord:
    """What is remembered of one account.

    Attributes:
        account: The project and the credentials.
        members: As they are now.
        pages: How many its last list had.
        asked: The uid of who was asked about last although the list showed it.
        absent_until: Agora has no list; it is tried again then, by the monotonic clock.
        count_at: When a list is made that only counts; None before the first time.
        listing: A list is under way.
        complaint: Why the last list failed; empty if it did not.
    """

    account: Account
    members: list[Member] = field(default_factory=list)
    pages: int = 0
    asked: str = ""
    absent_until: float = 0.0
    count_at: float | None = None
    listing: bool = False
    complaint: str = ""


class Fleet:
    """Looks at all running tasks of each account once per interval."""

    def __init__(
        self, services: Services, reconciler: Reconciler, api: agora.Agora, *, default: Dialect, interval: float
    ) -> None:
        """Prepare.

        Args:
            services: The cache, the credentials, the budgets and the metrics.
            reconciler: What it remembers of the tasks, and its queue.
            api: Agora's V7.
            default: The API for objects that name none.
            interval: Seconds between two looks at a running task.
        """
        self._services = services
        self._reconciler = reconciler
        self._api = api
        self._default = default
        self._interval = interval
        self._records: dict[str, _AccountRecord] = {}

    async def run(self) -> None:
        """Look once per interval, until cancelled; accounts do not wait for each other."""
        pause = min(FIRST_SECONDS, self._interval / 2)
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(pause)
                for record in self.due():
                    group.create_task(self.sweep(record), name="fleet")
                pause = self._interval

    def due(self) -> list[_AccountRecord]:
        """Read who is in which account; answers the accounts that are to be listed now."""
        self._read_members()
        return [record for record in self._records.values() if not record.listing and self._is_due(record)]

    async def sweep(self, record: _AccountRecord) -> None:
        """List the running tasks of an account, and go by what the list says."""
        record.listing = True
        try:
            rows = await self._list(record)
        except (agora.AgoraError, agora.CircuitOpen) as error:
            self._failed(record, error)
            return
        finally:
            record.listing = False
        if record.complaint:
            logger.info("The running tasks of project %s are listed again", account_hash(record.account))
            record.complaint = ""
        self._count(record, rows)
        if not is_worth_it(len(record.members), record.pages):
            self._fall_back(record.members)
            return
        sweep = judge(record.members, rows)
        asked = next_asked(record.members, record.asked)
        record.asked = asked[-1]
        for member in sweep.seen:
            (self._ask if member.uid in asked else self._see)(member)
        for member in sweep.missing:
            self._ask(member)

    # One account ---------------------------------------------------------------------------------------------------

    def _is_due(self, record: _AccountRecord) -> bool:
        """Whether an account is to be listed now; if not, its members are looked at on their own."""
        clock = time.monotonic()
        if clock >= record.absent_until:
            if is_worth_it(len(record.members), record.pages):
                return True
            # Now and then it is listed all the same, to count what nobody owns.
            counts = record.count_at is not None and record.count_at <= clock
            if counts or record.count_at is None:
                record.count_at = clock + AGAIN_SECONDS
            if counts:
                return True
        self._fall_back(record.members)
        return False

    async def _list(self, record: _AccountRecord) -> list[ListedTask]:
        """Ask for all pages, each in its turn."""
        account, budgets, pages = record.account, self._services.budgets, 1
        # A page stands for a hundred looks. Behind those of many namespaces, which take turns, it would come too late.
        saves = is_worth_it(len(record.members), record.pages)
        priority = agora.Priority.UPDATE if saves else agora.Priority.POLL

        async def more() -> None:
            nonlocal pages
            pages += 1
            await budgets.admit_next(account, priority)

        await budgets.admit(account, priority)
        with budgets.reporting(account, "list"):
            rows = list(await self._api.list_running(account, now() - WINDOW, more))
        record.pages = pages
        return rows

    def _failed(self, record: _AccountRecord, error: agora.AgoraError | agora.CircuitOpen) -> None:
        """Look at each on its own, until a list succeeds."""
        if isinstance(error, agora.NotSupported):
            record.absent_until = time.monotonic() + AGAIN_SECONDS
        if record.complaint != str(error) and not self._reconciler.queue.closed:
            record.complaint = str(error)
            project = account_hash(record.account)
            logger.warning("The running tasks of project %s cannot be listed, each is asked about: %s", project, error)
        self._count_no_more(record)
        self._fall_back(record.members)

    def _count(self, record: _AccountRecord, rows: list[ListedTask]) -> None:
        """Tell how many of the listed tasks nobody owns."""
        owned, in_doubt = {member.task_id for member in record.members}, 0
        if not owned.issuperset(row.task_id for row in rows):
            for task in self._services.cache:
                memory = self._reconciler.recall(task.metadata.uid)
                owned |= owned_ids(task, memory)
                project = task.status.account_hash
                in_doubt += start_in_doubt(task) and project in {None, account_hash(record.account)}
        count = unowned(rows, owned, in_doubt, now())
        self._services.metrics.unowned_tasks.labels(record.account.app_id).set(count)

    def _count_no_more(self, record: _AccountRecord) -> None:
        with suppress(KeyError):
            self._services.metrics.unowned_tasks.remove(record.account.app_id)

    # Its members ---------------------------------------------------------------------------------------------------

    def _read_members(self) -> None:
        """Read anew who is in which account, and forget the accounts that nobody is in."""
        found: dict[str, list[Member]] = {}
        accounts: dict[str, Account] = {}
        for task in self._services.cache:
            uid = task.metadata.uid
            memory, credentials = self._reconciler.recall(uid), self._services.credentials.last_good(uid)
            if memory is None or credentials is None or not is_member(task, memory, self._default):
                continue
            fingerprint = credentials.account.fingerprint
            accounts[fingerprint] = credentials.account
            member = Member(uid, task.status.task_id or "", memory.observation, memory.poll_at)
            found.setdefault(fingerprint, []).append(member)
        self._forget({key: record for key, record in self._records.items() if key not in accounts})
        for fingerprint, account in accounts.items():
            record = self._records.setdefault(fingerprint, _AccountRecord(account))
            if not record.listing:
                record.members = found[fingerprint]

    def _forget(self, records: Mapping[str, _AccountRecord]) -> None:
        for fingerprint, record in records.items():
            if not record.listing:
                del self._records[fingerprint]
                if all(other.account.app_id != record.account.app_id for other in self._records.values()):
                    self._count_no_more(record)

    def _see(self, member: Member) -> None:
        """The list shows it as running: that is a look, unless something newer is known."""
        memory = self._unchanged(member)
        if memory is not None:
            memory.see(Observation(member.task_id, "RUNNING", State.ACTIVE), self._interval * PUT_OFF)
            if "query" in memory.failures:
                memory.succeeded("query")
                self._reconciler.queue.add(member.uid)
            self._reconciler.queue.nudge(member.uid)  # it may wait for the turn of a look of its own

    def _ask(self, member: Member) -> None:
        """The list does not show it, or has shown it for long: only a query can tell."""
        memory = self._unchanged(member)
        if memory is not None:
            memory.poll_at = min(memory.poll_at, now())
            self._reconciler.queue.add(member.uid)

    def _unchanged(self, member: Member) -> Memory | None:
        """What is remembered of a member, if nothing was learnt of it since the list was asked for."""
        task, memory = self._services.cache.get(member.uid), self._reconciler.recall(member.uid)
        if task is None or memory is None or not is_member(task, memory, self._default):
            return None
        unchanged = memory.observation is member.observation and memory.poll_at == member.poll_at
        return memory if unchanged and task.status.task_id == member.task_id else None

    def _fall_back(self, members: Iterable[Member]) -> None:
        """Have each looked at on its own within an interval, if that was put off."""
        latest = now() + timedelta(seconds=self._interval * 1.1)
        for member in members:
            memory = self._reconciler.recall(member.uid)
            if memory is not None and memory.poll_at > latest:
                pause = random.uniform(0, self._interval)  # noqa: S311 - no secret
                memory.poll_at = now() + timedelta(seconds=pause)
                self._reconciler.queue.add_at(member.uid, time.monotonic() + pause)
