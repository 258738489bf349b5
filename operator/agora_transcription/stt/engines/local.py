"""The engines here: sessions on worker processes, of which each may fail without the others."""

from __future__ import annotations

import asyncio
import math
import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agora_transcription.stt.engines.audio import pieces, seconds_of
from agora_transcription.stt.engines.base import EngineFault
from agora_transcription.stt.engines.frames import FrameType, pack, pack_numbers, unpack_numbers, unpack_result
from agora_transcription.stt.engines.processes import WorkerProcess
from agora_transcription.stt.engines.recognizers import RECOGNIZERS, missing_packages
from agora_transcription.stt.engines.results import ResultQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.stt.engines.base import Result
    from agora_transcription.stt.engines.frames import Frame

__all__ = ["LocalEngine", "LocalRecognition"]

WINDOW_SECONDS: Final = 2.0
"""Audio that a session may have sent and not have had worked through; more waits."""

FINISH_SECONDS: Final = 10.0
"""How long the last words may take, of a session among many."""

QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""How much processor time a container may use, on Linux: microseconds, or max, of a period."""


class LocalEngine:
    """An engine of `RECOGNIZERS`.

    Args:
        name: Which.
        workers: How many processes; 0 for one per processor core.
        sessions: How many at once, shared out among the workers; 0 for as many as these are good for.
        timestamps: Whether the times of words are wanted.
        hang_seconds: How long a worker may say nothing before it is ended.
    """

    def __init__(
        self, name: str, workers: int = 0, *, sessions: int = 0, timestamps: bool = True, hang_seconds: float = 20.0
    ) -> None:
        self._name = name
        self._workers = [
            WorkerProcess(name, timestamps=timestamps, hang_seconds=hang_seconds) for _ in range(workers or _cores())
        ]
        self._numbers = count(1)
        self.model = RECOGNIZERS[name].name
        self.capacity = sessions or RECOGNIZERS[name].sessions * len(self._workers)
        self.finish_seconds = FINISH_SECONDS
        self._most = math.ceil(self.capacity / len(self._workers))

    async def start(self) -> None:
        """Start the workers, and wait until each has loaded its models.

        Raises:
            EngineFault: One cannot, or a package is missing.
        """
        if missing := missing_packages(self._name):
            raise EngineFault(
                f"the engine {self._name} needs {', '.join(missing)}: pip install 'agora-transcription[stt]'"
            )
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(worker.start())
        except BaseException as error:
            await self.stop()
            if isinstance(error, BaseExceptionGroup):
                # What the first one says, the others would say too.
                raise error.exceptions[0] from None
            raise

    async def open(self, sample_rate: int) -> LocalRecognition:
        """Begin a session on the worker that has fewest.

        Each has its share of the capacity and no more: those of one that has failed would be too many for the others.

        Raises:
            EngineFault: 1013: no worker is ready, or those that are have no room.
        """
        ready = [worker for worker in self._workers if worker.ready]
        if not ready:
            raise EngineFault("no worker of the engine is ready", 1013)
        worker = min(ready, key=lambda worker: len(worker.sessions))
        if len(worker.sessions) >= self._most:
            raise EngineFault("the workers of the engine that are ready have no room", 1013)
        return LocalRecognition(worker, next(self._numbers), sample_rate)

    def check(self) -> str | None:
        """What is wrong: that no worker is ready."""
        return None if any(worker.ready for worker in self._workers) else "no worker of the engine is ready"

    async def stop(self) -> None:
        """End the workers; it takes some seconds at most."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))


class LocalRecognition:
    """A session on a worker."""

    def __init__(self, worker: WorkerProcess, number: int, sample_rate: int) -> None:
        self._worker = worker
        self._number = number
        self._rate = sample_rate
        self._sent = 0  # bytes
        self._processed = 0.0
        self._busy = 0.0
        self._results = ResultQueue()
        self._room = asyncio.Event()
        worker.sessions[number] = self
        worker.send(pack_numbers(FrameType.OPEN, number, sample_rate))

    @property
    def processed_seconds(self) -> float:
        """How much of the audio has been worked through."""
        return self._processed

    @property
    def busy_seconds(self) -> float:
        """How long the worker took for it."""
        return self._busy

    async def send(self, audio: bytes) -> None:
        """Take some audio; waits while two seconds of it have not been worked through.

        Raises:
            EngineFault: The worker has failed, or the session is closed.
        """
        for piece in pieces(audio, self._rate):
            await self._wait_for_room()
            self._sent += len(piece)
            self._worker.send(pack(FrameType.AUDIO, self._number, piece))

    async def finish(self) -> None:
        """Say that no more audio follows."""
        if not self._results.ended:
            self._worker.send(pack(FrameType.FINISH, self._number))

    def results(self) -> AsyncIterator[Result]:
        """What is heard. Of partials that nobody has taken yet there is only the newest.

        Raises:
            EngineFault: The worker has failed.
        """
        return self._results.take()

    async def close(self) -> None:
        """Let go of everything at once."""
        if self._number in self._worker.sessions:
            self._worker.send(pack(FrameType.CLOSE, self._number))
        self._results.clear()
        self.end()

    def take(self, frame: Frame) -> None:
        """Take what the worker has said.

        Raises:
            FrameError: It makes no sense.
        """
        if frame.type == FrameType.RESULT:
            self._results.put(unpack_result(frame.payload))
        elif frame.type == FrameType.PROCESSED:
            self._processed, self._busy = unpack_numbers(frame.payload, 2)
            self._room.set()
        elif frame.type == FrameType.ENDED:
            self.end()
        elif frame.type == FrameType.FAULT:
            self.end(EngineFault(frame.payload.decode()))

    def end(self, fault: EngineFault | None = None) -> None:
        """Nothing more is heard of it: it has ended, or failed."""
        self._results.end(fault)
        self._worker.sessions.pop(self._number, None)
        self._room.set()

    async def _wait_for_room(self) -> None:
        while not self._results.ended and seconds_of(self._sent, self._rate) - self._processed >= WINDOW_SECONDS:
            self._room.clear()
            await self._room.wait()
        self._results.check()


def _cores() -> int:
    """How many processor cores this process may use: those of its container, where it has a limit."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
    except (OSError, ValueError):
        return available
    return available if quota == "max" else max(1, min(available, math.ceil(int(quota) / int(period))))
