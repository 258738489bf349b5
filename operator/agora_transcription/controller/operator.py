"""Puts the parts of the operator together, runs them, and takes them down in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import kopf

from agora_transcription import __version__, agora
from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.calls import Caller
from agora_transcription.controller.connection import login, session
from agora_transcription.controller.credentials import CredentialStore
from agora_transcription.controller.discovery import MISSING, find_problem, wait_until_served
from agora_transcription.controller.events import EventPoster
from agora_transcription.controller.fleet import Fleet
from agora_transcription.controller.handlers import make_registry, make_settings
from agora_transcription.controller.intake import Intake
from agora_transcription.controller.lease import Election, Lock
from agora_transcription.controller.lifecycle import FAILED, Lifecycle, cut_off, done_before
from agora_transcription.controller.notifications import Receiver
from agora_transcription.controller.queue import WorkQueue
from agora_transcription.controller.reconciler import Reconciler, Services
from agora_transcription.controller.resync import Resync
from agora_transcription.controller.store import KubernetesStore
from agora_transcription.controller.webhook import WebhookServer
from agora_transcription.kube.connection import connect
from agora_transcription.telemetry.addresses import AddressError, host_and_port, named
from agora_transcription.telemetry.health import HealthServer
from agora_transcription.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from kubernetes.aio import client
    from pydantic import SecretStr

    from agora_transcription.settings import OperatorSettings

__all__ = ["AddressError", "run"]

STUCK_AFTER: Final = 180.0
"""Seconds after which a key that is worked on, and does not wait for Agora's budget, means that the queue is stuck."""

SHUTDOWN_GRACE: Final = 5.0
"""Seconds that calls and writes have to end in; one that is cut off is repeated by whoever comes next."""

GARBAGE_THRESHOLD: Final = 10_000
"""New containers before they are searched for garbage; CPython's 700 cost a tenth of the CPU time, for next to none."""

EVENTS_GRACE: Final = 1.0
"""Seconds for the last events; with those before and the Lease's release below `lifecycle.LIMIT`."""

WATCH_GRACE: Final = 1.0
"""Seconds for kopf to end its watch, from which nothing follows any more."""

logger = logging.getLogger(__name__)


async def run(settings: OperatorSettings) -> None:
    """Run the operator until it is told to stop.

    Raises:
        AddressError: When /metrics or /healthz cannot be served where the settings say.
        kubernetes.config.ConfigException: When there is no cluster to be found.
    """
    async with AsyncExitStack() as stack:
        api = await connect(settings.kubeconfig)
        stack.push_async_callback(api.close)
        metrics = Metrics()
        election = None
        if settings.leader_elect:
            # Its own connections: in one pool a renewal waits behind all writes, and thousands may be due at once.
            own = await connect(settings.kubeconfig)
            stack.push_async_callback(own.close)
            election = Election(Lock(own, str(settings.lease_namespace), settings.lease_name))
        lifecycle = Lifecycle(election, lambda leads: metrics.leader.labels(settings.lease_name).set(leads))
        agora_client = await stack.enter_async_context(
            agora.AgoraClient(settings.agora_url, observe=metrics.observe_request, permit=lifecycle.may_call)
        )
        operator = _Operator(settings, api, agora_client, metrics)
        await operator.serve(stack, lifecycle, election)
        await operator.run(lifecycle)


