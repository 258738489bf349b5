"""What a failed call means: how it reads in the conditions, and when the call is made again. Pure.

| error | reason | again after |
|---|---|---|
| NotSent, Ambiguous, Upstream | AgoraUnavailable | 1, 3, 6 s (Agora's own advice), then doubling to 5 min |
| Throttled | Throttled | what Agora asked for; the whole account waits |
| Busy | AgoraUnavailable | 5 s at least |
| Conflict without an id | AdoptionUndecided | 5 s, doubling to 1 min; a deleted object gives up in the end |
| NotSupported, by the list | AdoptionUndecided | likewise |
| CredentialsRefused | CredentialsRefused | 5 min, or at once when the Secret or the spec changes |
| ServiceNotEnabled | ServiceNotEnabled | 5 min, or at once likewise |
| TokenRefused | RequestRefused | 5 min; where the token was never used another one is acquired at once |
| QuotaExceeded | QuotaExceeded | 1 min, or at once likewise |
| RequestRefused | RequestRefused | 10 min, or at once likewise |

A query or a stop has nothing in it that a spec could change: refused, it counts as a fault of Agora's, and only a
deleted object gives up in the end.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agora_transcription import agora
from agora_transcription.api import Reason, retrying, stalled, uncertain
from agora_transcription.controller.steps import Trouble

if TYPE_CHECKING:
    from datetime import datetime

    from agora_transcription.api import TranscriptionTask
    from agora_transcription.api.conditions import Verdict

__all__ = ["backoff", "trouble_of"]

FIRST_RETRIES: Final = (1.0, 3.0, 6.0)
"""Seconds; from Agora's page of common errors and its guide on the availability of its REST API."""

LONGEST_RETRY: Final = 300.0
BUSY_RETRY: Final = 5.0
UNDECIDED_LONGEST_RETRY: Final = 60.0
QUOTA_RETRY: Final = 60.0
REFUSED_RETRY: Final = 300.0
WRONG_RETRY: Final = 600.0

LATE_EFFECTS: Final = (2, 3)
"""Failures in a row at which a refused update is soon sent again: the one before, whose answer never came, may have
taken its effect a moment ago, and Agora wants 5 s between updates."""

NO_SUCH_PATH: Final = {404, 405, 501}
"""HTTP: a start or an update that is answered so has not come to Agora's API, and no spec can change that."""

SILENT_POLLS: Final = 2
"""Failed polls in a row that say nothing yet about the task: it runs on while Agora's API has a bad moment."""


def backoff(failures: int, jitter: float) -> float:
    """Seconds before the next try.

    Args:
        failures: How many tries in a row have failed, at least 1.
        jitter: 0 to 1, makes the pause up to a tenth longer so that many objects do not come back at once.
    """
    if failures <= len(FIRST_RETRIES):
        pause = FIRST_RETRIES[failures - 1]
    else:
        pause = min(LONGEST_RETRY, FIRST_RETRIES[-1] * 2 ** min(failures - len(FIRST_RETRIES), 10))
    return pause * (1 + jitter / 10)


def trouble_of(
    task: TranscriptionTask, error: agora.AgoraError | agora.CircuitOpen, failures: int, jitter: float, now: datetime
) -> Trouble:
    """Judge the failure of a call.

    Args:
        task: The object that the call was for.
        error: What went wrong.
        failures: How often in a row this operation has failed for this object, this time included.
        jitter: 0 to 1, see `backoff`.
        now: The time.
    """
    pause, verdict, lasting = _judge(task, error, failures, jitter)
    if isinstance(error, agora.AgoraError) and error.operation == "update":
        # The one that failed may have been taken, and Agora wants 5 s between updates.
        pause = max(pause, BUSY_RETRY)
    if isinstance(error, agora.AgoraError) and error.operation == "query" and not lasting:
        # The task most likely runs on: that it cannot be seen says nothing of it.
        blind = uncertain(verdict.reason, verdict.message)
        return Trouble(blind if failures > SILENT_POLLS else None, now + timedelta(seconds=pause))
    return Trouble(verdict, now + timedelta(seconds=pause), lasting)


