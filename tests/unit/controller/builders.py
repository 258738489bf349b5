"""Objects, credentials and a clock for the tests of the controller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from agora_transcription.agora import Account
from agora_transcription.api import API_VERSION, FINALIZER, KIND, TranscriptionTask
from agora_transcription.controller import calls, fleet, looks, memory, reconciler, strays
from agora_transcription.controller.translate import Credentials

if TYPE_CHECKING:
    import pytest

    from agora_transcription.agora import Dialect

NAMESPACE: Final = "calls"
NAME: Final = "standup"
UID: Final = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
BIRTH: Final = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
"""When the objects of these tests were created."""

SECRET: Final = {
    "appId": "0123456789abcdef0123456789abcdef",
    "appCertificate": "fedcba9876543210fedcba9876543210",
    "customerId": "customer-of-the-tests",
    "customerSecret": "secret-of-the-tests",
}

CREDENTIALS: Final = Credentials(
    Account(
        SECRET["appId"],
        SECRET["customerId"],
        SecretStr(SECRET["customerSecret"]),
        SecretStr(SECRET["appCertificate"]),
    )
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime = BIRTH) -> None:
        self._start = start
        self._seconds = 0.0

    def now(self) -> datetime:
        """The time as the status can hold it."""
        return self._start + timedelta(milliseconds=round(self._seconds * 1000))

    def monotonic(self) -> float:
        return self._seconds

    def advance(self, seconds: float) -> None:
        self._seconds += seconds

    def set_forward(self, by: timedelta) -> None:
        """Only the wall clock is set."""
        self._start += by

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let the controller tell the time by this clock."""
        for module in (calls, fleet, looks, memory, reconciler, strays):
            patch.setattr(module, "now", self.now)
        for module in (calls, looks, memory, strays):
            patch.setattr(module, "steady_clock", self.monotonic)
        for timed in (fleet, reconciler):
            patch.setattr(timed, "time", self)


def after(seconds: float) -> datetime:
    """So many seconds after the object's birth."""
    return BIRTH + timedelta(seconds=seconds)


def rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body_of(
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    *,
    guarded: bool = True,
    **metadata: Any,
) -> dict[str, Any]:
    """An object's JSON, as the API server gives it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "namespace": NAMESPACE,
            "name": NAME,
            "uid": UID,
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": rfc3339(BIRTH),
            "finalizers": [FINALIZER] if guarded else [],
            **metadata,
        },
        "spec": {"channel": "standup", "languages": ["en-US"], **(spec or {})},
        "status": {"observedGeneration": -1} if status is None else status,
    }


def task_of(
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    *,
    guarded: bool = True,
    **metadata: Any,
) -> TranscriptionTask:
    """An object."""
    return TranscriptionTask.parse(body_of(spec, status, guarded=guarded, **metadata))


def api_of(dialect: Dialect) -> dict[str, Any]:
    """The spec's word for a dialect."""
    return {"agoraApi": dialect.value}
