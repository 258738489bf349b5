"""What Agora's answers mean: a 200 becomes an `Observation`, everything else one `AgoraError`.

Agora publishes no complete table of codes for either dialect. The tables below hold what its pages do say ("Common
errors", the REST reference of v6 and v7, the 2024 edition's HTTP-and-code matrix), and what they leave open is decided
by one rule: an answer that is not understood never counts as a success and never as "the task has ended", because a
task taken for ended is started a second time and billed twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from agora_transcription.agora.errors import (
    AgoraError,
    Ambiguous,
    Busy,
    Conflict,
    CredentialsRefused,
    Gone,
    NotSupported,
    QuotaExceeded,
    RequestRefused,
    ServiceNotEnabled,
    Throttled,
    TokenRefused,
    Upstream,
)
from agora_transcription.agora.explanations import Explanation, explain, identifier, presentable, read_json
from agora_transcription.agora.models import Dialect, Observation, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora_transcription.agora.calls import Call, Operation

__all__ = ["check_stopped", "classify", "observation", "retry_after", "state_of", "timestamp"]

SUCCESS = 200
"""The one status that is a success, on both dialects: V6 answers 201, 202 and 206 for starts that went wrong."""

MAX_RETRY_AFTER = 3600.0
"""Seconds; a Retry-After beyond an hour is a gateway's mistake, and may not silence an account for days."""

_OF_A_TASK: tuple[Operation, ...] = ("query", "update", "stop")

_STATES: Mapping[Dialect, Mapping[str, State]] = {
    Dialect.V7: {
        "IDLE": State.STARTING,
        "STARTING": State.STARTING,
        "RUNNING": State.ACTIVE,
        "RECOVERING": State.RECOVERING,
        "STOPPING": State.STOPPING,
        "STOPPED": State.STOPPED,
        "FAILED": State.FAILED,
    },
    Dialect.V6: {
        "IDLE": State.STARTING,
        "PREPARING": State.STARTING,
        "PREPARED": State.STARTING,
        "STARTING": State.STARTING,
        "CREATED": State.STARTING,
        "STARTED": State.ACTIVE,
        "IN_PROGRESS": State.ACTIVE,
        "RUNNING": State.ACTIVE,  # from here on: only in older quickstarts
        "RECONNECTING": State.RECOVERING,
        "STOPPING": State.STOPPING,
        "STOPPED": State.STOPPED,
        "FAILURE_STOP": State.FAILED,
    },
}

# Known phrases, looked for in 4xx answers in this order: the messages of "Common errors", and the reasons that Agora's
# other REST APIs give under the same URL grammar.
_PHRASES: tuple[tuple[str, tuple[Operation, ...] | None, type[AgoraError]], ...] = (
    ("servicenotenabled", None, ServiceNotEnabled),
    ("invalid_appid", None, ServiceNotEnabled),
    ("quotalimitexceeded", None, QuotaExceeded),
    ("concurrencylimitexceeded", None, QuotaExceeded),
    ("another operation is already in progress", None, Busy),
    ("same name already exists", ("start",), Conflict),
    ("task has been started", ("start",), Conflict),
    ("does not match with buildertoken", None, TokenRefused),  # of the product name, and of the taskId
    ("limited time interval", None, TokenRefused),
    ("task is not found", _OF_A_TASK, Gone),
    ("tasknotfound", _OF_A_TASK, Gone),
)

# V6's body codes ("Common errors"), for answers below 500; those not named here go by their HTTP status.
_V6_CODES: Mapping[int, Mapping[Operation | None, type[AgoraError]]] = {
    **{code: {None: Upstream} for code in (1, 6, 13, 20, 23, 65, 501, 502, 504)},
    2: {None: RequestRefused},
    49: {"start": Conflict, "stop": Gone},
    53: {None: TokenRefused},
    62: {"acquire": ServiceNotEnabled, None: Upstream},
    404: dict.fromkeys(_OF_A_TASK, Gone),
    433: dict.fromkeys(_OF_A_TASK, Gone),
    435: dict.fromkeys(("query", "stop"), Gone),
    1001: {None: TokenRefused},
    1003: {None: TokenRefused},
}

# HTTP statuses that neither a phrase nor a code explained; any other 4xx is a refused request, all the rest Upstream.
_STATUSES: Mapping[int, Mapping[Operation | None, type[AgoraError]]] = {
    403: {None: CredentialsRefused},
    404: {**dict.fromkeys(_OF_A_TASK, Gone), "list": NotSupported},
    405: {"list": NotSupported},
    408: {None: Upstream},
    409: {"start": Conflict, None: Busy},
    410: {**dict.fromkeys(_OF_A_TASK, Gone), "list": NotSupported},
    422: dict.fromkeys(("acquire", "start"), QuotaExceeded),  # only what begins can be one too many
}