def _judge(
    task: TranscriptionTask, error: agora.AgoraError | agora.CircuitOpen, failures: int, jitter: float
) -> tuple[float, Verdict, bool]:
    """The pause, the verdict, and whether no repetition helps."""
    spread = 1 + jitter / 10
    pause = backoff(failures, jitter)
    of_the_task = isinstance(error, agora.AgoraError) and error.operation in {"query", "stop"}
    match error:
        case agora.RequestRefused() | agora.QuotaExceeded() if of_the_task:
            message = f"Agora refuses what it should not; tried again by itself ({error})"
            return pause, retrying(Reason.AGORA_UNAVAILABLE, message), task.deleting
        case agora.CircuitOpen() | agora.Refused() | agora.TokenRefused():
            secret = f"Secret {task.metadata.namespace}/{task.spec.credentials_secret_ref.name}"
            lasts, verdict = _lasting(secret, error)
            late = isinstance(error, agora.RequestRefused) and error.operation == "update" and failures in LATE_EFFECTS
            return (BUSY_RETRY if late else lasts) * spread, verdict, True
        case agora.Throttled():
            message = f"Agora asks for fewer requests; tried again by itself ({error})"
            return max(error.retry_after or pause, 1.0) * spread, retrying(Reason.THROTTLED, message), False
        case agora.Conflict() | agora.NotSupported():
            which = (
                "has no list that tells which one" if isinstance(error, agora.NotSupported) else "does not say which"
            )
            message = f"An Agora task of this object runs already, and Agora {which} ({error})"
            again = min(UNDECIDED_LONGEST_RETRY, BUSY_RETRY * 2 ** min(failures - 1, 10))
            return again * spread, retrying(Reason.ADOPTION_UNDECIDED, message), task.deleting
        case agora.Busy():
            message = f"Agora is busy with the task ({error})"
            return max(BUSY_RETRY, pause) * spread, retrying(Reason.AGORA_UNAVAILABLE, message), False
        case agora.Gone():
            message = f"Agora does not know the task ({error})"
        case _:
            message = f"Agora cannot be reached or fails; tried again by itself ({error})"
    return pause, retrying(Reason.AGORA_UNAVAILABLE, message), False


def _lasting(secret: str, error: agora.AgoraError | agora.CircuitOpen) -> tuple[float, Verdict]:
    """The pause and the verdict of what somebody has to change."""
    credentials = f"Agora refuses the credentials: check customerId, customerSecret and appId in {secret}"
    match error:
        case agora.CircuitOpen():
            return max(error.retry_in, 1.0), stalled(Reason.CREDENTIALS_REFUSED, credentials)
        case agora.CredentialsRefused():
            return REFUSED_RETRY, stalled(Reason.CREDENTIALS_REFUSED, f"{credentials} ({error})")
        case agora.ServiceNotEnabled():
            message = (
                f"Real-time speech-to-text is not enabled for the appId in {secret}: "
                f"check the appId, and enable it for the project in Agora's console ({error})"
            )
            return REFUSED_RETRY, stalled(Reason.SERVICE_NOT_ENABLED, message)
        case agora.QuotaExceeded():
            message = f"The Agora account runs as many tasks as it may: stop some, or ask Agora for more ({error})"
            return QUOTA_RETRY, retrying(Reason.QUOTA_EXCEEDED, message)
        case agora.TokenRefused():
            message = f"Agora does not take the builderToken of the task, which ends with it at the latest ({error})"
            return REFUSED_RETRY, stalled(Reason.REQUEST_REFUSED, message)
        case _ if error.code in NO_SUCH_PATH:
            message = (
                f"Agora has no such path: check --agora-url, and what stands between it and the operator ({error})"
            )
        case _ if "token" in error.text.lower():
            message = (
                f"Agora refuses the bot's token: appCertificate in {secret} has to be the one in Agora's console, "
                f"and to be left out if the project has none enabled ({error})"
            )
        case _:
            message = f"Agora refuses the request: change the spec as it says ({error})"
    return WRONG_RETRY, stalled(Reason.REQUEST_REFUSED, message)
