"""An engine that hears what the audio says literally, and a service with it: `python -m support.scripted stt ...`.

The loudness of a sample is a word's number: 100 milliseconds of 7s are `w7`. Silence of half a second commits. What it
should do otherwise stands in the environment variable SCRIPT, as JSON.
"""

from __future__ import annotations

import array
import asyncio
import base64
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agora_transcription import cli
from agora_transcription.serving import waiting
from agora_transcription.stt import door, engines, hub, wire
from agora_transcription.stt.engines.base import EngineClosed, EngineFault, Kind, Result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Engine

WORD_SECONDS = 0.1
COMMIT_SECONDS = 0.5


def word(number: int, rate: int = 16000) -> bytes:
    """The audio of a word; 0 is silence."""
    return array.array("h", [number] * int(rate * WORD_SECONDS)).tobytes()


def chunk(audio: bytes, rate: int = 16000) -> dict[str, Any]:
    return {"audio_base_64": base64.b64encode(audio).decode(), "sample_rate": rate}


@dataclass(frozen=True)
class Script:
    """How the engine behaves.

    Attributes:
        speed: Seconds that a second of audio takes.
        opening: Seconds until a session is open.
        finishing: Seconds that the last words take.
        capacity: Sessions.
        fault: The word at which the session fails.
        closed: The word at which the other end closes it.
        bug: The word at which the engine does what it should not.
        noise: Characters of each of a hundred further partial texts for each word.
        unready: What is wrong with it.
        alone: Seconds that a connection may have no session: no setting of the service.
        connections: Clients at the same time: the same.
        upgrading: Seconds that a connection may take from polling to a WebSocket: the same.
        head: Seconds that the head of a request may take: the same.
        starting: Seconds until the engine has started.
    """

    speed: float = 0.0
    opening: float = 0.0
    finishing: float = 0.0
    capacity: int = 4
    fault: int = -1
    closed: int = -1
    bug: int = -1
    noise: int = 0
    unready: str | None = None
    alone: float = hub.IDLE_SECONDS
    connections: int = door.MAX_CONNECTIONS
    upgrading: float = wire.UPGRADE_SECONDS
    head: float = waiting.HEAD_SECONDS
    starting: float = 0.0


class ScriptedRecognition:
    """What one session hears."""

    def __init__(self, engine: ScriptedEngine, rate: int) -> None:
        self._engine, self._script, self._rate = engine, engine.script, rate
        self._results: asyncio.Queue[Result | Exception | None] = asyncio.Queue()
        self._rest, self._words, self._silence, self.processed_seconds = b"", [""] * 0, 0.0, 0.0
        self.busy_seconds = 0.0

    async def send(self, audio: bytes) -> None:
        self._rest += audio
        size = len(word(0, self._rate))
        while len(self._rest) >= size:
            number = array.array("h", self._rest[:2])[0]
            self._rest = self._rest[size:]
            await asyncio.sleep(self._script.speed * WORD_SECONDS)
            self.processed_seconds += WORD_SECONDS
            self.busy_seconds += self._script.speed * WORD_SECONDS
            self._hear(number)

    def _hear(self, number: int) -> None:
        if number == self._script.fault:
            raise EngineFault("the engine has had enough")
        if number == self._script.bug:
            raise ZeroDivisionError
        if number == self._script.closed:
            self._results.put_nowait(EngineClosed(1000, "the other end has had enough"))
        elif number:
            self._silence = 0.0
            self._words.append(f"w{number}")
            self._say(Kind.PARTIAL)
            for _ in range(100 if self._script.noise else 0):
                self._results.put_nowait(Result(Kind.PARTIAL, {"text": "x" * self._script.noise}))
        else:
            self._silence += WORD_SECONDS
            if self._silence >= COMMIT_SECONDS - 0.01:
                self._commit()

    def _say(self, kind: Kind) -> None:
        self._results.put_nowait(Result(kind, {"text": " ".join(self._words)}, self.processed_seconds - self._silence))

    def _commit(self) -> None:
        if self._words:
            self._say(Kind.COMMITTED)
            self._words = []

    async def finish(self) -> None:
        await asyncio.sleep(self._script.finishing)
        self._commit()
        self._results.put_nowait(None)

    async def results(self) -> AsyncIterator[Result]:
        while (result := await self._results.get()) is not None:
            if isinstance(result, Exception):
                raise result
            yield result

    async def close(self) -> None:
        self._engine.open_now.discard(self)


class ScriptedEngine:
    """An engine."""

    model = "scripted"
    finish_seconds = 10.0

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script(**json.loads(os.environ.get("SCRIPT", "{}")))
        self.capacity = self.script.capacity
        self.open_now: set[ScriptedRecognition] = set()

    async def start(self) -> None:
        """Say on SIGUSR1 what is open and how many tasks there are, in a file beside the log."""
        if "COUNTS" in os.environ:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._count)
        await asyncio.sleep(self.script.starting)

    def _count(self) -> None:
        names = sorted(getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
        # A timer of Engine.IO's, which ends by itself 25 seconds after it was set.
        tasks = [name for name in names if name != "AsyncSocket._send_ping"]
        counts = {"open": len(self.open_now), "tasks": tasks}
        Path(os.environ["COUNTS"]).write_text(json.dumps(counts))

    async def open(self, sample_rate: int) -> ScriptedRecognition:
        await asyncio.sleep(self.script.opening)
        recognition = ScriptedRecognition(self, sample_rate)
        self.open_now.add(recognition)
        return recognition

    def check(self) -> str | None:
        return self.script.unready

    async def stop(self) -> None:
        pass


def create(settings: SttSettings) -> Engine:  # noqa: ARG001 - as the one in whose place it is
    return ScriptedEngine()


def main() -> None:
    """Run the command, with this engine in the place of all."""
    script = Script(**json.loads(os.environ["SCRIPT"]))
    engines.create = create
    door.MAX_CONNECTIONS = script.connections  # type: ignore[misc]
    wire.UPGRADE_SECONDS, waiting.HEAD_SECONDS = script.upgrading, script.head  # type: ignore[misc]
    hub.IDLE_SECONDS, wire.SWEEP_SECONDS = script.alone, min(wire.SWEEP_SECONDS, script.alone / 4)  # type: ignore[misc]
    cli.main()


if __name__ == "__main__":
    main()
