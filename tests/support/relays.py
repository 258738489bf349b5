"""The other ends of the relays: stricter than the real ones, so that what they take, those take."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import socketio
from aiohttp import web
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

__all__ = ["KEY", "FakeElevenLabs", "FakeSocketIo", "Refused"]

KEY = "a-key-of-the-relay"

WORDS = [{"text": "spoken", "start": 0.1, "end": 0.5, "type": "word", "speaker_id": "speaker_0"}]

ALLOWED: dict[str, Callable[[str], bool]] = {
    "model_id": lambda value: value == "scribe_v2_realtime",
    "audio_format": lambda value: value in {f"pcm_{rate}" for rate in (8000, 16000, 22050, 24000, 44100, 48000)},
    "commit_strategy": {"manual", "vad"}.__contains__,
    "include_timestamps": {"true", "false"}.__contains__,
    "language_code": lambda value: len(value) in {2, 3},
    "vad_silence_threshold_secs": lambda value: 0.3 <= float(value) <= 3,
}
"""The query, as its client sends it."""


class Refused(Exception):
    """A message is not as it must be."""


class FakeElevenLabs:
    """A realtime service of ElevenLabs' protocol, which says how much it has heard.

    Attributes:
        query: Of the last connection.
        audio: All that came on it.
        refusals: What was wrong with messages; empty in a good test.
        status: An HTTP status to refuse connections with.
        greeting: What it says first; None for nothing, ever.
        says: Messages that follow the next chunk, in place of what it would say.
        hangs_up: A code and a reason to close with, after those.
        says_first: Messages that come before the answer to a commit.
        thinks: Seconds between those and the answer.
        deaf: Whether it reads nothing after its greeting.
    """

    def __init__(self) -> None:
        self.url = ""
        self.query: dict[str, str] = {}
        self.audio = b""
        self.commits = 0
        self.closed_with: int | None = None
        self.refusals: list[str] = []
        self.status: HTTPStatus | None = None
        self.greeting: dict[str, Any] | None = {"message_type": "session_started", "session_id": "s", "config": {}}
        self.says: list[Any] = []
        self.hangs_up: tuple[int, str] | None = None
        self.says_first: list[Any] = []
        self.thinks = 0.0
        self.deaf = False
        self.over = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeElevenLabs]:
        """Serve for as long as the block lasts."""
        async with serve(self._handle, "127.0.0.1", 0, process_request=self._admit) as server:
            [sock] = server.sockets
            self.url = f"ws://127.0.0.1:{sock.getsockname()[1]}"
            try:
                yield self
            finally:
                self.over.set()

    async def heard(self, size: int) -> None:
        """Wait until so many bytes of audio have come."""
        async with asyncio.timeout(5):
            while len(self.audio) < size:
                await asyncio.sleep(0.01)

    @property
    def rate(self) -> int:
        return int(self.query["audio_format"].removeprefix("pcm_"))

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if self.status:
            return connection.respond(self.status, "")
        if parts.path != "/v1/speech-to-text/realtime":
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get_all("xi-api-key") != [KEY]:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
        self.query = {name: value for name, [value] in query.items()}
        if any(name not in ALLOWED or not ALLOWED[name](value) for name, value in self.query.items()):
            self.refusals.append(f"the query {self.query}")
            return connection.respond(HTTPStatus.BAD_REQUEST, "")
        return None

    async def _handle(self, socket: ServerConnection) -> None:
        try:
            if self.greeting:
                await socket.send(json.dumps(self.greeting))
            if self.deaf:
                await self.over.wait()
                socket.transport.abort()  # it would wait for what it has not read
                return
            async for message in socket:
                await self._take(socket, message)
        except Refused as refused:
            self.refusals.append(str(refused))
            await socket.send(json.dumps({"message_type": "input_error", "error": str(refused)}))
            await socket.close(1008)
        except ConnectionClosed:
            pass
        finally:
            self.closed_with = socket.close_code
            self.over.set()

    async def _take(self, socket: ServerConnection, message: str | bytes) -> None:
        audio, commit = self._chunk(message)
        heard = len(self.audio) / 2 / self.rate
        self.audio += audio
        if self.says or self.hangs_up:
            for each in self.says:
                await socket.send(each if isinstance(each, (str, bytes)) else json.dumps(each))
            self.says = []
            if self.hangs_up:
                await socket.close(*self.hangs_up)
            return
        if int(heard) < int(len(self.audio) / 2 / self.rate):
            await socket.send(json.dumps({"message_type": "partial_transcript", "text": "spok"}))
        if commit:
            self.commits += 1
            for each in self.says_first:
                await socket.send(json.dumps(each))
            await asyncio.sleep(self.thinks)
            text = {"text": f"{len(self.audio) / 2 / self.rate:.2f}"}
            await socket.send(json.dumps({"message_type": "committed_transcript", **text}))
            if self.query["include_timestamps"] == "true":
                timed = {"message_type": "committed_transcript_with_timestamps", "language_code": "en", "words": WORDS}
                await socket.send(json.dumps({**timed, **text}))

    def _chunk(self, message: str | bytes) -> tuple[bytes, bool]:
        if isinstance(message, bytes):
            raise Refused("a binary message")
        body = json.loads(message)
        if body.get("message_type") != "input_audio_chunk":
            raise Refused(f"a message of the kind {body.get('message_type')}")
        if set(body) != {"message_type", "audio_base_64", "commit", "sample_rate"} or body["commit"] not in {
            True,
            False,
        }:
            raise Refused(f"a chunk with {sorted(body)}")
        if body["sample_rate"] != self.rate:
            raise Refused(f"audio of {body['sample_rate']} Hz")
        try:
            audio = base64.b64decode(body["audio_base_64"], validate=True)
        except binascii.Error as error:
            raise Refused(str(error)) from error
        if len(audio) % 2 or len(audio) > 2 * self.rate:
            raise Refused(f"a chunk of {len(audio)} bytes")
        if not audio and not body["commit"]:
            raise Refused("an empty chunk")
        return audio, body["commit"]

    def loudness(self) -> float:
        """Of what came, to see that it is the audio that was sent."""
        return float(np.abs(np.frombuffer(self.audio, "<i2").astype(float)).mean())


class FakeSocketIo:
    """Another service of our own protocol, which says how much it has heard.

    Args:
        prefix: Of its path.

    Attributes:
        audio: All that came in the last session.
        refusals: What was wrong with events; empty in a good test.
        status: An HTTP status to refuse connections with.
        starts: Whether it answers start-session.
        then: What it emits after the first chunk, each an event and its data; `disconnect` is one.
        last: What it emits in place of the last commit and a normal end, the same.
        deaf: Whether it reads nothing after the first chunk.
        query: Of the last connection.
    """

    def __init__(self, prefix: str = "") -> None:
        self.url = ""
        self.query: dict[str, str] = {}
        self.rate = 0
        self.audio = b""
        self.refusals: list[str] = []
        self.status: int | None = None
        self.starts = True
        self.then: list[tuple[str, Any]] = []
        self.last: list[tuple[str, Any]] = []
        self.open = 0
        self.deaf = False
        self.over = asyncio.Event()
        self._prefix = prefix
        # One event after the other: the next one is read when this one is done.
        self._io = socketio.AsyncServer(async_mode="aiohttp", transports=["websocket"], async_handlers=False)
        for event, handler in {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "start-session": self._start,
            "audio-chunk": self._chunk,
            "stop-session": self._stop,
        }.items():
            self._io.on(event, handler)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeSocketIo]:
        """Serve for as long as the block lasts."""
        app = web.Application(middlewares=[self._admit])
        self._io.attach(app, socketio_path=f"{self._prefix}/api/stt-realtime-socket")
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.over.set()
            await self._io.shutdown()
            await runner.cleanup()

    @web.middleware
    async def _admit(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.status:
            return web.Response(status=self.status)
        if request.headers.getall("x-api-key", []) != [KEY]:
            return web.Response(status=401)
        self.query = dict(request.query)
        return await handler(request)

    async def _connect(self, *_: object) -> None:
        self.open += 1

    async def _disconnect(self, *_: object) -> None:
        self.open -= 1

    async def _start(self, sid: str, body: Any = None) -> None:
        if not isinstance(body, dict) or set(body) != {"sampleRate"} or not isinstance(body["sampleRate"], int):
            self.refusals.append(f"start-session {body}")
        self.rate, self.audio = body["sampleRate"], b""
        if self.starts:
            await self._io.emit("session-started", to=sid)
            started = {"message_type": "session_started", "session_id": "s"}
            await self._io.emit("transcript-message", started, to=sid)

    async def _chunk(self, sid: str, body: Any = None) -> None:
        if not isinstance(body, dict) or set(body) != {"audio_base_64", "sample_rate"}:
            self.refusals.append(f"audio-chunk {body}")
        audio = base64.b64decode(body["audio_base_64"], validate=True)
        if body["sample_rate"] != self.rate or len(audio) % 2 or not 0 < len(audio) <= 2 * self.rate:
            self.refusals.append(f"audio-chunk of {body['sample_rate']} Hz and {len(audio)} bytes")
        self.audio += audio
        if self.deaf:
            await self.over.wait()
        then, self.then = self.then, []
        await self._emit(sid, then)

    async def _stop(self, sid: str, *data: object) -> None:
        if data:
            self.refusals.append(f"stop-session {data}")
        if self.last:
            await self._emit(sid, self.last)
            return
        text = f"{len(self.audio) / 2 / self.rate:.2f}"
        committed = {"message_type": "committed_transcript", "text": text, "more": 1}
        await self._io.emit("transcript-message", committed, to=sid)
        await self._io.emit("session-closed", {"code": 1000, "reason": ""}, to=sid)

    async def _emit(self, sid: str, events: list[tuple[str, Any]]) -> None:
        for event, data in events:
            if event == "disconnect":
                await self._io.disconnect(sid)
            else:
                await self._io.emit(event, data, to=sid)
