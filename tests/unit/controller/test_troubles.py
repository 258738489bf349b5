"""What a failed call means: a table like the one in the module's docstring."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agora_transcription import agora
from agora_transcription.api import Reason
from agora_transcription.controller.troubles import backoff, trouble_of
from unit.controller.builders import after, rfc3339, task_of

NOW = after(100)
RETRIES = [1, 3, 6, 12, 24, 48, 96, 192, 300, 300]
"""Seconds after the first, second ... failure."""


@pytest.mark.parametrize(("failures", "seconds"), list(enumerate(RETRIES, start=1)))
def test_back_off_begins_with_agoras_advice_and_doubles_to_five_minutes(failures: int, seconds: float) -> None:
    assert backoff(failures, 0) == seconds
    assert backoff(failures, 1) == pytest.approx(seconds * 1.1)


def test_back_off_of_something_that_has_failed_for_years() -> None:
    assert backoff(10**6, 0) == 300


@pytest.mark.parametrize(
    ("error", "reason", "seconds", "ready", "lasting"),
    [
        (agora.NotSent("start"), Reason.AGORA_UNAVAILABLE, [1, 3, 6, 12], "False", False),
        (agora.Ambiguous("start"), Reason.AGORA_UNAVAILABLE, [1, 3, 6, 12], "False", False),
        (agora.Upstream("start", code=502), Reason.AGORA_UNAVAILABLE, [1, 3, 6, 12], "False", False),
        (agora.Throttled("start", retry_after=17), Reason.THROTTLED, [17, 17], "False", False),
        (agora.Throttled("start", retry_after=0), Reason.THROTTLED, [1, 3], "False", False),
        (agora.Throttled("start"), Reason.THROTTLED, [1, 3], "False", False),
        (agora.Busy("update"), Reason.AGORA_UNAVAILABLE, [5, 5, 6, 12], "False", False),
        (agora.Conflict("list"), Reason.ADOPTION_UNDECIDED, [5, 10, 20, 40, 60, 60], "False", False),
        (agora.CredentialsRefused("start", code=401), Reason.CREDENTIALS_REFUSED, [300, 300], "False", True),
        (agora.CircuitOpen(42), Reason.CREDENTIALS_REFUSED, [42, 42], "False", True),
        (agora.ServiceNotEnabled("start"), Reason.SERVICE_NOT_ENABLED, [300, 300], "False", True),
        (agora.QuotaExceeded("start"), Reason.QUOTA_EXCEEDED, [60, 60], "False", True),
        (agora.RequestRefused("start", code=400), Reason.REQUEST_REFUSED, [600, 600], "False", True),
        (agora.RequestRefused("update", code=400), Reason.REQUEST_REFUSED, [600, 5, 5, 600], "False", True),
        (agora.NotSupported("list"), Reason.ADOPTION_UNDECIDED, [5, 10, 20, 40, 60, 60], "False", False),
        (agora.RequestRefused("stop", code=400), Reason.AGORA_UNAVAILABLE, [1, 3, 6, 12], "False", False),
        (agora.QuotaExceeded("stop", code=422), Reason.AGORA_UNAVAILABLE, [1, 3, 6, 12], "False", False),
        (agora.TokenRefused("stop", code=400), Reason.REQUEST_REFUSED, [300, 300], "False", True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_failure_reads_as_its_row(
    error: agora.AgoraError | agora.CircuitOpen, reason: Reason, seconds: list[float], ready: str, *, lasting: bool
) -> None:
    for failures, pause in enumerate(seconds, start=1):
        trouble = trouble_of(task_of(), error, failures, 0, NOW)
        assert trouble.verdict is not None
        assert trouble.verdict.reason is reason
        assert trouble.verdict.status == ready
        assert trouble.until == NOW + timedelta(seconds=pause)
        assert trouble.lasting is lasting


@pytest.mark.parametrize(
    ("error", "stalled"),
    [
        (agora.CredentialsRefused("start"), True),
        (agora.ServiceNotEnabled("start"), True),
        (agora.RequestRefused("start"), True),
        (agora.QuotaExceeded("start"), False),
        (agora.Upstream("start"), False),
        (agora.Conflict("list"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_only_what_somebody_has_to_change_stalls(error: agora.AgoraError, *, stalled: bool) -> None:
    verdict = trouble_of(task_of(), error, 1, 0, NOW).verdict
    assert verdict is not None
    assert verdict.stalled is stalled
    assert (verdict.reconciling is None) is stalled


@pytest.mark.parametrize(
    "error",
    [
        agora.Upstream("query"),
        agora.Ambiguous("query"),
        agora.Throttled("query"),
        agora.RequestRefused("query"),
        agora.QuotaExceeded("query"),
    ],
)
def test_a_running_task_that_cannot_be_seen_is_not_taken_for_failed(error: agora.AgoraError) -> None:
    assert trouble_of(task_of(), error, 1, 0, NOW).verdict is None
    assert trouble_of(task_of(), error, 2, 0, NOW).verdict is None
    verdict = trouble_of(task_of(), error, 3, 0, NOW).verdict
    assert verdict is not None
    assert verdict.status == "Unknown"


def test_refused_credentials_are_told_at_the_first_look() -> None:
    assert trouble_of(task_of(), agora.CredentialsRefused("query"), 1, 0, NOW).verdict is not None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (agora.RequestRefused("start", code=400, text="languages.0: unsupported language"), "change the spec"),
        (agora.RequestRefused("start", code=400, text="rtcConfig.pubBotToken: wrong signature"), "appCertificate in"),
        (agora.RequestRefused("start", code=404, text="404 page not found"), "check --agora-url"),
        (agora.RequestRefused("update", code=501), "check --agora-url"),
    ],
    ids=["settings", "token", "no path", "no operation"],
)
def test_a_refusal_says_what_to_change(error: agora.AgoraError, words: str) -> None:
    verdict = trouble_of(task_of(), error, 1, 0, NOW).verdict
    assert verdict is not None
    assert words in verdict.message
    assert ("change the spec" in verdict.message) is (words == "change the spec")


def test_a_failed_update_keeps_the_five_seconds() -> None:
    assert trouble_of(task_of(), agora.Ambiguous("update"), 1, 0, NOW).until == NOW + timedelta(seconds=5)


@pytest.mark.parametrize("error", [agora.Conflict("list"), agora.NotSupported("list"), agora.RequestRefused("stop")])
def test_what_no_repetition_may_ever_mend_holds_up_a_deletion_for_a_while_only(error: agora.AgoraError) -> None:
    deleted = task_of(deletionTimestamp=rfc3339(NOW))
    assert trouble_of(deleted, error, 1, 0, NOW).lasting


@pytest.mark.parametrize(
    "error", [agora.CredentialsRefused("start"), agora.CircuitOpen(9), agora.ServiceNotEnabled("start")]
)
def test_the_message_names_the_secret_to_mend(error: agora.AgoraError | agora.CircuitOpen) -> None:
    task = task_of({"credentialsSecretRef": {"name": "prod"}})
    verdict = trouble_of(task, error, 1, 0, NOW).verdict
    assert verdict is not None
    assert "Secret calls/prod" in verdict.message


def test_pauses_are_spread() -> None:
    without, most = (trouble_of(task_of(), agora.QuotaExceeded("start"), 1, jitter, NOW).until for jitter in (0, 1))
    assert most - without == timedelta(seconds=6)
