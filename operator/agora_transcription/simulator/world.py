"""Everything that a running simulator knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agora_transcription.simulator.clock import Clock
from agora_transcription.simulator.faults import Fault, Faults
from agora_transcription.simulator.notifications import Notice, notice_of
from agora_transcription.simulator.tasks import Dialect, Moment, Task, Tasks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from agora_transcription.simulator.options import SimulatorOptions

__all__ = ["Call", "Ticket", "World"]


@dataclass(slots=True)
class Call:
    """A request that came, in whichever way it was answered.

    Attributes:
        at: When it came, in Unix seconds.
        operation: `join`, `start` and so on.
        dialect: Which API it was for.
        app_id: From its path.
        task_id: The task that it was about or that it started.
        name: v7's name, v6's instanceId.
        channel: The channel.
        code: What it was answered with; None while it waits, and for good if it was dropped.
        update_mask: Of an update, as sent.
        sequence_id: Of an update; None where it was no number.
    """

    at: float
    operation: str
    dialect: Dialect
    app_id: str
    task_id: str | None = None
    name: str | None = None
    channel: str | None = None
    code: int | None = None
    update_mask: str | None = None
    sequence_id: int | None = None


@dataclass(slots=True)
class Ticket:
    """What v6 calls a builderToken, tokenName or resourceId: it starts one task and is needed for every call about it.

    Attributes:
        app_id: Its project.
        instance_id: What it was acquired for.
        created_at: Unix seconds.
        task: The task that it started.
    """

    app_id: str
    instance_id: str
    created_at: float
    task: Task | None = None


@dataclass
class World:
    """The simulator's whole state.

    Attributes:
        initial: The options that it was started with.
        scripted: The faults that it was started with.
        clock: Its time.
    """

    initial: SimulatorOptions
    scripted: Sequence[Fault] = ()
    clock: Clock = field(default_factory=Clock)
    options: SimulatorOptions = field(init=False)
    tasks: Tasks = field(init=False)
    tickets: dict[str, Ticket] = field(init=False)
    faults: Faults = field(init=False)
    calls: list[Call] = field(init=False)
    held: set[asyncio.Event] = field(init=False, default_factory=set)
    notices: list[Notice] = field(init=False)
    unsent: list[Notice] = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Go back to how everything was at the start, and let go of every held request."""
        self.options = self.initial
        self.tasks = Tasks(self._tell)
        self.tickets = {}
        self.faults = Faults(self.scripted)
        self.calls = []
        self.notices, self.unsent = [], []
        self.clock.reset()
        self.release()

    def release(self) -> int:
        """Let go of every held request; returns how many there were."""
        for event in self.held:
            event.set()
        released = len(self.held)
        self.held.clear()
        return released

    def _tell(self, moment: Moment, task: Task) -> None:
        """Write the notification; it is sent by `notifications.deliver`. V6 has none of these."""
        if self.options.notifications is not None and task.dialect is Dialect.V7:
            notice = notice_of(moment, task, self.clock.wall())
            self.notices.append(notice)
            self.unsent.append(notice)

    def now(self) -> float:
        """The tasks' time, with everything that was due by then brought about."""
        now = self.clock.now()
        self.tasks.settle(now)
        return now

    def known(self, dialect: Dialect, app_id: str, task_id: str | None) -> Task | None:
        """A task that can be asked about: not too young, and live or ended not long ago."""
        task = self.tasks.by_id.get(task_id or "")
        if task is None or task.dialect is not dialect or task.app_id != app_id or self.forgotten(task):
            return None
        return task if self.clock.now() >= task.started_at + self.options.query_delay else None

    def forgotten(self, task: Task) -> bool:
        """Whether a task has ended so long ago that Agora denies it."""
        if task.ended_at is None:
            return False
        return self.options.forget_ended or self.clock.now() >= task.ended_at + self.options.retention
