"""The fault table: what can go wrong with each call to Agora, and what the operator makes of it.

Pure data; `test_faults.py` plays every case on a real API server. A case ends well when the object has recovered (it is
Running, or gone where it was deleted) and as many Agora tasks have been started for it as the case says: one, unless
Agora has lost the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Body = dict[str, Any]

ENDS: Final = {"leave", "stop"}


class Mend(Enum):
    """What brings an object back; the value is the table's word for it."""

    BY_ITSELF = "by itself"
    SECRET = "when the Secret is changed"
    SPEC = "when the spec is changed"


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        meaning: What the operator takes it for.
        v7: The simulator's fault for V7; the same for V6 unless that has its own.
        v6: The simulator's fault for V6.
    """

    meaning: str
    v7: Body
    v6: Body | None = None


def answer(status: int, body: Body | str | None = None, **more: Any) -> Body:
    return {"status": status, "body": body, **more}


NOT_THERE = "the task is gone"
UNCLEAR = "it may have had its effect"
FAILS = "Agora fails for a moment"

FAULTS: Final[dict[str, Fault]] = {
    "400": Fault(
        "the settings are wrong",
        answer(400, {"reason": "InvalidFieldValue", "detail": "languages.0: unsupported language"}),
        answer(400, {"code": 2, "reason": "body schema check fail, languages"}),
    ),
    "400, not enabled": Fault(
        "the project has no speech-to-text",
        answer(400, {"reason": "ServiceNotEnabled", "detail": "STT is not enabled"}),
        answer(400, {"message": "invalid_appid!"}),
    ),
    "400, another operation in progress": Fault(
        "the task is busy", answer(400, {"message": "another operation is already in progress"})
    ),
    "400/49": Fault("the token is used up", answer(400, {"code": 49, "reason": "repeated start"})),
    "400/49 after the effect": Fault("it is stopped already", answer(400, {"code": 49}, effect=True)),
    "400/53": Fault("the builderToken is not the task's", answer(400, {"code": 53, "reason": "mismatch"})),
    "400/62": Fault("the project has no speech-to-text", answer(400, {"code": 62, "reason": "not enabled"})),
    "400/433, ended": Fault(NOT_THERE, answer(400, {"code": 433, "reason": "alive-time timeout"})),
    "400/1001": Fault("the builderToken is of no use", answer(400, {"code": 1001, "reason": "cannot parse"})),
    "400, token too old": Fault(
        "the builderToken is of no use", answer(400, {"message": "resourceId reaches out the limited time interval!"})
    ),
    "401": Fault("the credentials are wrong", answer(401, {"message": "Invalid authentication credentials"})),
    "403": Fault("the credentials are another project's", answer(403, {"reason": "InvalidPermission"})),
    "404, ended": Fault(
        NOT_THERE,
        answer(404, {"reason": "TaskNotFound", "detail": "task not found"}),
        answer(404, {"message": "The task is not found"}),
    ),
    "404": Fault(
        "there is no such operation",
        answer(404, {"reason": "NotFound", "detail": "not found"}),
        answer(404, {"message": "not found"}),
    ),
    "404, Agora's own": Fault(
        "a query tells more",
        answer(404, {"reason": "TaskNotFound", "detail": "task not found"}),
        answer(404, {"message": "The task is not found"}),
    ),
    "404 after the effect": Fault(
        NOT_THERE,
        answer(404, {"reason": "TaskNotFound", "detail": "task not found"}, effect=True),
        answer(404, {"message": "The task is not found"}, effect=True),
    ),
    "404, bare": Fault("a proxy does not know the path", answer(404, "404 page not found")),
    "409 with the id": Fault("it was started before", {"status": 409, "amend": {"reason": "TaskConflict"}}),
    "409 without the id": Fault(
        "it was started before", answer(409, {"reason": "TaskConflict", "detail": "the same name exists"}, effect=True)
    ),
    "409": Fault("the task is busy", answer(409, {"reason": "TaskConflict", "detail": "in progress"})),
    "422": Fault("too many tasks", answer(422, {"reason": "ConcurrencyLimitExceeded", "detail": "too many"})),
    "422, bare": Fault("the request is refused", answer(422, {"detail": "unprocessable"})),
    "429": Fault("too many requests", answer(429, {"message": "slow down"}, headers={"Retry-After": "2"})),
    "500": Fault(FAILS, answer(500, {"reason": "InternalError", "detail": "oops"}), answer(500, {"code": 6})),
    "500 after the effect": Fault(UNCLEAR, answer(500, {"reason": "InternalError"}, effect=True)),
    "501": Fault("there is no such operation", answer(501, {"reason": "NotImplemented"})),
    "502 with HTML": Fault(FAILS, answer(502, "<html><h1>Bad Gateway</h1></html>")),
    "503": Fault(FAILS, answer(503, {"reason": "ServiceUnavailable"})),
    "504": Fault(UNCLEAR, answer(504, {"reason": "TaskOperationTimeout"}), answer(504, {"code": 504})),
    "504/62": Fault("the project has no speech-to-text", answer(504, {"code": 62})),
    "504 after the effect": Fault(UNCLEAR, answer(504, {"reason": "TaskOperationTimeout"}, effect=True)),
    "201 with the id": Fault("it was started before", {"status": 201, "amend": {}}, {"status": 201, "amend": {}}),
    "201": Fault("no success, and no explanation", answer(201, {}), answer(201, {"code": 7})),
    "202 after the effect": Fault(UNCLEAR, answer(202, {}, effect=True), answer(202, {"code": 202}, effect=True)),
    "206/20 after the effect": Fault(UNCLEAR, answer(206, {"code": 20}, effect=True)),
    "206/65": Fault(UNCLEAR, answer(206, {"code": 65})),
    "206/435 after the effect": Fault("it is stopped already", answer(206, {"code": 435}, effect=True)),
    "timeout": Fault(UNCLEAR, {"hold": True}),
    "timeout after the effect": Fault(UNCLEAR, {"hold": True, "effect": True}),
    "effect after 12 s": Fault(UNCLEAR, {"delaySeconds": 12}),
    "answer after 12 s": Fault(UNCLEAR, {"delaySeconds": 12, "effect": True}),
    "reset": Fault(UNCLEAR, {"drop": "before"}),
    "reset after the effect": Fault(UNCLEAR, {"drop": "after"}),
    "JSON cut off": Fault(UNCLEAR, answer(200, '{"agent_id": "1NT2', effect=True)),
    "body cut off": Fault(UNCLEAR, answer(200, '{"agent_id": "1NT2', headers={"Content-Length": "99"}, effect=True)),
    "unknown status": Fault("the task is on its way", {"amend": {"status": "PONDERING"}}),
}


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        operation: The API, and its name of the call.
        fault: What goes wrong, a key of `FAULTS`.
        then: The reason that the condition Ready shows meanwhile; empty where it need not show any.
        mend: What brings the object back.
        within: Seconds after which it has recovered: from the fault on, or from when it is mended.
        times: How many calls in a row fail so.
        tasks: How many Agora tasks have been started for the object in the end, one after the other.
        says: What stands in the condition's message.
    """

    operation: str
    fault: str
    then: str = ""
    mend: Mend = Mend.BY_ITSELF
    within: float = 15
    times: int = 1
    tasks: int = 1
    says: str = ""

    @property
    def dialect(self) -> str:
        return "V7" if self.operation.startswith("V7") else "V6"

    @property
    def call(self) -> str:
        return self.operation.split()[-1]

    @property
    def scripted(self) -> Body:
        fault = FAULTS[self.fault]
        body = fault.v6 if self.dialect == "V6" and fault.v6 else fault.v7
        # What somebody has to mend goes wrong until then.
        times = self.times if self.mend is Mend.BY_ITSELF else 0
        return {"operation": self.call, "times": times, **body}

    def __str__(self) -> str:
        return f"{self.operation}: {self.trouble}"

    @property
    def trouble(self) -> str:
        return f"{self.times} times {self.fault}" if self.times > 1 else self.fault


