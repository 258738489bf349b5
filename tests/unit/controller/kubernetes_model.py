"""A small model of the API server, and stand-ins for what the reconciler has around it. No I/O.

Objects have resourceVersions, generations, finalizers and a status with its schema default. A write on an old version
is refused; any can fail before or after its effect, as can the process that made it.
"""

from __future__ import annotations

import asyncio
import copy
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from agora_transcription import agora
from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.calls import Caller
from agora_transcription.controller.credentials import CredentialStore
from agora_transcription.controller.intake import Intake
from agora_transcription.controller.reconciler import Reconciler, Services
from agora_transcription.controller.store import NotFound, Outdated, Secret, StoreError
from agora_transcription.telemetry.metrics import Metrics
from unit.controller.builders import NAME, NAMESPACE, SECRET, UID, body_of, rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    import kopf

    from agora_transcription.api import Metadata, TranscriptionTask
    from agora_transcription.api.status import TaskStatus
    from agora_transcription.controller.events import EventPoster
    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.resync import Resync
    from unit.controller.agora_model import AgoraModel, Fault
    from unit.controller.builders import Clock

Body = dict[str, Any]

METRICS = Metrics()


def merged(before: Body, patch: Body) -> Body:
    """Apply a JSON merge patch, as RFC 7386 says."""
    result = dict(before)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            earlier = result.get(name)
            result[name] = merged(earlier if isinstance(earlier, dict) else {}, value)
        else:
            result[name] = value
    return result


class ApiServer:
    """One object and its namespace's Secret; the `Store` of the reconciler."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.object: Body | None = None
        self.versions: list[Body] = []
        self.secret_data: dict[str, str] | None = dict(SECRET)
        self.secret_version = 1
        self.writes = 0
        self.fault: Fault | None = None
        self.tell: Callable[[str, Body], None] = lambda _kind, _body: None
        """The watch: told of every change."""
        self._version = 0

    # What users do -------------------------------------------------------------------------------------------------

    def create(self, spec: Body, *, guarded: bool) -> None:
        self._keep(body_of(spec, guarded=guarded, creationTimestamp=rfc3339(self.clock.now())), "ADDED")

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec; None removes one."""
        body = self._current()
        wanted = merged(body["spec"], spec)
        if wanted != body["spec"]:
            generation = body["metadata"]["generation"] + 1
            self._keep({**body, "spec": wanted, "metadata": {**body["metadata"], "generation": generation}})

    def request_deletion(self) -> None:
        """`kubectl delete`: at once without finalizers, else once the last is gone."""
        body = self._current()
        if "deletionTimestamp" in body["metadata"]:
            return
        if not body["metadata"]["finalizers"]:
            self._remove(body)
            return
        marks = {"deletionTimestamp": rfc3339(self.clock.now()), "generation": body["metadata"]["generation"] + 1}
        self._keep({**body, "metadata": {**body["metadata"], **marks}})

    def strip_finalizers(self) -> bool:
        """`kubectl replace` with a manifest that has none; answers whether there were any."""
        body = self._current()
        if not body["metadata"]["finalizers"] or "deletionTimestamp" in body["metadata"]:
            return False
        self._keep({**body, "metadata": {**body["metadata"], "finalizers": []}})
        return True

    def set_secret(self, data: dict[str, str] | None) -> None:
        self.secret_data = data
        self.secret_version += 1

    def overwrite_status(self, **status: Any) -> None:
        """Somebody else writes the status."""
        body = self._current()
        self._keep({**body, "status": merged(body["status"], status)})

    # What the operator does ----------------------------------------------------------------------------------------

    async def get(self, namespace: str, name: str) -> Body:
        assert (namespace, name) == (NAMESPACE, NAME)
        if self.object is None:
            raise NotFound("get", 404, "not found")
        return copy.deepcopy(self.object)

    async def all(self) -> AsyncIterator[Body]:
        if self.object is not None:
            yield copy.deepcopy(self.object)

    async def write_status(self, task: TranscriptionTask, patch: Body) -> Body:
        def effect() -> Body:
            body = self._guarded(task)
            assert patch, "an empty patch is a write for nothing"
            return self._keep({**body, "status": merged(body["status"], copy.deepcopy(patch))})

        return self._write(effect)

    async def write_finalizers(self, task: TranscriptionTask, finalizers: tuple[str, ...]) -> Body:
        def effect() -> Body:
            body = self._guarded(task)
            changed = {**body, "metadata": {**body["metadata"], "finalizers": list(finalizers)}}
            if not finalizers and "deletionTimestamp" in body["metadata"]:
                self._remove(changed)
                return changed
            return self._keep(changed)

        return self._write(effect)

    async def delete(self, task: TranscriptionTask) -> None:
        def effect() -> Body:
            body = self._guarded(task)
            self.request_deletion()
            return body

        self._write(effect)

    async def secret(self, namespace: str, name: str) -> Secret:
        assert namespace == NAMESPACE
        if self.secret_data is None:
            raise NotFound(f"get secret {namespace}/{name}", 404, "not found")
        return Secret(f"{name}/{self.secret_version}", dict(self.secret_data))

    async def event(self, about: Metadata, *, warning: bool, reason: str, message: str, now: str) -> None:
        """Events are looked at where they are handed over."""

    # The parts -----------------------------------------------------------------------------------------------------

    def _current(self) -> Body:
        assert self.object is not None
        return copy.deepcopy(self.object)

    def _guarded(self, task: TranscriptionTask) -> Body:
        if self.object is None:
            raise NotFound("write", 404, "not found")
        if self.object["metadata"]["resourceVersion"] != task.metadata.resource_version:
            raise Outdated("write", 409, "the object has been modified")
        return self._current()

    def _keep(self, body: Body, kind: str = "MODIFIED") -> Body:
        self._version += 1
        body["metadata"] = {**body["metadata"], "resourceVersion": str(self._version)}
        self.object = body
        self.versions.append(copy.deepcopy(body))
        self.tell(kind, copy.deepcopy(body))
        return copy.deepcopy(body)

    def _remove(self, body: Body) -> None:
        self.object = None
        self._version += 1
        body["metadata"] = {**body["metadata"], "resourceVersion": str(self._version)}
        self.tell("DELETED", body)

    def _write(self, effect: Callable[[], Body]) -> Body:
        self.writes += 1
        fault, self.fault = self.fault, None
        if fault is not None and not fault.effect:
            raise fault.error("write")
        body = effect()
        if fault is not None:
            raise fault.error("write")
        return body


