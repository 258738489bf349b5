"""A small model of Agora: what it runs, what it refuses, and how its calls can fail. No I/O, its own clock.

It takes the strict reading wherever the pages leave one open: a name (V7) or builderToken (V6) starts one task ever,
updates closer than 5 s or with a sequenceId that does not rise are broken promises of the caller, not refusals.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import SecretStr

from agora_transcription import agora
from agora_transcription.agora import Dialect, Field, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from unit.controller.builders import Clock

T = TypeVar("T")

SPACING: Final = 4.998
"""Seconds between two changes: Agora's five, less what is lost by rounding to milliseconds."""

LATENCY: Final = 0.05
"""Seconds from a call to its effect, and from there to its answer."""

TOKEN_LIFETIME: Final = 24 * 3600.0
START_WITHIN: Final = 300.0

WORDS: Final = {
    Dialect.V7: {
        State.STARTING: "STARTING",
        State.ACTIVE: "RUNNING",
        State.STOPPING: "STOPPING",
        State.STOPPED: "STOPPED",
        State.FAILED: "FAILED",
    },
    Dialect.V6: {
        State.STARTING: "STARTING",
        State.ACTIVE: "IN_PROGRESS",
        State.STOPPING: "STOPPING",
        State.STOPPED: "STOPPED",
        State.FAILED: "FAILURE_STOP",
    },
}


class Crash(BaseException):
    """The operator's process dies here."""


@dataclass(frozen=True)
class Fault:
    """How the next call fails, and whether it has its effect before."""

    error: Callable[[str], BaseException]
    effect: bool
    name: str = ""

    def __repr__(self) -> str:
        return f"{self.name}{' after the effect' if self.effect else ''}"


def fault(error: type[BaseException], *, effect: bool = False) -> Fault:
    return Fault(error, effect, error.__name__)


@dataclass
class Character:
    """What Agora's pages leave open."""

    start_seconds: float = 0.0
    stop_seconds: float = 0.0
    conflict_names_task: bool = True
    forgets_ended: bool = False
    list_lag: float = 0.0
    token_age_first: bool = False


@dataclass
class AgoraTask:
    """A task that was started."""

    id: str
    dialect: Dialect
    request: agora.StartRequest
    settings: agora.LiveSettings
    started: float
    changed: float
    created: datetime
    sequence: int | None = None
    stop_at: float | None = None
    ended: State | None = None
    ended_by_operator: bool = False
    updates: list[agora.Update] = field(default_factory=list)


class AgoraModel:
    """Agora, in both dialects; takes the place of the `AgoraClient`."""

    def __init__(self, clock: Clock, character: Character | None = None) -> None:
        self.clock = clock
        self.character = character or Character()
        self.tasks: dict[str, AgoraTask] = {}
        self.calls: list[str] = []
        self.fault: Fault | None = None
        self.spared: set[str] = set()
        """Operations that neither the fault nor what happens meanwhile is for."""
        self.meanwhile: Callable[[], None] | None = None
        """Happens once, between the next call's effect and its answer."""
        self.before_call: Callable[[str], None] = lambda _: None
        self._names: dict[str, AgoraTask] = {}
        self._tokens: dict[str, tuple[float, AgoraTask | None]] = {}

    def dialect(self, dialect: Dialect) -> agora.Agora:
        return _Api(self, dialect)

    def live(self) -> list[AgoraTask]:
        """What Agora bills for."""
        return [task for task in self.tasks.values() if not self.state(task).ended]

    def running(self) -> list[AgoraTask]:
        """What nobody has stopped."""
        return [task for task in self.live() if self.state(task) is not State.STOPPING]

    def state(self, task: AgoraTask) -> State:
        now = self.clock.monotonic()
        if task.ended is not None:
            return task.ended
        if task.stop_at is not None:
            return State.STOPPED if now >= task.stop_at else State.STOPPING
        if now >= task.started + TOKEN_LIFETIME:
            return State.FAILED
        return State.ACTIVE if now >= task.started + self.character.start_seconds else State.STARTING

    def end(self, task: AgoraTask, state: State = State.STOPPED) -> None:
        """The task ends by itself."""
        task.ended = state

    def launch(self, dialect: Dialect, request: agora.StartRequest) -> AgoraTask:
        now = self.clock.monotonic()
        name = f"agora-{len(self.tasks) + 1}"
        task = AgoraTask(name, dialect, request, request.settings, now, now, self.clock.now())
        self.tasks[name] = task
        return task

    def join(self, request: agora.StartRequest) -> AgoraTask:
        namesake = self._names.get(request.name)
        if namesake is not None:
            raise agora.Conflict("start", task_id=namesake.id if self.character.conflict_names_task else None)
        task = self._names[request.name] = self.launch(Dialect.V7, request)
        return task

    def acquire(self) -> str:
        token = f"builder-token-{len(self._tokens) + 1}"
        self._tokens[token] = (self.clock.monotonic(), None)
        return token

    def start(self, token: str, request: agora.StartRequest) -> AgoraTask:
        acquired, task = self._tokens[token]
        too_old = self.clock.monotonic() > acquired + START_WITHIN
        if task is not None and not (too_old and self.character.token_age_first):
            if self.state(task).ended:
                raise agora.Conflict("start", code=400, reason="49")
            raise agora.Conflict("start", task_id=task.id)
        if too_old:
            raise agora.TokenRefused("start", code=400)
        task = self.launch(Dialect.V6, request)
        self._tokens[token] = (acquired, task)
        return task

    def find(self, operation: str, handle: agora.Handle, dialect: Dialect) -> AgoraTask:
        task = self.tasks.get(handle.task_id)
        assert task is not None, f"{operation} of {handle.task_id}, which never was"
        assert task.dialect is dialect
        if dialect is Dialect.V6:
            assert handle.builder_token is not None
            _, of_token = self._tokens[handle.builder_token.get_secret_value()]
            assert of_token is task, f"{operation} of {task.id} with another task's builderToken"
        return task

    def query(self, task: AgoraTask) -> AgoraTask:
        if self.state(task).ended and self.character.forgets_ended:
            raise agora.Gone("query", code=404)
        return task

    def update(self, task: AgoraTask, update: agora.Update) -> AgoraTask:
        now = self.clock.monotonic()
        assert task.sequence is None or update.sequence_id > task.sequence, "sequenceIds rise"
        assert now >= task.changed + SPACING, f"{now - task.changed} s after the last change"
        if self.state(task).ended:
            raise agora.Gone("update", code=404)
        if self.state(task) is not State.ACTIVE:
            raise agora.Busy("update", code=400)
        new, settings = update.settings, task.settings
        if Field.LANGUAGES in update.fields:
            settings = replace(settings, languages=new.languages)
        if Field.SUBSCRIBE_AUDIO_UIDS in update.fields:
            settings = replace(settings, subscribe_audio_uids=new.subscribe_audio_uids)
        if Field.UID_LANGUAGES in update.fields:
            settings = replace(settings, uid_languages=new.uid_languages)
        if Field.TRANSLATION in update.fields:
            settings = replace(settings, translation=new.translation)
        task.settings, task.sequence, task.changed = settings, update.sequence_id, now
        task.updates.append(update)
        return task

    def stop(self, task: AgoraTask) -> None:
        state = self.state(task)
        if state.ended:
            raise agora.Gone("stop", code=404)
        if state is State.STOPPING:
            if task.dialect is Dialect.V6:
                raise agora.Gone("stop", code=400, reason="49")
            return
        task.stop_at = self.clock.monotonic() + self.character.stop_seconds
        task.ended_by_operator = True

    def listed(self, channel: str | None) -> list[agora.ListedTask]:
        horizon = self.clock.monotonic() - self.character.list_lag
        return [
            agora.ListedTask(task.id, WORDS[Dialect.V7][self.state(task)], task.created)
            for task in self.live()
            if task.dialect is Dialect.V7 and channel in {None, task.request.channel} and task.started <= horizon
        ]

    def perform(self, operation: str, effect: Callable[[], T]) -> T:
        """Make one call, with whatever is to go wrong with it."""
        self.before_call(operation)
        self.calls.append(operation)
        self.clock.advance(LATENCY)
        fault, meanwhile = (None, None) if operation in self.spared else (self.fault, self.meanwhile)
        if fault is not None:
            self.fault = None
        if fault is not None and not fault.effect:
            raise fault.error(operation)
        try:
            return effect()
        finally:
            self.clock.advance(LATENCY)
            if meanwhile is not None:
                self.meanwhile = None
                meanwhile()
            if fault is not None:
                raise fault.error(operation)