class _Operator:
    """The parts, wired."""

    def __init__(
        self, settings: OperatorSettings, api: client.ApiClient, agora_client: agora.AgoraClient, metrics: Metrics
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self._api = api
        self.ready = asyncio.Event()
        self.stopped = asyncio.Event()
        self.cache = TaskCache()
        store = KubernetesStore(api, settings.namespace)
        self.credentials = CredentialStore(store, self._wake)
        self.events = EventPoster(store)
        rate = settings.requests_per_second
        self.budgets = agora.Budgets(
            rate,
            max(1, int(rate)),
            observe_wait=lambda priority, seconds: metrics.observe_wait(priority.word, seconds),
        )
        services = Services(
            store=store,
            cache=self.cache,
            credentials=self.credentials,
            budgets=self.budgets,
            caller=Caller(
                agora_client, self.cache, settings.poll_interval, agora.TokenVersion(settings.rtc_token_version)
            ),
            events=self.events,
            metrics=metrics,
        )
        default = agora.Dialect(settings.agora_api.upper())
        interval = settings.poll_interval
        self.reconciler = Reconciler(services, default=default, workers=settings.workers, poll_interval=interval)
        v7 = agora_client.dialect(agora.Dialect.V7)
        self.fleet = Fleet(services, self.reconciler, v7, default=default, interval=interval)
        self.queue: WorkQueue[str] = WorkQueue(self.reconciler.reconcile)
        self.reconciler.attach(self.queue)
        self.resync = Resync(store, self.cache, self.queue, self.reconciler, metrics)
        self.intake = Intake(self.cache, self.queue, self.reconciler, self.resync)
        metrics.watch_state(self.cache, self.queue, self._waiting)

    def _wake(self, uid: str) -> None:
        self.queue.add(uid)

    def _waiting(self) -> dict[str, int]:
        return {priority.word: self.budgets.waiting[priority] for priority in agora.Priority}

    async def run(self, lifecycle: Lifecycle) -> None:
        """Watch, and bring tasks and Agora together, from the election on until told to stop."""
        lifecycle.listen()
        async with asyncio.TaskGroup() as group:
            try:
                if await lifecycle.begin(group):
                    await self._act(lifecycle, group)
            finally:
                await lifecycle.end()

    async def _act(self, lifecycle: Lifecycle, group: asyncio.TaskGroup) -> None:
        began = time.monotonic()
        # What has been imported stays: it is not searched again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        self.reconciler.begin()
        where = ", ".join(self.settings.namespace) or "all namespaces"
        logger.info("agora-transcription %s watches %s, Agora is %s", __version__, where, self.settings.agora_url)
        background = [
            group.create_task(part.run(), name=type(part).__name__)
            for part in (self.queue, self.credentials, self.events, self.resync, self.fleet, self.reconciler.strays)
        ]
        stop = group.create_task(self._stop_in_order(lifecycle, background), name="stop")
        try:
            await self._watch(lifecycle)
        finally:
            stop.cancel()
            await self._cut_off(background)
        logger.info("Stopped after %d s", time.monotonic() - began)

    async def _stop_in_order(self, lifecycle: Lifecycle, background: list[asyncio.Task[None]]) -> None:
        """Wait until told to stop; then end the work, let another replica take over, and have kopf end its watch."""
        await lifecycle.stopping.wait()
        await self._drain()
        await self._cut_off(background)
        await lifecycle.end()
        self.stopped.set()

    async def _drain(self) -> None:
        """Begin nothing more, at Agora or in the cluster, and let end what is under way."""
        self.ready.clear()
        await self.queue.close(SHUTDOWN_GRACE)
        await self.events.drain(EVENTS_GRACE)

    async def _cut_off(self, background: list[asyncio.Task[None]]) -> None:
        """End what still goes on, also when a part has failed: no call and no write comes after the Lease's release."""
        await cut_off(background)  # some of them call Agora too
        await self.queue.close(0)

    async def _watch(self, lifecycle: Lifecycle) -> None:
        """Run kopf until everything else has stopped, and a moment longer for itself; or until it fails."""
        if not await done_before(self.stopped, wait_until_served(self._api)):
            return
        registry = make_registry(self.intake, self._log_in)

        @kopf.on.cleanup(registry=registry)
        async def drain(**_: object) -> None:
            # Already done, unless it is kopf that ends first. It then waits for what waits for `stopped`, for 5 s.
            await self._drain()
            self.stopped.set()

        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=make_settings(),
            standalone=True,
            # Of its peering, which is not used; without one it asks for the user's name, and a container's has none.
            identity="agora-transcription",  # type: ignore[arg-type]  # kopf's NewType is private
            clusterwide=not self.settings.namespace,
            namespaces=self.settings.namespace,
            ready_flag=self.ready,
            stop_flag=self.stopped,
        )
        # kopf has put its own handlers there, and would end the watch first, and the work whenever that is done.
        lifecycle.listen()
        watch = asyncio.create_task(kopf.run_tasks(tasks, ignored=others), name="watch")
        watch.add_done_callback(lambda _: self.stopped.set())
        try:
            await self.stopped.wait()
            await asyncio.wait({watch}, timeout=WATCH_GRACE if lifecycle.stopping.is_set() else None)
        finally:
            watch.cancel()
        if watch.done():
            await self._say_why(watch)

    async def _log_in(self) -> kopf.AiohttpSession:
        return session(await login(self.settings.kubeconfig), self.intake)

    async def _say_why(self, watch: asyncio.Task[None]) -> None:
        """Fail as the watch has; where the CRD is gone, with what to do instead of kopf's way to its 404."""
        try:
            watch.result()
        except Exception:
            if await find_problem(self._api) != MISSING:
                raise
            logger.critical("The watch has ended, and this process with it: %s", MISSING)
            raise SystemExit(FAILED) from None

    async def serve(self, stack: AsyncExitStack, lifecycle: Lifecycle, election: Election | None) -> None:
        """Serve /metrics, /healthz and /readyz until the stack is closed."""

        def watching() -> str | None:
            # One that waits for its election is ready for it: else a Deployment would not roll.
            return None if self.ready.is_set() or not lifecycle.acting else "the watch has not begun"

        if self.settings.metrics_address:
            with named("--metrics-address", self.settings.metrics_address):
                stack.callback(self.metrics.serve(*host_and_port(self.settings.metrics_address)))
        if self.settings.health_address:
            server = HealthServer(
                healthz={"queue": self._check_queue, "watch": self.resync.check},
                readyz={"watching": watching} | ({"lease": election.check} if election else {}),
            )
            with named("--health-address", self.settings.health_address):
                await server.start(*host_and_port(self.settings.health_address))
            stack.push_async_callback(server.stop)
        if self.settings.webhook_address:
            await self._serve_webhook(stack)

    async def _serve_webhook(self, stack: AsyncExitStack) -> None:
        receiver = Receiver(self.cache.owner, self._notification_secret, self.reconciler.notified)
        server = WebhookServer(
            receiver, self.ready.is_set, lambda result: self.metrics.notifications.labels(result).inc()
        )
        with named("--webhook-address", self.settings.webhook_address):
            await server.start(*host_and_port(self.settings.webhook_address))
        stack.push_async_callback(server.stop)

    def _notification_secret(self, uid: str) -> SecretStr | None:
        credentials = self.credentials.last_good(uid)
        return credentials.notification_secret if credentials else None

    def _check_queue(self) -> str | None:
        stuck = self.queue.stuck()
        return None if stuck < STUCK_AFTER else f"a key is being worked on for {stuck:.0f} s"
