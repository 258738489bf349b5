"""/metrics: which names are served, and what moves them."""

from __future__ import annotations

import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agora_transcription.telemetry.metrics import CONTROLLER, Metrics
from support.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.metrics_core import Metric

OF_CONTROLLER_RUNTIME = {
    "controller_runtime_reconcile": "counter",
    "controller_runtime_reconcile_errors": "counter",
    "controller_runtime_reconcile_time_seconds": "histogram",
    "controller_runtime_max_concurrent_reconciles": "gauge",
    "controller_runtime_active_workers": "gauge",
    "leader_election_master_status": "gauge",
    "workqueue_depth": "gauge",
    "workqueue_longest_running_processor_seconds": "gauge",
    "workqueue_retries": "counter",
}
OWN = {
    "agora_transcription_agora_requests": "counter",
    "agora_transcription_agora_request_duration_seconds": "histogram",
    "agora_transcription_budget_wait_seconds": "histogram",
    "agora_transcription_budget_waiting": "gauge",
    "agora_transcription_notifications": "counter",
    "agora_transcription_object_writes": "counter",
    "agora_transcription_missed_watch_events": "counter",
    "agora_transcription_unowned_tasks": "gauge",
    "agora_transcription_stray_tasks": "counter",
    "agora_transcription_tasks": "gauge",
    "agora_transcription_task_ready": "gauge",
    "agora_transcription_task_expiry_timestamp_seconds": "gauge",
    "agora_transcription_task_deletion_timestamp_seconds": "gauge",
    "agora_transcription_build_info": "gauge",
}


class Queue:
    depth = 7
    retries = 4

    def oldest(self) -> float:
        return 1.5


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.watch_state([], Queue(), lambda: {"start_stop": 2, "poll": 5})
    return metrics


def families(text: str) -> Mapping[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(metric, labels)


def test_all_names_are_served_over_http(metrics: Metrics) -> None:
    port = free_port()
    stop = metrics.serve("127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            served = families(answer.read().decode())
    finally:
        stop()
    assert {
        name: family.type
        for name, family in served.items()
        if not name.endswith("_created") and not name.startswith("process_")
    } == OF_CONTROLLER_RUNTIME | OWN
    if sys.platform == "linux":  # prometheus_client reads them from /proc
        assert {"process_cpu_seconds", "process_resident_memory_bytes"} <= served.keys()
    for name, family in served.items():
        assert family.documentation or name.endswith("_created"), name


def test_the_port_is_free_again_afterwards(metrics: Metrics) -> None:
    port = free_port()
    metrics.serve("127.0.0.1", port)()
    metrics.serve("127.0.0.1", port)()


def test_a_call_is_counted_by_what_it_was_and_how_it_ended(metrics: Metrics) -> None:
    metrics.observe_request("V7", "start", "200", 0.02)
    metrics.observe_request("V7", "start", "Ambiguous", 10.0)
    labels = {"dialect": "V7", "operation": "start"}
    assert value(metrics, "agora_transcription_agora_requests_total", **labels, code="200") == 1
    assert value(metrics, "agora_transcription_agora_requests_total", **labels, code="Ambiguous") == 1
    assert value(metrics, "agora_transcription_agora_request_duration_seconds_count", **labels) == 2
    assert value(metrics, "agora_transcription_agora_request_duration_seconds_sum", **labels) == pytest.approx(10.02)


def test_waits_for_the_budget_are_told_apart_by_priority(metrics: Metrics) -> None:
    metrics.observe_wait("poll", 2.0)
    metrics.observe_wait("start_stop", 0.5)
    assert value(metrics, "agora_transcription_budget_wait_seconds_sum", priority="poll") == 2.0
    assert value(metrics, "agora_transcription_budget_wait_seconds_sum", priority="start_stop") == 0.5


def test_state_is_counted_when_somebody_asks(metrics: Metrics) -> None:
    assert value(metrics, "workqueue_depth", name=CONTROLLER) == 7
    assert value(metrics, "workqueue_retries_total", name=CONTROLLER) == 4
    assert value(metrics, "agora_transcription_budget_waiting", priority="start_stop") == 2
    assert value(metrics, "agora_transcription_budget_waiting", priority="poll") == 5
    assert value(metrics, "workqueue_longest_running_processor_seconds", name=CONTROLLER) == 1.5


def test_the_first_error_and_the_first_stray_are_an_increase(metrics: Metrics) -> None:
    """Prometheus sees none where a counter appears with its first event."""
    assert value(metrics, "controller_runtime_reconcile_errors_total", controller=CONTROLLER) == 0
    assert value(metrics, "controller_runtime_reconcile_total", controller=CONTROLLER, result="error") == 0
    assert value(metrics, "agora_transcription_stray_tasks_total", outcome="left") == 0


def test_metrics_of_two_operators_do_not_mix(metrics: Metrics) -> None:
    metrics.missed_events.inc()
    assert value(Metrics(), "agora_transcription_missed_watch_events_total") == 0
    assert b"agora_transcription_missed_watch_events_total 1.0" in generate_latest(metrics.registry)
