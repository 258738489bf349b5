"""One leader among the replicas: a Lease, by the official client's leader election, and a fence in front of Agora.

The client's classes decide who takes the Lease and write it. What they leave to chance is put right here: time is
measured by a steady clock instead of the wall clock, a request has an end, a dropped connection is a failed try, a
lease that another has taken is lost at once, and it is given up at the end.

The fence is what keeps a replica that was stopped (SIGSTOP, a suspended machine) from going on as leader: `may_act`
answers by a clock that goes on meanwhile, counted from before the last renewal was sent, and it is false before any
other replica can have taken the Lease. Writes to Kubernetes need no fence: each carries the resourceVersion that it was
decided on, so that of a replica that was overtaken is refused.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from agora_transcription.controller.clock import steady_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord

__all__ = ["Election", "Lock"]

LEASE_SECONDS: Final = 10
"""A Lease that has not been renewed for so long may be taken by another."""

FENCE_SECONDS: Final = 8.0
"""How long after a renewal was sent Agora may be called: the rest is for clocks that run apart, and for connecting."""

RENEW_DEADLINE: Final = 7.0
"""A leader that could not renew for so long ends, while the fence still holds."""

RENEW_PERIOD: Final = 2.0
RETRY_PERIOD: Final = 1.0
"""Seconds between two looks of a replica that waits, and after a renewal that failed."""

TRY_SECONDS: Final = 3.0
"""A try, which is one read and one write, that takes longer has failed."""

RELEASE_SECONDS: Final = 1.0
RELEASE_TRIES: Final = 3
"""A renewal that was under way can come in between."""

CONFLICT: Final = 409
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404

FAILURES: Final = (ApiException, aiohttp.ClientError, OSError, ValueError)
"""How a try fails: a refusal, no connection or no answer in time, and an answer that is no Lease."""

logger = logging.getLogger(__name__)


class Election(LeaderElection):
    """Holds a Lease, or waits for it.

    `acquire` (the client's) returns once it is held; then `renew_loop` has to run for as long as this replica acts, and
    returns when the Lease is lost; `release` gives it up. The client's `run` is not used: it would end the work by
    cancelling it, and not wait for it.
    """

    def __init__(self, lock: Lock, *, clock: Callable[[], float] = steady_clock) -> None:
        """Prepare.

        Args:
            lock: The Lease.
            clock: Seconds, steadily rising, also while the process is stopped.
        """
        self._clock = clock
        self._lock = lock
        self._sent = float("-inf")
        self._observed = float("-inf")
        self._problem: str | None = f"the Lease {lock} has not been read yet"
        super().__init__(
            Config(
                lock,
                lease_duration=LEASE_SECONDS,
                renew_deadline=RENEW_DEADLINE,
                retry_period=RETRY_PERIOD,
                onstarted_leading=_unused,
                onstopped_leading=_unused,
            )
        )

    def may_act(self) -> bool:
        """Whether no other replica can hold the Lease now."""
        return self._clock() < self._sent + FENCE_SECONDS

    def __str__(self) -> str:
        return str(self._lock)

    def check(self) -> str | None:
        """For `/readyz`: what stands in the way of taking part in the election."""
        return self._problem

    @property
    def observed_time_milliseconds(self) -> int:
        """Since when the record is as it is, in the client's one comparison with the wall clock.

        That clock can be set forward, and a Lease that is good would be taken. So the steady clock decides: this is
        the end of time while the record counts, and the beginning of time afterwards. Who wrote the record says how
        long it counts, as in client-go; a replica of another version may have another opinion of that.
        """
        record = self.observed_record
        written = int(record.lease_duration or 0) if record is not None else 0
        counts = self._clock() < self._observed + max(written, LEASE_SECONDS)
        return sys.maxsize if counts else 0

    @observed_time_milliseconds.setter
    def observed_time_milliseconds(self, _: int) -> None:
        self._observed = self._clock()

    async def try_acquire_or_renew(self) -> bool:
        """Look at the Lease, and take or renew it where that may be; never raises for what can go wrong with that."""
        sent = self._clock()
        try:
            async with asyncio.timeout(TRY_SECONDS):
                held = await super().try_acquire_or_renew()
        except FAILURES as error:
            self._report(error)
            return False
        self._problem = None
        if held:
            self._sent = sent
        return held

    async def renew_loop(self) -> None:
        """Renew the Lease until it is lost: not renewed in time, or taken.

        The client's measures by the wall clock, and would win back a Lease that another has held in between: but what
        this process remembers was true before that.
        """
        pause = RENEW_PERIOD
        while True:
            await asyncio.sleep(pause)
            left = self._sent + RENEW_DEADLINE - self._clock()
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    renewed = await self.try_acquire_or_renew()
            except TimeoutError:
                return
            if not renewed and self._taken():
                return
            pause = RENEW_PERIOD if renewed else RETRY_PERIOD

    async def release(self) -> None:
        """Give the Lease up, if it is held, so that another replica takes it at its next look.

        To be called after the last call and the last write, and with `renew_loop` ended. Failing, it costs the next
        leader the rest of the Lease's time.
        """
        self._sent = float("-inf")
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._lock.release()
        except FAILURES as error:
            logger.warning("The Lease %s is not released and runs out: %s", self._lock, _words(error))

    def _taken(self) -> bool:
        return self.observed_record is not None and self.observed_record.holder_identity != self._lock.identity

    def _report(self, error: Exception) -> None:
        """Say once what is wrong; that another replica was faster is not."""
        if isinstance(error, ApiException) and error.status == CONFLICT:
            self._problem = None
            return
        problem = f"the Lease {self._lock} cannot be held: {_words(error)}"
        if isinstance(error, ApiException) and error.status == FORBIDDEN:
            problem += f". {self._lock.rights}"
        if problem != self._problem:
            logger.warning("%s", problem)
        self._problem = problem


class Lock(LeaseLock):
    """The Lease itself. Unlike the client's, failures are raised: it logs them with a traceback, or not at all."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str) -> None:
        """Name the Lease.

        Args:
            api: Closed by whoever made it.
            namespace: The Lease's.
            name: The Lease's.
        """
        # Unique for the process, as client-go advises: a container that is started again has its Pod's name again.
        super().__init__(name, namespace, f"{socket.gethostname()}_{uuid.uuid4()}", api)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def rights(self) -> str:
        """What has to be allowed, for somebody who can allow it."""
        return (
            f"In the namespace {self.namespace} a Role of this account must allow to create leases,"
            f" and to get and update the one that --lease-name names, with resourceNames: [{self.name}]"
        )

    async def get(self, name: str, namespace: str) -> tuple[bool, LeaderElectionRecord | Exception | None]:  # type: ignore[override]
        """Read it."""
        found, record = await super().get(name, namespace)
        if isinstance(record, ApiException) and not _says_missing(record):
            raise record
        return found, record

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Create it, held."""
        lease = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        await self.api_instance.create_namespaced_lease(namespace, lease)
        return True

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Take or renew exactly the version that was read last."""
        lease = self.lease_reference
        if lease is None:
            raise RuntimeError("the Lease is written before it was read")
        lease.spec = self.update_lease(updated_record, lease.spec)
        await self.api_instance.replace_namespaced_lease(name, namespace, lease)
        return True

    async def release(self) -> None:
        """Write that nobody holds it, if this process does; as client-go does on release."""
        for _ in range(RELEASE_TRIES):
            found, _ = await self.get(self.name, self.namespace)
            lease = self.lease_reference
            if not found or lease is None or lease.spec is None or lease.spec.holder_identity != self.identity:
                return
            lease.spec.holder_identity = ""
            lease.spec.lease_duration_seconds = 1
            lease.spec.acquire_time = lease.spec.renew_time = _micro_time(datetime.now(UTC))
            try:
                await self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)
            except ApiException as error:
                if error.status != CONFLICT:
                    raise
            else:
                return

    def election_record(self, lease: client.V1Lease) -> LeaderElectionRecord:
        """Read the record, its times with their zone: the client drops it here, and takes them for local later."""
        record: LeaderElectionRecord = super().election_record(lease)
        if lease.spec is not None:
            record.acquire_time = str(lease.spec.acquire_time) if lease.spec.acquire_time else None
            record.renew_time = str(lease.spec.renew_time) if lease.spec.renew_time else None
        return record

    def time_str_to_iso(self, str_time: str) -> str:
        """Read a record's time: the client's way fails, and writes no time, on a full second."""
        return _micro_time(datetime.fromisoformat(str_time)).isoformat()


def _micro_time(moment: datetime) -> datetime:
    """The time as Kubernetes' MicroTime takes it, which is never without microseconds; no zone is the local one."""
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond or 1)


def _says_missing(error: ApiException) -> bool:
    """Whether the API server says so, as the client will ask as well: a proxy has 404s of its own."""
    return error.status == NOT_FOUND and _said(error) is not None


def _words(error: Exception) -> str:
    """What is wrong in a few words; an ApiException's own are a page of headers."""
    if isinstance(error, ApiException):
        return f"{error.status} {_said(error) or error.reason}"
    return type(error).__name__


def _said(error: ApiException) -> str | None:
    """The API server's own words; None where it was not the API server that answered."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return None
    of_kubernetes = isinstance(status, dict) and status.get("code") == error.status
    return str(status.get("message", "")) if of_kubernetes else None


async def _unused() -> None:
    """Callbacks are for the client's `run`."""
