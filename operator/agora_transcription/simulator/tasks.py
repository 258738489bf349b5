"""The life cycle of tasks: started, running, and ended by a stop, by idleness, by age or by an expired token.

A state machine without I/O and without a clock of its own: every method takes the time. What is due lies in a heap and
is brought about by `settle`, at the moment that it was due, so a call costs the same with ten tasks and with ten
thousand.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Change", "Dialect", "Moment", "State", "Task", "Tasks"]

V7_LIFETIME: Final = 259200
"""Seconds, whatever maxIdleTime says (release notes 7.2.3)."""

TOKEN_NOTICE: Final = 30
"""Seconds that Agora tells of an expiring token ahead; of one that lasts no longer it does not tell (event 104)."""

LIFETIME_MESSAGE: Final = "Task exceeded maximum lifetime"
IDLE_MESSAGE: Final = "Idle for too long"
TOKEN_MESSAGE: Final = "RTC connection error"  # noqa: S105 - the text of Agora's event, no credential


class Dialect(StrEnum):
    """Which of Agora's APIs a call or task is of."""

    V6 = "V6"
    V7 = "V7"


class State(Enum):
    """Where a task is in its life; both dialects have their own words for it."""

    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    STOPPED = auto()
    FAILED = auto()

    @property
    def ended(self) -> bool:
        """Whether nothing runs any more."""
        return self in {State.STOPPED, State.FAILED}


class Moment(Enum):
    """What happens to a task that its owner may be told of."""

    RUNNING = auto()
    ENDED = auto()
    TOKEN_EXPIRES = auto()


@dataclass(frozen=True, slots=True)
class Change:
    """An accepted update."""

    at: float
    sequence_id: int
    mask: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Task:
    """A task, live or ended.

    Attributes:
        id: The agent_id or taskId.
        dialect: Which API it was started with; the other one does not know it.
        app_id: Its project.
        name: v7: its name; v6: the instanceId of its builderToken.
        channel: Its channel.
        bot_uids: The users that it has in the channel.
        settings: What it was started with and updated to, as in the request, without secrets.
        idle_seconds: Time without hosts after which it ends; 0 for never.
        started_at: Unix seconds.
        expires_at: When its lifetime or its token ends.
        expiry_state: What it ends as then.
        expiry_message: What Agora says of it then.
        state: Where it is in its life.
        order: Its position among all starts.
        message: Why it ended.
        ended_at: Unix seconds; None while it is live.
        changed_at: The time of its start or its last accepted update.
        sequence_id: Of the last accepted update.
        updates: The accepted ones, in order.
        calls: How many requests were about it.
    """

    id: str
    dialect: Dialect
    app_id: str
    name: str
    channel: str
    bot_uids: frozenset[str]
    settings: dict[str, Any]
    idle_seconds: int
    started_at: float
    expires_at: float
    expiry_state: State = State.STOPPED
    expiry_message: str = LIFETIME_MESSAGE
    state: State = State.STARTING
    message: str = ""
    ended_at: float | None = None
    order: int = 0
    changed_at: float = field(init=False)
    sequence_id: int | None = None
    updates: list[Change] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.changed_at = self.started_at

    def limit_to_token(self, expires_at: float) -> None:
        """Let the task fail when its RTC token expires, if that comes first."""
        if expires_at < self.expires_at:
            self.expires_at, self.expiry_state, self.expiry_message = expires_at, State.FAILED, TOKEN_MESSAGE

    def apply(self, change: Change, settings: dict[str, Any]) -> None:
        """Take over an update that was found good."""
        self.settings = settings
        self.sequence_id = change.sequence_id
        self.changed_at = change.at
        self.updates.append(change)


