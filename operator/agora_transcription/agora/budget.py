"""How much each Agora project is asked, and in which order.

Agora counts requests per project and publishes no number, so every App ID has a token bucket of its own here: starts
and stops go before updates, updates before polls, and within each the tenants take turns (`fairness`). A 429 silences
its App ID for as long as Agora wants. Refused credentials open a circuit breaker for exactly those credentials: a
namespace with a wrong secret neither hammers Agora's gateway nor stands in the way of another namespace that has the
right one for the same App ID.

No I/O happens here, and no time is read but from the given clock.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from agora_transcription.agora.errors import AgoraError, Ambiguous, CredentialsRefused, Throttled
from agora_transcription.agora.fairness import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agora_transcription.agora.models import Account

__all__ = ["Budgets", "CircuitOpen", "Priority"]

THROTTLE_SECONDS = 5.0
"""First pause after a 429 that names none."""

MAX_THROTTLE_SECONDS = 60.0
"""Longest such pause; it doubles from the first with every 429 that follows without a success."""

SERVER_FAULT = 500
"""From here on an answer says nothing about the credentials that it was asked with."""

_WHOLE = 1 - 1e-9
"""A token that only rounding keeps from being whole."""

_FIRST_SWEEP = 64


class Priority(IntEnum):
    """Who goes first when an App ID's calls have to wait; the others keep a tenth of the calls each."""

    START_STOP = 0
    """What is billed begins or ends."""
    UPDATE = 1
    """A user waits for a change."""
    POLL = 2
    """A look that can be late."""

    @property
    def word(self) -> str:
        """As metrics name it."""
        return self.name.lower()


class CircuitOpen(Exception):
    """These credentials were refused; nothing is sent with them for now.

    Attributes:
        retry_in: Seconds until they are tried again, by one call.
    """

    def __init__(self, retry_in: float) -> None:
        self.retry_in = retry_in
        super().__init__(f"the credentials were refused, and are tried again in {retry_in:.0f} s")


@dataclass(slots=True, eq=False)
class _Waiter:
    """A call that wants to be made."""

    fingerprint: str
    admitted: asyncio.Future[None]
    is_probe: bool = False


@dataclass(slots=True)
class _Project:
    """What is known of one App ID."""

    tokens: float
    counted: float
    """When `tokens` was right."""
    waiters: FairQueue[_Waiter] = field(default_factory=lambda: FairQueue(tuple(Priority)))
    silent_until: float = 0.0
    strikes: int = 0
    """429s without a Retry-After since the last success."""
    probe_at: dict[str, float] = field(default_factory=dict)
    """The open breakers: by fingerprint, when one call may try these credentials again."""
    timer: asyncio.TimerHandle | None = None


