"""A relay to another service of our own protocol: the one of docs.cantonese.ai/speech-to-text-realtime."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientSession, TCPConnector

from agora_transcription.stt.engines import relays
from agora_transcription.stt.engines.base import EngineClosed, EngineFault
from agora_transcription.stt.engines.messages import result_of
from agora_transcription.stt.engines.results import ResultQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiohttp import AddrInfoType

    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Result

__all__ = ["SocketIoEngine", "SocketIoRecognition"]

PATH: Final = "api/stt-realtime-socket"

LONGEST_MESSAGE: Final = 200
"""Characters of the other end's words that go on to the client."""

CODES: Final = {1008, 1009, 1011, 1013}


class SocketIoEngine:
    """Sessions there, one connection each."""

    def __init__(self, settings: SttSettings) -> None:
        self._url = settings.relay_url or ""
        self._key_file = settings.relay_key_file
        self.model = "relay"
        self.capacity = relays.CAPACITY

    async def start(self) -> None:
        """Look at the settings; a connection is made for each session.

        Raises:
            EngineFault: Something is missing.
        """
        relays.need("socketio", "socketio")
        relays.read_key(self._key_file)

    async def open(self, sample_rate: int) -> SocketIoRecognition:
        """Begin a session there.

        Raises:
            EngineFault: It cannot be reached, or does not want to.
        """
        from socketio.exceptions import SocketIOError  # noqa: PLC0415 - of an extra

        key = relays.read_key(self._key_file)
        recognition = SocketIoRecognition(sample_rate)
        try:
            async with asyncio.timeout(relays.CONNECT_SECONDS):
                await recognition.begin(self._url, key)
        except BaseException as error:
            await recognition.close()
            if isinstance(error, (TimeoutError, SocketIOError)):
                raise _refusal(error) from None
            raise
        return recognition

    def check(self) -> str | None:
        """Nothing: whether the other end is there, the next session shows."""
        return None

    async def stop(self) -> None:
        """Nothing is held beside the sessions."""


