"""Prometheus metrics. Where controller-runtime or client-go have a name for a thing it is used, so dashboards fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from agora_transcription import __version__
from agora_transcription.telemetry.tasks import PREFIX, TaskCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.metrics_core import Metric

    from agora_transcription.api import TranscriptionTask

__all__ = ["CONTROLLER", "Metrics", "serve"]

CONTROLLER: Final = "transcriptiontask"
"""The value of the labels `controller` and `name`."""

SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Queue(Protocol):
    """What is reported of the work queue."""

    retries: int

    @property
    def depth(self) -> int:
        """Keys that are worked on or wait for it."""

    def oldest(self) -> float:
        """Seconds since when the longest of them does."""


class Metrics:
    """All metrics of one operator, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reconciles = Counter(
            "controller_runtime_reconcile",
            "Reconciliations by result: success, requeue_after, requeue or error",
            ["controller", "result"],
            registry=self.registry,
        )
        self.reconcile_errors = Counter(
            "controller_runtime_reconcile_errors",
            "Reconciliations that ended in an error, unexpected or of Kubernetes; a failed call to Agora is none",
            ["controller"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconciliation, waiting for Agora's budget included",
            ["controller"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.max_workers = Gauge(
            "controller_runtime_max_concurrent_reconciles",
            "How many tasks may be acted on at the same time",
            ["controller"],
            registry=self.registry,
        )
        self.active_workers = Gauge(
            "controller_runtime_active_workers",
            "How many tasks are acted on now",
            ["controller"],
            registry=self.registry,
        )
        self.requests = Counter(
            f"{PREFIX}_agora_requests",
            "Calls to Agora; code is the HTTP status, or the kind of error where no answer came",
            ["dialect", "operation", "code"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            f"{PREFIX}_agora_request_duration_seconds",
            "Duration of a call to Agora",
            ["dialect", "operation"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.budget_seconds = Histogram(
            f"{PREFIX}_budget_wait_seconds",
            "How long calls waited for their App ID's budget, by priority: start_stop, update, poll",
            ["priority"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.notifications = Counter(
            f"{PREFIX}_notifications",
            "Notifications of Agora by result: accepted, or why one had no effect",
            ["result"],
            registry=self.registry,
        )
        self.object_writes = Counter(
            f"{PREFIX}_object_writes",
            "Writes to TranscriptionTasks by kind: status, finalizers, delete",
            ["kind"],
            registry=self.registry,
        )
        self.missed_events = Counter(
            f"{PREFIX}_missed_watch_events",
            "Objects that a resync found newer than the watch had told",
            registry=self.registry,
        )
        self.leader = Gauge(
            "leader_election_master_status",
            "1 while this replica holds the Lease, 0 while it waits for it; absent without --leader-elect",
            ["name"],
            registry=self.registry,
        )
        self.unowned_tasks = Gauge(
            f"{PREFIX}_unowned_tasks",
            "Running Agora tasks of a project that no watched object owns; absent while the project is not listed",
            ["app_id"],
            registry=self.registry,
        )
        self.stray_tasks = Counter(
            f"{PREFIX}_stray_tasks",
            "Agora tasks whose object vanished without the operator's consent: stopped, ended (before), owned or left",
            ["outcome"],
            registry=self.registry,
        )
        build = Gauge(f"{PREFIX}_build_info", "Always 1", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Where a rate or an increase decides: what appears with its first event hides that event from both."""
        # Kept, because to look them up takes longer than to count.
        self._errors = self.reconcile_errors.labels(CONTROLLER)
        self._results = {
            result: self.reconciles.labels(CONTROLLER, result)
            for result in ("success", "requeue_after", "requeue", "error")
        }
        self._reconcile_seconds = self.reconcile_seconds.labels(CONTROLLER)
        for outcome in ("stopped", "ended", "owned", "left"):
            self.stray_tasks.labels(outcome)

    def observe_reconcile(self, result: str, seconds: float) -> None:
        """Count a reconciliation."""
        self._results[result].inc()
        if result == "error":
            self._errors.inc()
        self._reconcile_seconds.observe(seconds)

    def observe_request(self, dialect: str, operation: str, code: str, seconds: float) -> None:
        """Count a call to Agora."""
        self.requests.labels(dialect, operation, code).inc()
        self.request_seconds.labels(dialect, operation).observe(seconds)

    def observe_wait(self, priority: str, seconds: float) -> None:
        """Count a call that has waited for its App ID's budget."""
        self.budget_seconds.labels(priority).observe(seconds)

    def watch_state(
        self, tasks: Iterable[TranscriptionTask], queue: Queue, waiting: Callable[[], Mapping[str, int]]
    ) -> None:
        """Report what is only read when somebody asks, from the thread that answers.

        Args:
            tasks: The objects; each iteration goes over them as they are then.
            queue: The work queue.
            waiting: Calls that wait for their App ID's budget, by priority.
        """
        self.registry.register(TaskCollector(tasks))
        self.registry.register(_State(queue, waiting))

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve /metrics from a thread; answers what ends it."""
        return serve(self.registry, host, port)


def serve(registry: CollectorRegistry, host: str, port: int) -> Callable[[], None]:
    """Serve the metrics of a registry from a thread; answers what ends it."""
    server, thread = start_http_server(port, host or "0.0.0.0", registry=registry)  # noqa: S104 - scraped from outside

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _State(Collector):
    def __init__(self, queue: Queue, waiting: Callable[[], Mapping[str, int]]) -> None:
        self._queue = queue
        self._waiting = waiting

    def collect(self) -> Iterable[Metric]:
        """Read the numbers as they are now."""
        waiting = GaugeMetricFamily(
            f"{PREFIX}_budget_waiting", "Calls that wait for their App ID's budget", labels=["priority"]
        )
        for priority, count in self._waiting().items():
            waiting.add_metric([priority], count)
        yield waiting
        depth = GaugeMetricFamily("workqueue_depth", "Keys in the work queue", labels=["name"])
        depth.add_metric([CONTROLLER], self._queue.depth)
        yield depth
        oldest = GaugeMetricFamily(
            "workqueue_longest_running_processor_seconds",
            "Seconds since when the longest waiting or working key is in the queue",
            labels=["name"],
        )
        oldest.add_metric([CONTROLLER], self._queue.oldest())
        yield oldest
        retries = CounterMetricFamily(
            "workqueue_retries", "Keys that are worked on again because of an unexpected error", labels=["name"]
        )
        retries.add_metric([CONTROLLER], self._queue.retries)
        yield retries
