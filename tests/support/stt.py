"""A client of the Socket.IO service that remembers what it was told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import socketio
import websockets

from agora_transcription.stt.protocol import PATH
from support.processes import Stt
from support.scripted import chunk, word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TESTS = Path(__file__).parents[1]

KEY = "an-api-key-of-the-tests"
OTHER_KEY = "another-api-key-of-the-tests"

EVENTS = ("session-started", "transcript-message", "session-error", "session-closed")

BOTH = ("websocket", "polling")
"""Transports."""


class Told(NamedTuple):
    """An event."""

    event: str
    payload: dict[str, Any]
    at: float


class ScriptedStt(Stt):
    """The service, with the engine of the tests."""

    program = (*Stt.program[:-1], "support.scripted")

    def __init__(self, directory: Path, *flags: str, keys: bool = True, script: dict[str, Any]) -> None:
        self.directory = directory
        file = directory / "apiKeys"
        file.write_text(f"{KEY}\n{OTHER_KEY}\n")
        super().__init__(
            directory / "stt.log",
            *([f"--api-keys-file={file}"] if keys else []),
            *flags,
            environment={
                "PYTHONPATH": str(TESTS),
                "SCRIPT": json.dumps(script),
                "COUNTS": str(directory / "counts"),
            },
        )

    async def counts(self) -> dict[str, Any]:
        """The engine's sessions and the loop's tasks."""
        file = self.directory / "counts"
        file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        async with asyncio.timeout(10):
            while not (file.exists() and (text := file.read_text())):
                await asyncio.sleep(0.01)
        counted: dict[str, Any] = json.loads(text)
        return counted

    async def start_and_wait(self) -> None:
        """Until it serves; the engine may not be ready."""
        self.start()
        await self.wait_for(self.url, status=404)


class Caller:
    """A client."""

    def __init__(self, url: str, key: str | None = KEY, transport: str = "websocket") -> None:
        self.told: list[Told] = []
        self.gone = asyncio.Event()
        self._url, self._key, self._transport = url, key, transport
        self._news = asyncio.Event()
        reading = aiohttp.TraceConfig()
        reading.on_request_end.append(read_all)
        self._http = aiohttp.ClientSession(trace_configs=[reading])
        self.sio = socketio.AsyncClient(reconnection=False, http_session=self._http)
        for event in EVENTS:
            self.sio.on(event, self._listener(event))
        self.sio.on("disconnect", self._left)

    async def connect(self) -> None:
        headers = {"x-api-key": self._key} if self._key else {}
        await self.sio.connect(self._url, headers, transports=[self._transport], socketio_path=PATH)

    async def start(self, rate: int = 16000) -> None:
        await self.sio.emit("start-session", {"sampleRate": rate})
        await self.until("session-started")

    async def say(self, *numbers: int, rate: int = 16000) -> None:
        """Send words, each in a chunk of its own."""
        for number in numbers:
            await self.sio.emit("audio-chunk", chunk(word(number, rate), rate))

    async def stop(self) -> dict[str, Any]:
        """Stop the session; answers the payload of `session-closed`."""
        await self.sio.emit("stop-session")
        return (await self.until("session-closed")).payload

    async def until(
        self, event: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True, timeout: float = 15
    ) -> Told:
        """Wait for the next event of a kind that has not been waited for; answers it, and forgets what came before."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for number, told in enumerate(self.told):
                        if told.event == event and holds(told.payload):
                            del self.told[: number + 1]
                            return told
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {event} in {timeout} s, only {self.told[-20:]}") from None

    async def until_committed(self, text: str, timeout: float = 15) -> Told:
        def committed(payload: dict[str, Any]) -> bool:
            return (payload["message_type"], payload.get("text")) == ("committed_transcript", text)

        return await self.until("transcript-message", committed, timeout)

    async def leave(self) -> None:
        await self.sio.disconnect()
        await self._http.close()

    def _listener(self, event: str) -> Callable[..., None]:
        def listen(payload: dict[str, Any] | None = None) -> None:
            self.told.append(Told(event, payload or {}, asyncio.get_running_loop().time()))
            self._news.set()

        return listen

    def _left(self, *_: object) -> None:
        self.gone.set()


async def read_all(_: aiohttp.ClientSession, __: object, ended: aiohttp.TraceRequestEndParams) -> None:
    """Read the answer to a POST, which the library does not: its connection would be left open."""
    if ended.method == "POST":
        await ended.response.read()


@asynccontextmanager
async def calling(url: str, key: str | None = KEY, transport: str = "websocket") -> AsyncIterator[Caller]:
    """A client that is connected."""
    caller = Caller(url, key, transport)
    try:
        await caller.connect()
        yield caller
    finally:
        await caller.leave()


@asynccontextmanager
async def raw(url: str, key: str = KEY, **options: Any) -> AsyncIterator[websockets.ClientConnection]:
    """A WebSocket with a Socket.IO client that is connected, whose packets are written by hand."""
    address = f"{url.replace('http', 'ws')}{PATH}/?EIO=4&transport=websocket"
    async with websockets.connect(address, additional_headers={"x-api-key": key}, **options) as socket:
        assert str(await socket.recv()).startswith("0{")
        await socket.send("40")
        assert str(await socket.recv()).startswith("40{")
        yield socket