class SocketIoRecognition:
    """A connection, and the one session on it.

    Args:
        sample_rate: Of the audio, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        from socketio import AsyncClient  # noqa: PLC0415 - of an extra

        self._sockets: list[socket.socket] = []
        self._http = ClientSession(connector=TCPConnector(socket_factory=self._socket))
        client = AsyncClient(
            reconnection=False, handle_sigint=False, http_session=self._http, request_timeout=relays.CLOSE_SECONDS
        )
        self._client = client
        self._rate = sample_rate
        self._sent = 0  # bytes
        self._results = ResultQueue()
        self._started = asyncio.Event()
        self._over = asyncio.Event()
        self._finishing: asyncio.Task[None] | None = None
        client.on("session-started", self._on_started)
        client.on("transcript-message", self._on_message)
        client.on("session-error", self._on_error)
        client.on("session-closed", self._on_closed)
        client.on("disconnect", self._on_disconnect)

    @property
    def processed_seconds(self) -> float:
        """How much has gone there: more is not said."""
        return self._sent / 2 / self._rate

    @property
    def busy_seconds(self) -> float:
        """None: the work is done at the other end."""
        return 0.0

    async def begin(self, url: str, key: str | None) -> None:
        """Connect, and wait until the session has begun.

        Raises:
            EngineFault: It does not.
            SocketIOError: There is no connection.
        """
        await self._client.connect(
            url,
            headers={"x-api-key": key} if key else {},
            transports=["websocket"],
            socketio_path=PATH,
            wait_timeout=relays.CONNECT_SECONDS,
        )
        await self._client.emit("start-session", {"sampleRate": self._rate})
        await self._started.wait()
        try:
            self._results.check()
        except EngineClosed:
            raise EngineFault(relays.LOST) from None

    async def send(self, audio: bytes) -> None:
        """Send some audio; waits while the connection takes no more.

        Raises:
            EngineFault: The session is over.
            EngineClosed: The other end has closed it.
        """
        piece = 2 * int(relays.PIECE_SECONDS * self._rate)
        for at in range(0, len(audio), piece):
            part = audio[at : at + piece]
            await self._emit(
                "audio-chunk", {"audio_base_64": base64.b64encode(part).decode(), "sample_rate": self._rate}
            )
            self._sent += len(part)

    async def finish(self) -> None:
        """Ask for the last commit."""
        if not self._results.ended and not self._finishing:
            self._finishing = asyncio.create_task(self._finish())

    def results(self) -> AsyncIterator[Result]:
        """What the other end hears.

        Raises:
            EngineFault: It has failed.
            EngineClosed: It has closed the session.
        """
        return self._results.take()

    async def close(self) -> None:
        """Close the connection; in order, where the other end still reads."""
        self._results.clear()
        self._end(None)
        if self._finishing:
            self._finishing.cancel()
            await asyncio.wait([self._finishing])
        if self._client.connected:
            try:
                async with asyncio.timeout(relays.CLOSE_SECONDS):
                    await self._client.eio.queue.join()
            except TimeoutError:
                self._cut()
        await self._client.disconnect()
        self._cut()
        await self._http.close()

    async def _finish(self) -> None:
        with contextlib.suppress(TimeoutError, EngineFault, EngineClosed):
            async with asyncio.timeout(relays.FINISH_SECONDS):
                await self._emit("stop-session")
                await self._over.wait()
        self._results.end()

    async def _emit(self, event: str, data: dict[str, Any] | None = None) -> None:
        """Send an event once all before it are gone: the library's queue has no end of its own."""
        from socketio.exceptions import SocketIOError  # noqa: PLC0415 - of an extra

        gone, over = (
            asyncio.ensure_future(self._client.eio.queue.join()),
            asyncio.ensure_future(self._over.wait()),
        )
        try:
            await asyncio.wait([gone, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            over.cancel()
        self._results.check()
        try:
            await self._client.emit(event, data)
        except SocketIOError:
            self._end(EngineFault(relays.LOST))
            self._results.check()

    def _socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.append(made)
        return made

    def _cut(self) -> None:
        """End the connection though there is something left to send, which may never be read."""
        for made in self._sockets:
            with contextlib.suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)

    # What the other end says: whatever it is, nothing here may fail for it.

    async def _on_started(self, *_: object) -> None:
        self._started.set()

    async def _on_message(self, body: object = None, *_: object) -> None:
        if isinstance(body, dict) and (result := result_of(body)):
            self._results.put(result)

    async def _on_error(self, body: object = None, *_: object) -> None:
        body = body if isinstance(body, dict) else {}
        said, code = body.get("error"), body.get("code")
        message = said[:LONGEST_MESSAGE] if isinstance(said, str) and said else "the relay's other end reports an error"
        self._end(EngineFault(message, code if isinstance(code, int) and code in CODES else 1011))

    async def _on_closed(self, body: object = None, *_: object) -> None:
        body = body if isinstance(body, dict) else {}
        code, reason = body.get("code"), body.get("reason")
        self._end(
            EngineClosed(
                code if isinstance(code, int) else 1000, reason[:LONGEST_MESSAGE] if isinstance(reason, str) else ""
            )
        )

    async def _on_disconnect(self, *_: object) -> None:
        self._end(EngineFault(relays.LOST))

    def _end(self, reason: EngineFault | EngineClosed | None) -> None:
        self._results.end(None if self._finishing and isinstance(reason, EngineClosed) else reason)
        self._started.set()
        self._over.set()


def _refusal(error: BaseException) -> EngineFault:
    """What it means that there is no connection; the library hides the HTTP status below its own errors."""
    for cause in _causes(error):
        status = getattr(cause, "status", None)
        if isinstance(status, int):
            return relays.refused(status)
    return relays.unreachable()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