class Tasks:
    """Every task that ever was, indexed for each kind of call."""

    def __init__(self, tell: Callable[[Moment, Task], None] = lambda _moment, _task: None) -> None:
        """Make an empty record.

        Args:
            tell: Told what happens to tasks.
        """
        self.by_id: dict[str, Task] = {}
        self._tell = tell
        self._by_name: dict[tuple[Dialect, str, str], Task] = {}
        self._by_channel: defaultdict[tuple[str, str], dict[str, Task]] = defaultdict(dict)
        self._bots: dict[tuple[str, str, str], Task] = {}
        self._live: Counter[str] = Counter()
        self._live_in: defaultdict[str, dict[str, Task]] = defaultdict(dict)
        self._empty_since: dict[str, float] = {}
        self._due: list[tuple[float, int, Task, _Event]] = []
        self._order = itertools.count()

    def named(self, dialect: Dialect, app_id: str, name: str) -> Task | None:
        """The last task of that name, live or ended."""
        return self._by_name.get((dialect, app_id, name))

    def of_channel(self, app_id: str, channel: str) -> list[Task]:
        """Every task that a channel ever had, in the order of their starts."""
        return list(self._by_channel.get((app_id, channel), {}).values())

    def bot(self, app_id: str, channel: str, uid: str) -> Task | None:
        """The live task that has this user in the channel."""
        return self._bots.get((app_id, channel, uid))

    def heard_in(self, channel: str) -> list[Task]:
        """The tasks that make captions of a channel: they run, and there are hosts, whatever their project."""
        if channel in self._empty_since:
            return []
        return [task for task in self._live_in.get(channel, {}).values() if task.state is State.RUNNING]

    def live(self, app_id: str) -> int:
        """How many tasks of a project have not ended."""
        return self._live[app_id]

    def start(self, task: Task, delay: float) -> None:
        """Take in a task that was found good; it runs after `delay` seconds."""
        task.order = len(self.by_id)
        self.by_id[task.id] = task
        self._by_name[task.dialect, task.app_id, task.name] = task
        self._by_channel[task.app_id, task.channel][task.id] = task
        self._live_in[task.channel][task.id] = task
        self._live[task.app_id] += 1
        for uid in task.bot_uids:
            self._bots[task.app_id, task.channel, uid] = task
        if delay > 0:
            self._schedule(task.started_at + delay, task, _Event.RUN)
        else:
            self._run(task)
        self._schedule(task.expires_at, task, _Event.EXPIRE)
        if task.expiry_message == TOKEN_MESSAGE and task.expires_at - task.started_at > TOKEN_NOTICE:
            self._schedule(task.expires_at - TOKEN_NOTICE, task, _Event.TOKEN)
        if task.channel in self._empty_since:
            self._watch_idleness(task)

    def stop(self, task: Task, now: float, delay: float) -> None:
        """End a task as a stop call does: at once, or after `delay` seconds of STOPPING.

        Of several calls the one that ends it first counts.
        """
        if delay > 0:
            task.state = State.STOPPING
            self._schedule(now + delay, task, _Event.STOP)
        else:
            self.end(task, now, State.STOPPED, "OK")

    def end(self, task: Task, at: float, state: State, message: str) -> None:
        """End a live task for whatever reason."""
        task.state, task.message, task.ended_at = state, message, at
        self._live[task.app_id] -= 1
        self._live_in[task.channel].pop(task.id)
        for uid in task.bot_uids:
            del self._bots[task.app_id, task.channel, uid]
        self._tell(Moment.ENDED, task)

    def set_hosts(self, channel: str, hosts: int, now: float) -> None:
        """Say how many hosts a channel has; all have some until told otherwise."""
        if hosts:
            self._empty_since.pop(channel, None)
        elif channel not in self._empty_since:
            self._empty_since[channel] = now
            for task in self._live_in[channel].values():
                self._watch_idleness(task)

    def settle(self, now: float) -> None:
        """Bring about everything that was due up to `now`."""
        while self._due and self._due[0][0] <= now:
            at, _, task, event = heapq.heappop(self._due)
            if task.state.ended:
                continue
            if event is _Event.RUN and task.state is State.STARTING:
                self._run(task)
            elif event is _Event.TOKEN:
                self._tell(Moment.TOKEN_EXPIRES, task)
            elif event is _Event.STOP:
                self.end(task, at, State.STOPPED, "OK")
            elif event is _Event.EXPIRE:
                self.end(task, at, task.expiry_state, task.expiry_message)
            elif event is _Event.IDLE and self._idle_at(task) <= at:
                self.end(task, at, State.STOPPED, IDLE_MESSAGE)

    def _run(self, task: Task) -> None:
        task.state = State.RUNNING
        self._tell(Moment.RUNNING, task)

    def _watch_idleness(self, task: Task) -> None:
        if task.idle_seconds:
            self._schedule(self._idle_at(task), task, _Event.IDLE)

    def _idle_at(self, task: Task) -> float:
        """When the task will have been idle for too long; never, while the channel has hosts."""
        empty_since = self._empty_since.get(task.channel)
        return float("inf") if empty_since is None else max(empty_since, task.started_at) + task.idle_seconds

    def _schedule(self, at: float, task: Task, event: _Event) -> None:
        heapq.heappush(self._due, (at, next(self._order), task, event))


class _Event(Enum):
    RUN = auto()
    STOP = auto()
    EXPIRE = auto()
    TOKEN = auto()
    IDLE = auto()