def classify(call: Call, status_code: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> AgoraError:
    """Say what an answer other than 200 means for whoever asked; never raises.

    Args:
        call: What was asked, in which dialect (only V6 has codes in its bodies), and what the error must not repeat.
        status_code: The HTTP status.
        headers: A case-insensitive mapping, or one in lower case.
        body: The bytes of the answer, of any shape.
        now: For a Retry-After that is a date.
    """
    said = explain(body, call.confidential)
    kind = _kind(call.operation, call.dialect, status_code, said)
    if kind is Throttled:
        wait = retry_after(headers.get("retry-after"), now)
        return Throttled(call.operation, code=status_code, reason=said.reason, text=said.text, retry_after=wait)
    if kind is Gone:
        confirmed = _by_explanation(call.operation, call.dialect, said) is Gone
        return Gone(call.operation, code=status_code, reason=said.reason, text=said.text, confirmed=confirmed)
    if kind is Conflict:
        return Conflict(call.operation, code=status_code, reason=said.reason, text=said.text, task_id=said.task_id)
    return kind(call.operation, code=status_code, reason=said.reason, text=said.text)


def observation(call: Call, body: bytes, *, task_id: str | None = None) -> Observation:
    """Read the body of a 200 to start, query or update.

    Args:
        call: What was asked; its dialect decides the names of the fields and the meaning of the status.
        body: The bytes of the answer.
        task_id: The task that was asked about, for an answer that does not repeat its id; None for a start.

    Raises:
        Ambiguous: A start succeeded and does not say which task it started.
        Upstream: The answer to another operation is not the documented one.
    """
    document = read_json(body)
    fields: dict[str, object] = document if isinstance(document, dict) else {}
    v7 = call.dialect is Dialect.V7
    found = identifier(fields.get("agent_id" if v7 else "taskId")) or task_id
    status = fields.get("status")
    message = fields.get("message")
    if not found:
        raise Ambiguous(call.operation, code=SUCCESS, text="the answer names no task")
    if call.operation != "start" and not (isinstance(status, str) and status):
        raise Upstream(call.operation, code=SUCCESS, text="the answer has no status")
    word = status if isinstance(status, str) else ""
    if word.upper() not in _STATES[call.dialect]:  # a documented one holds no secret
        word = presentable(word, call.confidential)
    return Observation(
        task_id=found,
        status=word,
        state=state_of(call.dialect, word),
        message=presentable(message, call.confidential) if isinstance(message, str) else "",
        created=timestamp(fields.get("create_ts" if v7 else "createTs")),
    )


def check_stopped(body: bytes) -> None:
    """See that the 200 to a stop, whose body Agora does not document, is Agora's own.

    Raises:
        Upstream: It is a page of markup, as a proxy answers that is being repaired or wants a login first.
    """
    if body.lstrip().startswith(b"<"):
        raise Upstream("stop", code=SUCCESS, text="the answer is a page, and not Agora's")


def state_of(dialect: Dialect, status: str) -> State:
    """The meaning of a status word; one that Agora has not documented counts as on its way, not as ended."""
    return _STATES[dialect].get(status.upper(), State.STARTING)


def timestamp(value: object) -> datetime | None:
    """A point in time from Unix seconds; None for what Agora's own examples show instead (null, 0, nothing)."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait from a Retry-After header (RFC 9110: seconds or a date), 0 to 3600; None if it names none."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), MAX_RETRY_AFTER)
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max((then - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _kind(operation: Operation, dialect: Dialect, status_code: int, said: Explanation) -> type[AgoraError]:
    """Which error it is: first what the status alone decides, then known phrases, V6's codes, and the status again."""
    if status_code == 429:  # noqa: PLR2004 - HTTP statuses are known by their numbers
        return Throttled
    if status_code == 401:  # noqa: PLR2004 - whatever the page: HTTP says it of credentials and of nothing else
        return CredentialsRefused
    if status_code >= 500:  # noqa: PLR2004
        return _of_server_fault(operation, dialect, status_code, said)
    if status_code < 400:  # noqa: PLR2004
        return _of_success_that_is_none(operation, dialect, said)
    kind = _by(operation, _STATUSES.get(status_code)) or RequestRefused
    if said.from_gateway:
        # A proxy's "404 page not found" says nothing about the task, and must not get it started again; nor does what a
        # firewall says of one request say anything about the credentials of all.
        return Upstream if operation in _OF_A_TASK or kind is CredentialsRefused else kind
    if explained := _by_explanation(operation, dialect, said):
        return explained
    # Agora speaks JSON; a router that does not know the path, or lets nobody pass, says so in plain text.
    return Upstream if kind in {Gone, CredentialsRefused} and said.text and not said.structured else kind


def _by_explanation(operation: Operation, dialect: Dialect, said: Explanation) -> type[AgoraError] | None:
    """What Agora's own words or code mean; None if they are not known."""
    return _by_phrase(operation, said.words) or _by_v6_code(operation, dialect, said.code)


def _of_server_fault(operation: Operation, dialect: Dialect, status_code: int, said: Explanation) -> type[AgoraError]:
    """A 5xx is never an explanation of the task's fate, whatever its text quotes."""
    if status_code == 501:  # noqa: PLR2004
        return NotSupported if operation == "list" else RequestRefused
    if dialect is Dialect.V6 and operation == "acquire" and said.code == 62:  # noqa: PLR2004 - "STT not enabled"
        return ServiceNotEnabled
    return Upstream


def _of_success_that_is_none(operation: Operation, dialect: Dialect, said: Explanation) -> type[AgoraError]:
    """1xx to 3xx: a start may have been made before; of the others only V6's "not running" is an explanation."""
    if operation == "start":
        return Conflict if said.task_id else Upstream
    return Gone if _by_v6_code(operation, dialect, said.code) is Gone else Upstream


def _by_phrase(operation: Operation, words: str) -> type[AgoraError] | None:
    return next(
        (
            kind
            for phrase, operations, kind in _PHRASES
            if phrase in words and (operations is None or operation in operations)
        ),
        None,
    )


def _by_v6_code(operation: Operation, dialect: Dialect, code: int | None) -> type[AgoraError] | None:
    return _by(operation, _V6_CODES.get(code)) if dialect is Dialect.V6 and code is not None else None


def _by(
    operation: Operation,
    row: Mapping[Operation | None, type[AgoraError]] | None,
) -> type[AgoraError] | None:
    """The entry of a table's row for this operation, else the one for all."""
    return None if row is None else row.get(operation, row.get(None))
