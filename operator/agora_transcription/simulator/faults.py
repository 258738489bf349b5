"""Scripted faults: what goes wrong, at which calls, how often.

A fault says which calls it meets (`operation`, `match`, after skipping `after` of them, `times` times, each by
`chance`) and does one thing to each: answers with `status`, `body` and `headers`; changes the call's own answer
(`amend`); closes the connection (`drop`); keeps the request waiting (`hold`); or only delays it (`delaySeconds`, which
goes with the others as well). `effect` says whether the call took place before that.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Fault", "Faults", "Match", "read_faults"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Match(_Part):
    """Which calls of an operation are met: those that agree with everything given.

    Attributes:
        name: v7's name, v6's instanceId.
        channel: The channel.
        task_id: The agent_id or taskId.
    """

    name: str | None = None
    channel: str | None = None
    task_id: str | None = None


class Fault(_Part):
    """One scripted fault.

    Attributes:
        operation: The operation that is met; "*" for each. `query` and `update` are those of both dialects.
        match: Which of its calls.
        times: How many calls are met; 0 for all that come.
        after: How many matching calls go unharmed first.
        chance: The share of the calls it could meet that it does meet, at random; 0 to 1.
        status: HTTP status to answer with.
        body: JSON, or text that is sent as it is.
        headers: To be sent along, as `Retry-After`.
        amend: Let the call take effect, and replace these fields of its answer's JSON; `status`, if given, too.
        delay_seconds: How long to wait first.
        drop: Close the connection without an answer, before or after the call took effect.
        hold: Keep the request until it is released or the client goes away.
        effect: Whether the call takes effect first; the client then gets this fault for an answer. A call that is
            held or delayed without effect goes its usual way afterwards, unless the client of a held one went away.
    """

    operation: Literal["join", "acquire", "start", "query", "update", "leave", "stop", "list", "*"]
    match: Match = Match()
    times: Annotated[int, Field(ge=0)] = 1
    after: Annotated[int, Field(ge=0)] = 0
    chance: Annotated[float, Field(gt=0, le=1)] = 1
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    amend: dict[str, Any] | None = None
    delay_seconds: Annotated[float, Field(ge=0)] = 0
    drop: Literal["before", "after"] | None = None
    hold: bool = False
    effect: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        actions = [self.status is not None, self.drop is not None, self.hold]
        if sum(actions) > 1:
            raise ValueError("give one of status, drop and hold")
        if not any(actions) and not self.delay_seconds and self.amend is None:
            raise ValueError("give a status, amend, drop, hold or delaySeconds")
        if self.amend is not None and (self.drop or self.hold or self.body is not None):
            raise ValueError("amend changes an answer, which drop and hold prevent and a body replaces")
        if (self.body is not None or self.headers) and self.status is None:
            raise ValueError("body and headers need a status")
        if self.drop and "effect" in self.model_fields_set:
            raise ValueError("drop says itself whether the call took effect: before or after")
        return self

    @property
    def takes_effect_first(self) -> bool:
        """Whether the call happens before the fault shows."""
        return self.effect or self.drop == "after" or self.amend is not None


class Faults:
    """The faults that are still to come."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self.remaining = list(faults)
        self._random = random.Random(0)  # noqa: S311 - the same script is played the same way twice

    def take(self, operation: str, *, name: str | None, channel: str | None, task_id: str | None) -> Fault | None:
        """The fault for a call: of those that match it, the first that has skipped all it had to skip."""
        if not self.remaining:
            return None
        taken: Fault | None = None
        kept: list[Fault] = []
        for fault in self.remaining:
            if not _meets(fault, operation, name, channel, task_id):
                kept.append(fault)
            elif fault.after:
                kept.append(fault.model_copy(update={"after": fault.after - 1}))
            elif taken or self._random.random() >= fault.chance:
                kept.append(fault)
            else:
                taken = fault
                if fault.times != 1:
                    kept.append(fault.model_copy(update={"times": max(fault.times - 1, 0)}))
        self.remaining = kept
        return taken


def read_faults(path: Path) -> list[Fault]:
    """Read a list of faults from a YAML or JSON file.

    Raises:
        OSError: When the file cannot be read.
        ValueError: When it is no such list; the message says which entry is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    return TypeAdapter(list[Fault]).validate_python(content)


def _meets(fault: Fault, operation: str, name: str | None, channel: str | None, task_id: str | None) -> bool:
    wanted = (fault.match.name, fault.match.channel, fault.match.task_id)
    given = (name, channel, task_id)
    return fault.operation in {operation, "*"} and all(
        expected in {None, actual} for expected, actual in zip(wanted, given, strict=True)
    )
