"""What is told of each TranscriptionTask, read from the objects when somebody asks: it goes when the object goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agora_transcription.api.status import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from agora_transcription.api import TranscriptionTask

__all__ = ["PREFIX", "TaskCollector"]

PREFIX: Final = "agora_transcription"
OBJECT: Final = ("namespace", "name")


class TaskCollector(Collector):
    """One pass over the objects for each scrape, in the thread that answers it."""

    def __init__(self, tasks: Iterable[TranscriptionTask]) -> None:
        """Tell of tasks.

        Args:
            tasks: Each iteration goes over the objects as they are then, and may be done from any thread.
        """
        self._tasks = tasks

    def collect(self) -> Iterable[Metric]:
        """Read the objects as they are now."""
        counts = dict.fromkeys(Phase, 0)
        phases = GaugeMetricFamily(f"{PREFIX}_tasks", "TranscriptionTasks by phase", labels=["phase"])
        ready = GaugeMetricFamily(
            f"{PREFIX}_task_ready",
            "1 where Ready is True (running, suspended or completed), else 0, with its reason; absent during deletion",
            labels=[*OBJECT, "reason"],
        )
        expiry = GaugeMetricFamily(
            f"{PREFIX}_task_expiry_timestamp_seconds",
            "When the running Agora task ends, unless it is renewed before; absent for one that is not to be renewed",
            labels=OBJECT,
        )
        deletion = GaugeMetricFamily(
            f"{PREFIX}_task_deletion_timestamp_seconds",
            "When the deletion of an object that is still there was asked for",
            labels=OBJECT,
        )
        for task in self._tasks:
            metadata, status = task.metadata, task.status
            where = [metadata.namespace, metadata.name]
            counts[status.phase or Phase.PENDING] += 1
            if metadata.deletion_timestamp is not None:
                deletion.add_metric(where, metadata.deletion_timestamp.timestamp())
                continue
            condition = status.ready
            reason = condition.reason if condition else Phase.PENDING.value
            ready.add_metric([*where, reason], condition is not None and condition.status == "True")
            if status.task_id and status.expiry_time and not task.spec.suspend:
                expiry.add_metric(where, status.expiry_time.timestamp())
        for phase, count in counts.items():
            phases.add_metric([phase], count)
        return phases, ready, expiry, deletion