def unanswered(_: str) -> BaseException:
    """The API server says nothing."""
    return StoreError("write", None, "no answer")


class OneKey:
    """The work queue of one object, worked off by hand."""

    def __init__(self) -> None:
        self.is_dirty = False
        self.due: float | None = None
        self.event = asyncio.Event()
        self.waits = False
        """The worker is waiting on purpose."""
        self.closed = False

    def add(self, key: str) -> None:
        assert key == UID
        self.is_dirty, self.due = True, None
        self.event.set()

    def add_at(self, key: str, when: float) -> None:
        assert key == UID
        self.due = when if self.due is None else min(self.due, when)

    def forget(self, key: str) -> None:
        assert key == UID
        self.due = None

    def dirty(self, key: str) -> asyncio.Event:
        assert key == UID
        return self.event

    @contextmanager
    def parked(self, key: str, *, dispensable: bool = False) -> Iterator[None]:  # noqa: ARG002 - as the queue's
        assert key == UID
        self.waits = True
        yield
        self.waits = False


class Open:
    """Budgets without limits."""

    def admit_at_once(self, account: agora.Account, priority: agora.Priority) -> bool:  # noqa: ARG002 - as the real one's
        """Always."""
        return True

    async def admit(self, account: agora.Account, priority: agora.Priority, tenant: str) -> None:
        """At once."""

    async def admit_next(self, account: agora.Account, priority: agora.Priority, tenant: str) -> None:
        """At once."""

    def report(self, account: agora.Account, error: agora.AgoraError | None) -> None:
        """Nothing is learnt."""

    def reporting(self, account: agora.Account, operation: str) -> AbstractContextManager[None]:  # noqa: ARG002 - as the real one's
        """Nothing is learnt."""
        return nullcontext()


class Told:
    """Keeps events instead of posting them."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.warnings: list[str] = []
        """The messages of how it ended badly."""

    def changed(self, task: TranscriptionTask, before: TaskStatus, after: TaskStatus) -> None:  # noqa: ARG002 - as the poster's
        if after.ready is not None and (before.ready is None or before.ready.reason != after.ready.reason):
            self.reasons.append(after.ready.reason)

    def ended(self, task: TranscriptionTask, reason: str, message: str, *, warning: bool = False) -> None:  # noqa: ARG002 - as the poster's
        self.reasons.append(reason)
        if warning:
            self.warnings.append(message)


class Process:
    """An operator's process: the real reconciler, and all that dies with it."""

    def __init__(
        self,
        server: ApiServer,
        agora_model: AgoraModel,
        *,
        default: agora.Dialect = agora.Dialect.V7,
        budgets: agora.Budgets | None = None,
        poll_interval: float = 60.0,
    ) -> None:
        self.server = server
        self.cache = TaskCache()
        self.queue = OneKey()
        self.events = Told()
        self.credentials = CredentialStore(server, self.queue.add, clock=server.clock.monotonic)
        client = cast("agora.AgoraClient", agora_model)
        self.reconciler = Reconciler(
            Services(
                store=server,
                cache=self.cache,
                credentials=self.credentials,
                budgets=budgets or cast("agora.Budgets", Open()),
                caller=Caller(client, self.cache, poll_interval, agora.TokenVersion.V007),
                events=cast("EventPoster", self.events),
                metrics=METRICS,
            ),
            default=default,
            workers=1,
            poll_interval=poll_interval,
        )
        queue = cast("WorkQueue[str]", self.queue)
        self.reconciler.attach(queue)
        self._intake = Intake(self.cache, queue, self.reconciler, cast("Resync", None))

    def hear(self, kind: str | None, body: Body) -> None:
        """The watch tells of an object; None is for the list that it begins with."""
        if kind is None:
            self._intake.listed("/tasks", [body], begins=False)
        else:
            self._intake.told(cast("kopf.RawEvent", {"type": kind, "object": body}))

    @property
    def is_due(self) -> bool:
        return self.queue.is_dirty or (self.queue.due is not None and self.queue.due <= self.server.clock.monotonic())

    async def reconcile(self) -> None:
        """One reconciliation."""
        self.queue.is_dirty, self.queue.due = False, None
        await self.reconciler.reconcile(UID)

    async def work(self, most: int = 50) -> None:
        """Reconcile while something is due, and no more often than is reasonable."""
        for _ in range(most):
            if not self.is_due:
                return
            await self.reconcile()
        raise AssertionError(f"still something to do after {most} reconciliations")
