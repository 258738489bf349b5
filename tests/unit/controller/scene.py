"""An object, both servers and an operator: the stage of the tests of one reconciler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agora_transcription.api import TaskStatus, TranscriptionTask
from unit.controller.agora_model import AgoraModel, Character
from unit.controller.kubernetes_model import ApiServer, Process

if TYPE_CHECKING:
    from unit.controller.builders import Clock
    from unit.controller.kubernetes_model import Body


class Scene:
    """An object, both servers, and an operator that hears of every change at once."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.server = ApiServer(clock)
        self.agora = AgoraModel(clock, Character())
        self.process = Process(self.server, self.agora)
        self.server.tell = self._tell

    def _tell(self, kind: str, body: Body) -> None:
        self.process.hear(kind, body)

    def deaf(self) -> None:
        """The watch is late."""
        self.server.tell = lambda _kind, _body: None

    def restart(self) -> None:
        """Another process takes over, and knows what stands in the object."""
        self.process = Process(self.server, self.agora)
        if self.server.object is not None:
            self.process.hear(None, self.server.object)

    async def running(self, **spec: Any) -> None:
        self.server.create(spec, guarded=True)
        await self.process.work()
        assert self.status.task_id == "agora-1"

    async def pass_time(self, seconds: float) -> None:
        """Work on what comes due in that time."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            await self.process.work()
            due = self.process.queue.due
            step = end if due is None else min(end, max(due, self.clock.monotonic() + 0.001))
            self.clock.advance(step - self.clock.monotonic())
        await self.process.work()

    @property
    def status(self) -> TaskStatus:
        assert self.server.object is not None
        return TranscriptionTask.parse(self.server.object).status

    def exists(self) -> bool:
        return self.server.object is not None

    @property
    def reason(self) -> str:
        assert self.status.ready is not None
        return self.status.ready.reason
