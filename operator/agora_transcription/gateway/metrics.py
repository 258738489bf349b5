"""What the gateway tells about itself."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from agora_transcription import __version__
from agora_transcription.telemetry.tasks import PREFIX

__all__ = ["GatewayMetrics"]

SECONDS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)


class GatewayMetrics:
    """All metrics of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            f"{PREFIX}_gateway_requests",
            "Calls by endpoint (start, stop, query, token) and HTTP status",
            ["endpoint", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            f"{PREFIX}_gateway_request_duration_seconds",
            "Duration of a call, waiting for the operator included",
            ["endpoint"],
            buckets=SECONDS,
            registry=self.registry,
        )
        build = Gauge(f"{PREFIX}_gateway_build_info", "Always 1", ["version"], registry=self.registry)
        build.labels(__version__).set(1)

    def observe(self, endpoint: str, code: int, seconds: float) -> None:
        """Count a call."""
        self._requests.labels(endpoint, str(code)).inc()
        self._seconds.labels(endpoint).observe(seconds)