def each(operations: str, faults: str, then: str = "", mend: Mend = Mend.BY_ITSELF, **more: Any) -> Iterable[Case]:
    """The cases of several operations and faults that end alike; both are lists, divided by `|`."""
    for operation in operations.split(" | "):
        for fault in faults.split(" | "):
            yield Case(operation, fault, then, mend, **more)


ANY_START = "V7 join | V6 acquire | V6 start"
ANY_QUERY = "V7 query | V6 query"
ANY_UPDATE = "V7 update | V6 update"
ANY_END = "V7 leave | V6 stop"
LIST = "V7 list"

CASES: Final = (
    # Starts. What is unclear is repeated under the same name (V7) or builderToken (V6): what it has started is found.
    *each(ANY_START, "400", "RequestRefused", Mend.SPEC, says="change the spec"),
    *each(ANY_START, "400, not enabled", "ServiceNotEnabled", Mend.SECRET, says="enable it for the project"),
    *each("V6 acquire", "400/62", "ServiceNotEnabled", Mend.SECRET, says="enable it for the project"),
    *each(ANY_START, "401 | 403", "CredentialsRefused", Mend.SECRET, says="check customerId, customerSecret and appId"),
    *each(ANY_START, "404 | 404, bare | 501", "RequestRefused", Mend.SPEC),
    *each("V7 join", "422", "QuotaExceeded", within=75, says="as many tasks as it may"),
    *each("V6 acquire | V6 start", "422", "QuotaExceeded", Mend.SPEC, says="as many tasks as it may"),
    *each(ANY_START, "429", "Throttled"),
    *each(ANY_START, "500 | 502 with HTML | 503 | 504 | 201 | 202 after the effect", "AgoraUnavailable"),
    *each("V6 acquire", "504/62", "ServiceNotEnabled", Mend.SECRET),
    *each(ANY_START, "500 after the effect | 504 after the effect", "AgoraUnavailable"),
    *each("V6 acquire | V6 start", "206/65 | 206/20 after the effect", "AgoraUnavailable"),
    *each(ANY_START, "timeout | timeout after the effect", "AgoraUnavailable", within=25),
    *each(ANY_START, "effect after 12 s | answer after 12 s", "AgoraUnavailable", within=30),
    *each(ANY_START, "reset | reset after the effect | JSON cut off | body cut off", "AgoraUnavailable"),
    *each("V7 join | V6 start", "409 with the id | 201 with the id", "Starting"),
    *each("V7 join", "409 without the id"),
    *each("V6 start", "409 without the id | 400/49", "AdoptionUndecided"),
    *each("V6 acquire", "409", "AgoraUnavailable"),
    *each("V6 start", "400/1001 | 400, token too old"),
    *each("V7 join | V6 start", "unknown status", "Starting", says="PONDERING"),
    # The list that finds the task of a conflict without an id.
    # What the task was started with is not known once the spec has changed: it is replaced.
    *each(LIST, "400 | 422, bare", "RequestRefused", Mend.SPEC, tasks=2),
    *each(LIST, "401 | 403", "CredentialsRefused", Mend.SECRET),
    *each(LIST, "404 | 404, bare | 501", "AdoptionUndecided", says="has no list"),
    *each(LIST, "429", "Throttled"),
    *each(LIST, "409 | 500 | 502 with HTML | 503 | 504 | 201 | JSON cut off", "AgoraUnavailable"),
    *each(LIST, "reset"),
    *each(LIST, "timeout | answer after 12 s", "AgoraUnavailable", within=30),
    # Looks at a running task. One that cannot be seen runs on: the first two in a row that fail are kept quiet.
    *each(ANY_QUERY, "401 | 403", "CredentialsRefused", Mend.SECRET),
    *each(ANY_QUERY, "400, not enabled", "ServiceNotEnabled", Mend.SECRET),
    *each(ANY_QUERY, "400 | 404, bare | 409 | 422, bare | 429", times=2),
    *each(ANY_QUERY, "500 | 502 with HTML | 503 | 504 | 201 | reset | JSON cut off | body cut off", times=2),
    *each(ANY_QUERY, "500 | 404, bare | 400", "AgoraUnavailable", times=3, within=30),
    *each("V6 query", "202 after the effect | 206/65", times=2),
    *each("V6 query", "400/53", "RequestRefused", Mend.SPEC, says="builderToken"),
    *each(ANY_QUERY, "timeout | answer after 12 s", within=30),
    *each(ANY_QUERY, "unknown status", "Starting", says="PONDERING"),
    *each(ANY_QUERY, "404, ended", "TaskEnded", tasks=2, times=0, within=30),
    *each("V6 query", "400/433, ended", "TaskEnded", tasks=2, times=0, within=30),
    # Updates. What is unclear is sent again, 5 s later at least and under a higher sequenceId.
    *each(ANY_UPDATE, "400 | 422, bare | 501", "RequestRefused", Mend.SPEC, within=20),
    *each(ANY_UPDATE, "400, not enabled", "ServiceNotEnabled", Mend.SECRET, within=20),
    *each(ANY_UPDATE, "401 | 403", "CredentialsRefused", Mend.SECRET, within=20),
    *each("V6 update", "400/53", "RequestRefused", Mend.SPEC, within=20, says="builderToken"),
    *each(ANY_UPDATE, "429", "Throttled", within=20),
    *each(ANY_UPDATE, "404, Agora's own | 404, bare", "AgoraUnavailable", within=20),
    *each(ANY_UPDATE, "409 | 400, another operation in progress", "AgoraUnavailable", within=20),
    *each(ANY_UPDATE, "500 | 500 after the effect | 502 with HTML | 503 | 504 | 201", "AgoraUnavailable", within=20),
    *each("V6 update", "202 after the effect | 206/65 | 206/20 after the effect", "AgoraUnavailable", within=20),
    *each(ANY_UPDATE, "timeout | timeout after the effect", "AgoraUnavailable", within=35),
    *each(ANY_UPDATE, "effect after 12 s | answer after 12 s", "AgoraUnavailable", within=45),
    *each(ANY_UPDATE, "reset | reset after the effect | JSON cut off | body cut off", "AgoraUnavailable", within=20),
    *each(ANY_UPDATE, "unknown status", "Starting", says="PONDERING", within=20),
    # Stops, of objects that are deleted. One that failed is followed by a look: the task may have ended all the same.
    *each(ANY_END, "401 | 403", "CredentialsRefused", Mend.SECRET),
    *each(ANY_END, "400, not enabled", "ServiceNotEnabled", Mend.SECRET),
    # (Twice, because after the first one the next try may come before anybody has seen what the condition says.)
    *each(ANY_END, "400 | 422, bare | 501", "AgoraUnavailable", times=2),
    *each("V6 stop", "400/53", "RequestRefused", Mend.SPEC, says="builderToken"),
    *each(ANY_END, "429", "Throttled"),
    *each(ANY_END, "404, bare | 409 | 400, another operation in progress", "AgoraUnavailable", times=2),
    *each(ANY_END, "500 | 502 with HTML | 503 | 504 | 201", "AgoraUnavailable", times=2),
    *each(ANY_END, "reset"),
    *each("V6 stop", "206/65", "AgoraUnavailable", times=2),
    *each(ANY_END, "404 after the effect | 500 after the effect | 504 after the effect | 202 after the effect"),
    *each("V6 stop", "400/49 after the effect | 206/435 after the effect | 206/20 after the effect"),
    *each(ANY_END, "timeout", "AgoraUnavailable", within=25),
    *each(ANY_END, "timeout after the effect | effect after 12 s | answer after 12 s", within=35),
    *each(ANY_END, "reset after the effect | JSON cut off | body cut off"),
)


def fault_table_markdown() -> str:
    """The table as it stands in docs/guarantees.md: one line for all faults of an operation that end alike."""
    lines = [
        "| call | what goes wrong | what it means | Ready says | brought back | Agora tasks started |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str, str, int], list[Case]] = {}
    for case in CASES:
        key = (case.operation, FAULTS[case.fault].meaning, case.then, case.mend.value, case.tasks)
        groups.setdefault(key, []).append(case)
    for (operation, meaning, then, mend, tasks), cases in sorted(groups.items()):
        faults = "; ".join(case.trouble for case in cases)
        seconds = f"{mend}, within {max(case.within for case in cases):.0f} s"
        says = f"`{then}`" if then else "what it said before"
        lines.append(f"| {operation} | {faults} | {meaning} | {says} | {seconds} | {tasks} |")
    return "\n".join(lines) + "\n"