class _Api:
    """One dialect of the model."""

    def __init__(self, model: AgoraModel, dialect: Dialect) -> None:
        self._model = model
        self.dialect = dialect

    async def acquire(self, account: agora.Account, instance_id: str) -> SecretStr | None:  # noqa: ARG002 - the Protocol's
        if self.dialect is Dialect.V7:
            return None
        return SecretStr(self._model.perform("acquire", self._model.acquire))

    async def start(
        self,
        account: agora.Account,  # noqa: ARG002 - the Protocol's
        request: agora.StartRequest,
        builder_token: SecretStr | None,
    ) -> agora.Observation:
        if self.dialect is Dialect.V7:
            return self._seen(self._model.perform("start", lambda: self._model.join(request)))
        assert builder_token is not None
        token = builder_token.get_secret_value()
        return self._seen(self._model.perform("start", lambda: self._model.start(token, request)))

    async def query(self, account: agora.Account, handle: agora.Handle) -> agora.Observation:  # noqa: ARG002 - the Protocol's
        task = self._model.find("query", handle, self.dialect)
        return self._seen(self._model.perform("query", lambda: self._model.query(task)))

    async def update(self, account: agora.Account, handle: agora.Handle, update: agora.Update) -> agora.Observation:  # noqa: ARG002 - the Protocol's
        task = self._model.find("update", handle, self.dialect)
        return self._seen(self._model.perform("update", lambda: self._model.update(task, update)))

    async def stop(self, account: agora.Account, handle: agora.Handle) -> None:  # noqa: ARG002 - the Protocol's
        task = self._model.find("stop", handle, self.dialect)
        self._model.perform("stop", lambda: self._model.stop(task))

    async def list_live(
        self,
        account: agora.Account,  # noqa: ARG002 - the Protocol's
        channel: str | None,
        since: datetime,
        more: agora.More = agora.at_once,  # noqa: ARG002
    ) -> Sequence[agora.ListedTask]:
        if self.dialect is Dialect.V6:
            raise agora.NotSupported("list")
        rows = self._model.perform("list", lambda: self._model.listed(channel))
        return [row for row in rows if row.started is None or row.started >= since]

    async def list_running(
        self,
        account: agora.Account,
        since: datetime,
        more: agora.More = agora.at_once,
    ) -> Sequence[agora.ListedTask]:
        return [row for row in await self.list_live(account, None, since, more) if row.status == "RUNNING"]

    def _seen(self, task: AgoraTask) -> agora.Observation:
        state = self._model.state(task)
        return agora.Observation(task.id, WORDS[self.dialect][state], state, "", task.created)
