"""What /metrics tells of each object, and when it tells nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from agora_transcription.api import Reason
from agora_transcription.api.conditions import failed, merge_conditions, progressing, ready, retrying
from agora_transcription.controller.cache import TaskCache
from agora_transcription.telemetry.tasks import TaskCollector
from unit.controller.builders import BIRTH, NAME, NAMESPACE, UID, after, body_of, rfc3339

if TYPE_CHECKING:
    from agora_transcription.api.conditions import Verdict

READY = "agora_transcription_task_ready"
EXPIRY = "agora_transcription_task_expiry_timestamp_seconds"
DELETION = "agora_transcription_task_deletion_timestamp_seconds"
PHASE = "agora_transcription_tasks"
WHERE = {"namespace": NAMESPACE, "name": NAME}
RUNNING = {"phase": "Running", "taskId": "agora-1", "expiryTime": rfc3339(after(3600))}


@pytest.fixture
def cache() -> TaskCache:
    return TaskCache()


@pytest.fixture
def registry(cache: TaskCache) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(TaskCollector(cache))
    return registry


def status_of(verdict: Verdict, **more: Any) -> dict[str, Any]:
    conditions = merge_conditions((), verdict, generation=1, now=rfc3339(BIRTH))
    dumped = [condition.model_dump(by_alias=True, exclude_none=True) for condition in conditions]
    return {"observedGeneration": 1, "conditions": dumped, **more}


def names(registry: CollectorRegistry) -> set[str]:
    return {sample.name for family in registry.collect() for sample in family.samples}


@pytest.mark.parametrize(
    ("verdict", "value"),
    [
        (ready(Reason.RUNNING, ""), 1),
        (ready(Reason.SUSPENDED, ""), 1),
        (ready(Reason.COMPLETED, ""), 1),
        (progressing(Reason.STARTING, ""), 0),
        (retrying(Reason.AGORA_UNAVAILABLE, ""), 0),
        (failed(Reason.DEADLINE_EXCEEDED, ""), 0),
    ],
    ids=lambda value: value.reason if hasattr(value, "reason") else "",
)
def test_ready_is_1_where_the_condition_is_true(
    cache: TaskCache, registry: CollectorRegistry, verdict: Verdict, value: float
) -> None:
    cache.offer(body_of(status=status_of(verdict)))
    assert registry.get_sample_value(READY, WHERE | {"reason": verdict.reason}) == value


def test_an_object_that_nobody_has_seen_to_is_pending(cache: TaskCache, registry: CollectorRegistry) -> None:
    cache.offer(body_of())
    assert registry.get_sample_value(READY, WHERE | {"reason": "Pending"}) == 0
    assert registry.get_sample_value(PHASE, {"phase": "Pending"}) == 1


def test_each_phase_is_counted_and_those_without_objects_are_0(cache: TaskCache, registry: CollectorRegistry) -> None:
    cache.offer(body_of(status=status_of(ready(Reason.RUNNING, ""), **RUNNING)))
    cache.offer(body_of(status=status_of(ready(Reason.RUNNING, ""), **RUNNING), uid="another", name="another"))
    assert registry.get_sample_value(PHASE, {"phase": "Running"}) == 2
    assert registry.get_sample_value(PHASE, {"phase": "Failed"}) == 0


def test_the_expiry_is_told_of_a_task_that_is_to_run_on(cache: TaskCache, registry: CollectorRegistry) -> None:
    status = status_of(ready(Reason.RUNNING, ""), **RUNNING)
    cache.offer(body_of(status=status))
    assert registry.get_sample_value(EXPIRY, WHERE) == (BIRTH + timedelta(hours=1)).timestamp()
    cache.offer(body_of({"suspend": True}, status, resourceVersion="2"))
    assert EXPIRY not in names(registry), "it is to be stopped: nobody renews it"
    cache.offer(body_of(status=status_of(ready(Reason.COMPLETED, "")), resourceVersion="3"))
    assert EXPIRY not in names(registry), "nothing runs"


def test_an_object_on_its_way_out_is_told_by_the_time_of_its_deletion_alone(
    cache: TaskCache, registry: CollectorRegistry
) -> None:
    status = status_of(ready(Reason.RUNNING, ""), **RUNNING)
    cache.offer(body_of(status=status, deletionTimestamp=rfc3339(after(60))))
    assert registry.get_sample_value(DELETION, WHERE) == after(60).timestamp()
    assert names(registry) == {PHASE, DELETION}


def test_nothing_stays_of_an_object_that_is_gone(cache: TaskCache, registry: CollectorRegistry) -> None:
    cache.offer(body_of(status=status_of(ready(Reason.RUNNING, ""), **RUNNING)))
    assert names(registry) == {PHASE, READY, EXPIRY}
    cache.drop(UID)
    assert names(registry) == {PHASE}
