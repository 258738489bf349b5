"""What every answer of Agora means: the tables of its pages, row by row.

A row reads: operation, HTTP status, body, and the error that is raised. Every row holds for a start, query, ... made
through the client, so that the tables are held from the socket's side of the code to the caller's.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agora_transcription.agora import (
    Account,
    Agora,
    AgoraError,
    Busy,
    Conflict,
    CredentialsRefused,
    Dialect,
    Field,
    Gone,
    Handle,
    NotSupported,
    QuotaExceeded,
    RequestRefused,
    ServiceNotEnabled,
    StartRequest,
    State,
    Throttled,
    TokenRefused,
    Update,
    Upstream,
)
from agora_transcription.agora.answers import classify, retry_after, state_of, timestamp
from agora_transcription.agora.calls import Call, Operation

if TYPE_CHECKING:
    from support.agora import ScriptedAgora

HTML = "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1><hr>nginx</body></html>"
EVERY = ("start", "query", "update", "stop")
OF_A_TASK = ("query", "update", "stop")


async def ask(agora: Agora, operation: Operation, account: Account, request: StartRequest) -> None:
    """Make one call of the given kind."""
    token = SecretStr("builder-token")
    handle = Handle("6b2c", token)
    match operation:
        case "acquire":
            await agora.acquire(account, "ttask-1b2c-1")
        case "start":
            await agora.start(account, request, token)
        case "query":
            await agora.query(account, handle)
        case "update":
            await agora.update(account, handle, Update(1, frozenset({Field.LANGUAGES}), request.settings))
        case "stop":
            await agora.stop(account, handle)
        case "list":
            await agora.list_live(account, "room", datetime.now(UTC))


Row = tuple[tuple[str, ...] | str, int, Any, type[AgoraError]]


def rows(table: list[Row]) -> list[Any]:
    """One test per operation of each row."""
    return [
        pytest.param(
            operation,
            status,
            body if isinstance(body, str) else json.dumps(body),
            error,
            id=f"{operation}-{status}-{body}",
        )
        for operations, status, body, error in table
        for operation in ((operations,) if isinstance(operations, str) else operations)
    ]


V7: list[Row] = [
    # "200 is a success, anything else a failure"
    ("start", 201, {"agent_id": "1NT29X10YH"}, Conflict),
    ("start", 202, {"agent_id": "1NT29X10YH"}, Conflict),
    ("start", 206, {"data": {"agent_id": "1NT29X10YH"}}, Conflict),
    ("start", 201, {}, Upstream),
    ("start", 206, {"reason": "timeout"}, Upstream),
    ((*OF_A_TASK, "list"), 202, {"agent_id": "1NT29X10YH", "status": "RUNNING"}, Upstream),
    ((*EVERY, "list"), 204, "", Upstream),
    ((*EVERY, "list"), 302, "", Upstream),
    # 400
    (EVERY, 400, {"detail": "languages", "reason": "InvalidRequestBody"}, RequestRefused),
    ("start", 400, {"detail": "rtcConfig is required", "reason": "MissingRequiredField"}, RequestRefused),
    ("start", 400, {"detail": "maxIdleTime", "reason": "InvalidFieldValue"}, RequestRefused),
    ((*EVERY, "list"), 400, {"detail": "not enabled", "reason": "ServiceNotEnabled"}, ServiceNotEnabled),
    ((*EVERY, "list"), 400, {"message": "invalid_appid!"}, ServiceNotEnabled),
    ("start", 400, {"detail": "Same name already exists"}, Conflict),
    (EVERY, 400, {"detail": "Another operation is already in progress"}, Busy),
    # 401, 403
    ((*EVERY, "list"), 401, {"message": "Invalid authentication credentials"}, CredentialsRefused),
    ((*EVERY, "list"), 401, {"message": "Token is expired"}, CredentialsRefused),
    ((*EVERY, "list"), 401, "", CredentialsRefused),
    ((*EVERY, "list"), 403, {"reason": "InvalidPermission"}, CredentialsRefused),
    ("start", 403, {"reason": "AccountSuspended"}, CredentialsRefused),
    ("start", 403, {"reason": "ServiceNotEnabled"}, ServiceNotEnabled),
    ((*EVERY, "list"), 403, "", CredentialsRefused),
    ((*EVERY, "list"), 403, HTML, Upstream),
    ((*EVERY, "list"), 403, "RBAC: access denied", Upstream),
    ((*EVERY, "list"), 401, HTML, CredentialsRefused),
    # 404
    (OF_A_TASK, 404, {"detail": "agent not found", "reason": "TaskNotFound"}, Gone),
    (OF_A_TASK, 404, "", Gone),
    ("start", 404, {"detail": "no such route"}, RequestRefused),
    ("list", 404, {"detail": "no such route"}, NotSupported),
    (OF_A_TASK, 404, HTML, Upstream),
    (OF_A_TASK, 404, "404 page not found", Upstream),
    (OF_A_TASK, 404, "default backend - 404", Upstream),
    (OF_A_TASK, 410, "Gone", Upstream),
    (OF_A_TASK, 404, {"message": "no Route matched with those values"}, Gone),
    (OF_A_TASK, 404, {"detail": "Not Found"}, Gone),
    # 409
    ("start", 409, {"detail": "conflict", "reason": "TaskConflict"}, Conflict),
    (OF_A_TASK, 409, {"detail": "conflict", "reason": "TaskConflict"}, Busy),
    # 410
    (OF_A_TASK, 410, {"message": "gone"}, Gone),
    ("start", 410, {"message": "gone"}, RequestRefused),
    # 422, 429
    ("start", 422, {"reason": "ResourceQuotaLimitExceeded"}, QuotaExceeded),
    ("start", 400, {"reason": "ConcurrencyLimitExceeded"}, QuotaExceeded),
    ("start", 422, {"detail": "too many"}, QuotaExceeded),
    ("update", 422, {"detail": "unprocessable"}, RequestRefused),
    ("query", 422, {"detail": "unprocessable"}, RequestRefused),
    ((*EVERY, "list"), 429, "", Throttled),
    ((*EVERY, "list"), 429, {"reason": "ServiceNotEnabled"}, Throttled),
    # 5xx
    ((*EVERY, "list"), 500, {"detail": "oops", "reason": "InternalError"}, Upstream),
    (EVERY, 500, {"message": "The task is not found", "status": "FAILED"}, Upstream),
    (EVERY, 501, {"reason": "NotImplemented"}, RequestRefused),
    ("list", 501, {"reason": "NotImplemented"}, NotSupported),
    ((*EVERY, "list"), 502, HTML, Upstream),
    ("start", 503, {"reason": "ResourceAllocationFailed"}, Upstream),
    ((*EVERY, "list"), 504, {"reason": "TaskOperationTimeout"}, Upstream),
    # V6's codes mean nothing here
    ("stop", 400, {"code": 49}, RequestRefused),
    ("query", 400, {"code": 433}, RequestRefused),
    # whatever else
    (EVERY, 418, "", RequestRefused),
    (EVERY, 408, "", Upstream),
]

V6: list[Row] = [
    # HTTP x code matrix, start
    ("start", 201, {"code": 7, "taskId": "6b2c5a"}, Conflict),
    ("start", 201, {"code": 7}, Upstream),
    ("start", 202, {"code": 202, "message": "taskId is 6b2c5a9f"}, Conflict),
    ("start", 206, {"code": 20}, Upstream),
    ("start", 206, {"code": 65}, Upstream),
    ("start", 400, {"code": 2, "reason": "invalid parameter"}, RequestRefused),
    ("start", 400, {"code": 49}, Conflict),
    ("start", 400, {"code": "49"}, Conflict),
    ("start", 400, {"code": 1001}, TokenRefused),
    ("start", 400, {"code": 1003}, TokenRefused),
    ("start", 400, {"message": "body schema check fail, languages: too long"}, RequestRefused),
    ("start", 409, {"message": "The task has been started, current status is STARTED, taskId is 6b2c5a9f"}, Conflict),
    ("start", 500, {"code": 1}, Upstream),
    ("start", 500, {"code": 6}, Upstream),
    ("start", 500, {"code": 13}, Upstream),
    ("start", 500, {"code": 23}, Upstream),
    ("start", 500, {"code": 501}, Upstream),
    ("start", 500, {"code": 502}, Upstream),
    ("start", 500, {"code": 504}, Upstream),
    ("start", 504, {"code": 62}, Upstream),
    ("start", 400, {"code": 62}, Upstream),
    ("start", 400, {"code": 20}, Upstream),
    # query
    (("query", "update"), 206, {"code": 65}, Upstream),
    ("query", 400, {"code": 2}, RequestRefused),
    (OF_A_TASK, 400, {"code": 53}, TokenRefused),
    (OF_A_TASK, 400, {"code": 1001}, TokenRefused),
    (OF_A_TASK, 400, {"code": 1003}, TokenRefused),
    (OF_A_TASK, 400, {"code": 433}, Gone),
    (OF_A_TASK, 404, {"code": 404}, Gone),
    (OF_A_TASK, 404, {"message": "The task is not found"}, Gone),
    ("query", 500, {"code": 6}, Upstream),
    ("query", 400, {"code": 435}, Gone),
    # stop: success is what the pages name, and nothing else
    ("stop", 206, {"code": 65}, Upstream),
    ("stop", 206, {"code": 435}, Gone),
    ("stop", 206, {}, Upstream),
    ("stop", 206, "", Upstream),
    ("stop", 201, {}, Upstream),
    ("stop", 204, "", Upstream),
    ("stop", 400, {"code": 49}, Gone),
    ("stop", 400, {"code": 2}, RequestRefused),
    ("stop", 400, "", RequestRefused),
    ("stop", 404, HTML, Upstream),
    ("stop", 500, {"code": 435}, Upstream),
    ("stop", 500, {"code": 1}, Upstream),
    ("stop", 500, {"code": 501}, Upstream),
    ("stop", 504, {"code": 62}, Upstream),
    # acquire
    ("acquire", 400, {"code": 62, "reason": "not enabled"}, ServiceNotEnabled),
    ("acquire", 504, {"code": 62, "reason": "not enabled"}, ServiceNotEnabled),
    ("acquire", 400, {"message": "invalid_appid!"}, ServiceNotEnabled),
    ("acquire", 400, {"code": 2}, RequestRefused),
    ("acquire", 404, "", RequestRefused),
    ("acquire", 504, "", Upstream),
    ("acquire", 500, {"code": 1}, Upstream),
    # messages
    (("start", "query"), 400, {"message": "the product name does not match with builderToken"}, TokenRefused),
    ("start", 400, {"message": "resourceId reaches out the limited time interval!"}, TokenRefused),
    (OF_A_TASK, 400, {"message": "The taskId does not match with builderToken."}, TokenRefused),
    ((*EVERY, "acquire"), 401, {"message": "Invalid authentication credentials"}, CredentialsRefused),
    ((*EVERY, "acquire"), 429, "", Throttled),
]


@pytest.mark.parametrize(("operation", "status", "body", "error"), rows(V7))
async def test_v7_answers(
    v7: Agora,
    account: Account,
    fullest_request: StartRequest,
    scripted: ScriptedAgora,
    operation: Operation,
    status: int,
    body: str,
    error: type[AgoraError],
) -> None:
    scripted.answers(httpx.Response(status, text=body))
    with pytest.raises(AgoraError) as raised:
        await ask(v7, operation, account, fullest_request)
    assert (type(raised.value), raised.value.code, raised.value.operation) == (error, status, operation)


@pytest.mark.parametrize(("operation", "status", "body", "error"), rows(V6))
async def test_v6_answers(
    v6: Agora,
    account: Account,
    fullest_request: StartRequest,
    scripted: ScriptedAgora,
    operation: Operation,
    status: int,
    body: str,
    error: type[AgoraError],
) -> None:
    scripted.answers(httpx.Response(status, text=body))
    with pytest.raises(AgoraError) as raised:
        await ask(v6, operation, account, fullest_request)
    assert (type(raised.value), raised.value.code, raised.value.operation) == (error, status, operation)


@pytest.mark.parametrize("operation", OF_A_TASK)
@pytest.mark.parametrize(
    ("dialect", "body", "confirmed"),
    [
        (Dialect.V7, {"detail": "agent not found", "reason": "TaskNotFound"}, True),
        (Dialect.V7, {"message": "The task is not found"}, True),
        (Dialect.V6, {"message": "The task is not found"}, True),
        (Dialect.V6, {"code": 404}, True),
        (Dialect.V7, {"code": 404}, False),
        (Dialect.V7, {"message": "no Route matched with those values"}, False),
        (Dialect.V6, {"message": "no Route matched with those values"}, False),
        (Dialect.V7, {"detail": "Not Found"}, False),
        (Dialect.V6, {"detail": "Not Found"}, False),
        (Dialect.V7, None, False),
        (Dialect.V6, None, False),
    ],
)
def test_only_agoras_own_words_confirm_that_a_task_is_gone(
    account: Account, operation: Operation, dialect: Dialect, body: dict[str, Any] | None, *, confirmed: bool
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    error = classify(Call(dialect, operation, account, "GET", "/"), 404, {}, content, now=datetime.now(UTC))
    assert isinstance(error, Gone)
    assert error.confirmed is confirmed


CONFLICTS = [
    ({"detail": "conflict", "agent_id": "1NT29X10YH"}, "1NT29X10YH"),
    ({"detail": "conflict", "data": {"task": {"agent_id": "1NT29X10YH"}}}, "1NT29X10YH"),
    ([{"taskId": "6b2c5a9f"}], "6b2c5a9f"),
    ({"taskId": "6b2c5a9f", "message": "taskId is 00000000"}, "6b2c5a9f"),
    ({"message": "The task has been started, current status is STARTED, taskId is 6b2c5a9f."}, "6b2c5a9f"),
    ("The task has been started, current status is STARTED, taskId is 6b2c5a9f", "6b2c5a9f"),
    ({"detail": "same name already exists, agent_id: 1NT29X10YH"}, "1NT29X10YH"),
    ({"detail": "a taskId conflicts with another one", "reason": "TaskConflict"}, None),
    ({"agent_id": ""}, None),
    ({"agent_id": 7}, None),
    ({"agent_id": "x" * 129}, None),
    ({"agent_id": ".."}, None),
    ({"agent_id": "1NT29\n10YH"}, None),
    ("", None),
]


@pytest.mark.parametrize(("body", "task_id"), CONFLICTS)
@pytest.mark.parametrize("dialect", Dialect)
def test_a_conflict_names_the_task_that_is_there_if_the_answer_does(
    account: Account, dialect: Dialect, body: object, task_id: str | None
) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    error = classify(Call(dialect, "start", account, "POST", "/"), 409, {}, raw.encode(), now=datetime.now(UTC))
    assert isinstance(error, Conflict)
    assert error.task_id == task_id


NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

RETRY_AFTER = [
    (None, None),
    ("", None),
    ("soon", None),
    ("-5", None),
    ("1.5", None),
    ("0", 0.0),
    (" 7 ", 7.0),
    ("3600", 3600.0),
    ("86400", 3600.0),
    ("9" * 5000, 3600.0),
    ("²", None),
    ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
    ("Sat, 21 Nov 2026 13:00:30 +0100", 30.0),
    ("Sat, 21 Nov 2026 11:59:00 GMT", 0.0),
    ("Sat, 21 Nov 2026 12:00:30 -0000", 30.0),
    ("Sun, 22 Nov 2026 12:00:00 GMT", 3600.0),
    ("Sat, 99 Nov 2026 12:00:30 GMT", None),
]


@pytest.mark.parametrize(("header", "seconds"), RETRY_AFTER)
def test_retry_after_is_seconds_or_a_date_and_never_more_than_an_hour(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, NOW) == seconds


async def test_a_429_carries_its_retry_after(
    v7: Agora, account: Account, fullest_request: StartRequest, scripted: ScriptedAgora
) -> None:
    scripted.answers(httpx.Response(429, headers={"Retry-After": "17"}))
    with pytest.raises(Throttled) as raised:
        await v7.start(account, fullest_request, None)
    assert raised.value.retry_after == 17.0


STATES = [
    (Dialect.V7, "IDLE", State.STARTING),
    (Dialect.V7, "STARTING", State.STARTING),
    (Dialect.V7, "RUNNING", State.ACTIVE),
    (Dialect.V7, "STOPPING", State.STOPPING),
    (Dialect.V7, "STOPPED", State.STOPPED),
    (Dialect.V7, "RECOVERING", State.RECOVERING),
    (Dialect.V7, "FAILED", State.FAILED),
    (Dialect.V6, "IDLE", State.STARTING),
    (Dialect.V6, "PREPARING", State.STARTING),
    (Dialect.V6, "PREPARED", State.STARTING),
    (Dialect.V6, "STARTING", State.STARTING),
    (Dialect.V6, "CREATED", State.STARTING),
    (Dialect.V6, "STARTED", State.ACTIVE),
    (Dialect.V6, "IN_PROGRESS", State.ACTIVE),
    (Dialect.V6, "RUNNING", State.ACTIVE),
    (Dialect.V6, "RECONNECTING", State.RECOVERING),
    (Dialect.V6, "STOPPING", State.STOPPING),
    (Dialect.V6, "STOPPED", State.STOPPED),
    (Dialect.V6, "FAILURE_STOP", State.FAILED),
    (Dialect.V7, "running", State.ACTIVE),
    (Dialect.V7, "HIBERNATING", State.STARTING),
    (Dialect.V6, "HIBERNATING", State.STARTING),
]


@pytest.mark.parametrize(("dialect", "status", "state"), STATES)
def test_status_words(dialect: Dialect, status: str, state: State) -> None:
    assert state_of(dialect, status) is state


async def test_an_unknown_status_is_reported_as_sent(v7: Agora, account: Account, scripted: ScriptedAgora) -> None:
    scripted.answers(httpx.Response(200, json={"agent_id": "6b2c", "status": "Hibernating"}))
    seen = await v7.query(account, Handle("6b2c"))
    assert (seen.status, seen.state) == ("Hibernating", State.STARTING)


@pytest.mark.parametrize("value", [None, 0, -1, True, "1700000000", 1.5, 10**13, 10**30])
def test_what_is_no_time_is_none(value: object) -> None:
    assert timestamp(value) is None


def test_unix_seconds_are_a_time() -> None:
    assert timestamp(1700000000) == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@given(
    operation=st.sampled_from(["acquire", "start", "query", "update", "stop", "list"]),
    dialect=st.sampled_from(Dialect),
    status=st.integers(100, 599).filter(lambda status: status != 200),
    header=st.text() | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT")),
    body=st.binary(),
)
def test_no_answer_is_beyond_classification(
    operation: Operation, dialect: Dialect, status: int, header: str, body: bytes
) -> None:
    account = Account("0" * 32, "id", SecretStr("secret"))
    call = Call(dialect, operation, account, "GET", "/")
    error = classify(call, status, {"retry-after": header}, body, now=NOW)
    assert error.code == status
    if isinstance(error, Throttled):
        assert error.retry_after is None or 0 <= error.retry_after <= timedelta(hours=1).total_seconds()
    if status >= 500:
        assert not isinstance(error, Gone)