class Budgets:
    """The budgets of all accounts; belongs to one event loop.

    Attributes:
        waiting: How many calls wait now, by priority.
    """

    def __init__(
        self,
        rate_per_second: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        probe_interval: float = 300.0,
        observe_wait: Callable[[Priority, float], None] | None = None,
    ) -> None:
        """Set the numbers, the same for every App ID.

        Args:
            rate_per_second: Calls per second and App ID in the long run; 0 for no limit.
            burst: Calls that may be made at once after a quiet time, at least 1.
            clock: Seconds, rising, as fast as the event loop's own.
            probe_interval: Seconds after which one call may try refused credentials again.
            observe_wait: Told the priority of each admitted call, and how long it has waited, in seconds.
        """
        self._rate = rate_per_second
        self._burst = float(burst)
        self._clock = clock
        self._probe_interval = probe_interval
        self._observe_wait = observe_wait
        self._projects: dict[str, _Project] = {}
        self._sweep_at = _FIRST_SWEEP
        self.waiting: Counter[Priority] = Counter()

    async def admit(self, account: Account, priority: Priority, tenant: str = "") -> None:
        """Wait until one call may be made; `report` how it ended.

        Args:
            account: Whose call it is.
            priority: How urgent it is.
            tenant: Who asks: those who share an App ID take turns.

        Raises:
            CircuitOpen: These credentials were refused, and it is not time to try them again.
        """
        asked, fingerprint = self._clock(), account.fingerprint
        project = self._project(account.app_id, asked)
        probe_at = project.probe_at.get(fingerprint, asked)
        if probe_at > asked:  # before it waits for anything
            raise CircuitOpen(probe_at - asked)
        waiter = _Waiter(fingerprint, asyncio.get_running_loop().create_future())
        project.waiters.add(priority, tenant, waiter)
        self._serve(project)
        self.waiting[priority] += 1
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            project.waiters.remove(waiter)
            if not waiter.admitted.cancelled() and waiter.admitted.exception() is None:  # admitted a moment ago
                self._give_back(project, waiter)
            raise
        finally:
            self.waiting[priority] -= 1
        if self._observe_wait is not None:
            self._observe_wait(priority, self._clock() - asked)

    def admit_at_once(self, account: Account, priority: Priority) -> bool:
        """Let one call be made if it need not wait for anything; `report` how it ended."""
        now = self._clock()
        project = self._project(account.app_id, now)
        self._refill(project, now)
        if project.waiters or account.fingerprint in project.probe_at or self._delay(project, now) > 0:
            return False
        self._take(project)
        if self._observe_wait is not None:
            self._observe_wait(priority, 0.0)
        return True

    async def admit_next(self, account: Account, priority: Priority, tenant: str = "") -> None:
        """Wait until one more call may be made of several that belong together; those before were answered.

        `report` how the last one ended. The answers count at once: a probe that takes several calls closes its breaker
        with the first, and is not turned away at the second.

        Raises:
            CircuitOpen: As `admit`.
        """
        self.report(account, None)
        await self.admit(account, priority, tenant)

    def held(self, account: Account) -> float:
        """Seconds that Agora still wants nothing of an App ID, after a 429; 0 for none."""
        project = self._projects.get(account.app_id)
        return max(0.0, project.silent_until - self._clock()) if project else 0.0

    def report(self, account: Account, error: AgoraError | None) -> None:
        """Learn from the end of a call: None for a success, else what it raised.

        A call that was cancelled has taught nothing and is not reported: as a success it would close a breaker.
        """
        now = self._clock()
        project = self._project(account.app_id, now)
        if isinstance(error, CredentialsRefused):
            self._forget_old_breakers(project, now)
            project.probe_at[account.fingerprint] = now + self._probe_interval
            self._turn_away(project, account.fingerprint)
        elif isinstance(error, Throttled):
            self._silence(project, error.retry_after, now)
        elif error is None or (error.code is not None and error.code < SERVER_FAULT):
            # An answer from behind the gateway, whatever it says: known credentials, and no longer too many requests.
            project.strikes = 0
            project.probe_at.pop(account.fingerprint, None)
        self._serve(project)

    @contextmanager
    def reporting(self, account: Account, operation: str) -> Iterator[None]:
        """Report how the calls that are made meanwhile end; cancelled, they say nothing for the credentials."""
        error: AgoraError | None = Ambiguous(operation)
        try:
            yield
            error = None
        except AgoraError as failure:
            error = failure
            raise
        finally:
            self.report(account, error)

    def _project(self, app_id: str, now: float) -> _Project:
        """The record of an App ID; making one is the occasion to forget those that nobody uses any more."""
        project = self._projects.get(app_id)
        if project is None:
            if len(self._projects) >= self._sweep_at:
                self._projects = {key: kept for key, kept in self._projects.items() if not self._idle(kept, now)}
                self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._projects))
            project = self._projects[app_id] = _Project(tokens=self._burst, counted=now)
        return project

    def _idle(self, project: _Project, now: float) -> bool:
        """Whether a new record would be the same as this one."""
        self._refill(project, now)
        self._forget_old_breakers(project, now)
        return (
            not project.waiters
            and project.tokens >= self._burst
            and project.silent_until + MAX_THROTTLE_SECONDS <= now  # until then `strikes` is worth remembering
            and not project.probe_at
        )

    def _forget_old_breakers(self, project: _Project, now: float) -> None:
        """Drop the breakers of credentials that nobody has tried for a whole interval after he could have."""
        horizon = now - self._probe_interval
        project.probe_at = {key: at for key, at in project.probe_at.items() if at > horizon}

    def _refill(self, project: _Project, now: float) -> None:
        project.tokens = min(self._burst, project.tokens + (now - project.counted) * self._rate)
        project.counted = now

    def _silence(self, project: _Project, retry_after: float | None, now: float) -> None:
        """Pause the App ID; the 429s of calls that were under way together count as one."""
        if retry_after is None:
            if now < project.silent_until:
                return
            retry_after = min(THROTTLE_SECONDS * 2.0**project.strikes, MAX_THROTTLE_SECONDS)
            project.strikes += 1
        project.silent_until = max(project.silent_until, now + retry_after)

    def _turn_away(self, project: _Project, fingerprint: str) -> None:
        """Answer everyone who waits with credentials that have just been refused."""
        for waiter in project.waiters:
            if waiter.fingerprint == fingerprint and not waiter.admitted.done():
                project.waiters.remove(waiter)
                waiter.admitted.set_exception(CircuitOpen(self._probe_interval))

    def _give_back(self, project: _Project, waiter: _Waiter) -> None:
        """Undo the admission of a call that was cancelled before it could be made."""
        project.tokens = min(self._burst, project.tokens + 1)
        if waiter.is_probe:
            project.probe_at[waiter.fingerprint] = self._clock()
        self._serve(project)

    def _serve(self, project: _Project) -> None:
        """Admit whom the budget allows, in order, and come back when there is more to give."""
        if project.timer is not None:
            project.timer.cancel()
            project.timer = None
        now = self._clock()
        self._refill(project, now)
        while project.waiters:
            delay = self._delay(project, now)
            if delay > 0:
                project.timer = asyncio.get_running_loop().call_later(delay, self._serve, project)
                return
            waiter = project.waiters.take()
            if not waiter.admitted.done():  # else it was cancelled a moment ago
                self._admit(project, waiter, now)

    def _delay(self, project: _Project, now: float) -> float:
        """Seconds until the next call of an App ID may be made; none or less for at once."""
        silence = project.silent_until - now
        if not self._rate or project.tokens >= _WHOLE:
            return silence
        return max(silence, (1 - project.tokens) / self._rate)

    def _admit(self, project: _Project, waiter: _Waiter, now: float) -> None:
        probe_at = project.probe_at.get(waiter.fingerprint)
        if probe_at is not None and now < probe_at:
            waiter.admitted.set_exception(CircuitOpen(probe_at - now))
            return
        if probe_at is not None:
            waiter.is_probe = True
            project.probe_at[waiter.fingerprint] = now + self._probe_interval
        self._take(project)
        waiter.admitted.set_result(None)

    def _take(self, project: _Project) -> None:
        if self._rate:
            project.tokens -= 1
