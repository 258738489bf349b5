"""What the service tells about itself. Nothing of it names a session, a caller or a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from agora_transcription import __version__
from agora_transcription.stt.protocol import Close
from agora_transcription.telemetry.tasks import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DROPPED", "REJECTED", "STATES", "SttMetrics"]

STATES: Final = ("opening", "running", "ending")
REJECTED: Final = ("capacity", "draining", "engine", "connections", "key", "throttled")
DROPPED: Final = ("audio", "batch", "partial", "malformed")
FACTORS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0)
GONE: Final = "0"
OTHER: Final = "other"
"""The label of a code that is not one of the service's: the other end of a relay has thousands."""

SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class SttMetrics:
    """All metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.sessions = Gauge(
            f"{PREFIX}_stt_sessions", "Sessions by state: opening, running, ending", ["state"], registry=self.registry
        )
        self.capacity = Gauge(f"{PREFIX}_stt_max_sessions", "Sessions that are let in at once", registry=self.registry)
        self.connections = Gauge(f"{PREFIX}_stt_connections", "Clients that are connected", registry=self.registry)
        self.rejected = Counter(
            f"{PREFIX}_stt_admission_rejected",
            "Sessions and connections that were refused, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.closed = Counter(
            f"{PREFIX}_stt_sessions_closed",
            "Sessions that have ended, by the code of session-closed; 0 where the client has gone",
            ["code"],
            registry=self.registry,
        )
        self.errors = Counter(f"{PREFIX}_stt_errors", "session-error events by code", ["code"], registry=self.registry)
        self.audio_seconds = Counter(
            f"{PREFIX}_stt_audio_seconds", "Seconds of audio that were taken", registry=self.registry
        )
        self.audio_lag = Gauge(
            f"{PREFIX}_stt_audio_lag_seconds",
            "Seconds of audio that have come and are not worked through, of the session where that is most",
            registry=self.registry,
        )
        self.partial_seconds = Histogram(
            f"{PREFIX}_stt_partial_latency_seconds",
            "From the audio's coming to the partial text that says it",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            f"{PREFIX}_stt_commit_latency_seconds",
            "From the end of speech to its committed text",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.real_time_factor = Histogram(
            f"{PREFIX}_stt_real_time_factor",
            "Seconds of a worker's time for a second of audio, of each session at its end; not of relays",
            buckets=FACTORS,
            registry=self.registry,
        )
        self.dropped = Counter(
            f"{PREFIX}_stt_dropped_packets",
            "What was not acted on or not sent, by where: audio, batch, partial, malformed",
            ["where"],
            registry=self.registry,
        )
        self.out_queue = Gauge(
            f"{PREFIX}_stt_out_queue",
            "Packets that wait for a client to take them, of the client where they are most",
            registry=self.registry,
        )
        self._build = Gauge(f"{PREFIX}_stt_build_info", "Always 1", ["version", "engine"], registry=self.registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """What appears with its first event hides that event from a rate."""
        for state in STATES:
            self.sessions.labels(state)
        for reason in REJECTED:
            self.rejected.labels(reason)
        for where in DROPPED:
            self.dropped.labels(where)
        self.closed.labels(GONE)
        for code in (*map(_label, Close), OTHER):
            self.errors.labels(code)
            self.closed.labels(code)

    def failed(self, code: int) -> None:
        """Count a `session-error`."""
        self.errors.labels(_label(code)).inc()

    def ended(self, code: int | None) -> None:
        """Count a session that has ended, with the code of `session-closed`; None where its client has gone."""
        self.closed.labels(GONE if code is None else _label(code)).inc()

    def describe(self, engine: str, capacity: int) -> None:
        """Say what runs, and for how many."""
        self._build.labels(__version__, engine).set(1)
        self.capacity.set(capacity)

    def watch(self, lag: Callable[[], float], out_queue: Callable[[], float], connections: Callable[[], float]) -> None:
        """Report what is only read when somebody asks, from the thread that answers."""
        self.audio_lag.set_function(lag)
        self.out_queue.set_function(out_queue)
        self.connections.set_function(connections)


def _label(code: int) -> str:
    return str(int(code)) if code in set(Close) else OTHER
