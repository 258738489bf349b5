"""A relay to another service of our own protocol: the one of docs.cantonese.ai/speech-to-text-realtime."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import ClientSession, TCPConnector
from socketio import AsyncClient
from socketio.exceptions import SocketIOError

from agora_transcription.stt.engines import relays
from agora_transcription.stt.engines.base import EngineClosed, EngineFault
from agora_transcription.stt.engines.messages import result_of
from agora_transcription.stt.protocol import PATH, Close

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import AddrInfoType

    from agora_transcription.settings import SttSettings

__all__ = ["SocketIoEngine"]

LONGEST_MESSAGE: Final = 200
"""Characters of the other end's words that go on to the client."""

CODES: Final = range(1000, 5000)
"""Of a WebSocket: with one of them a session may be closed there."""

FAULTS: Final = set(Close) - relays.NORMAL


class SocketIoEngine(relays.RelayEngine):
    """Sessions there, one connection each."""

    def __init__(self, settings: SttSettings) -> None:
        super().__init__(settings, "relay")

    def _recognition(self, sample_rate: int) -> SocketIoRecognition:
        return SocketIoRecognition(self._url, sample_rate)


class SocketIoRecognition(relays.RelayRecognition):
    """A connection, and the one session on it.

    Args:
        url: As of `--relay-url`.
        sample_rate: Of the audio, in Hz.
    """

    def __init__(self, url: str, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._url = url
        self._sockets: list[socket.socket] = []
        self._http = ClientSession(connector=TCPConnector(socket_factory=self._socket))
        self._client = AsyncClient(
            reconnection=False, handle_sigint=False, http_session=self._http, request_timeout=relays.CLOSE_SECONDS
        )
        for event, handler in {
            "session-started": self._on_started,
            "transcript-message": self._on_message,
            "session-error": self._on_error,
            "session-closed": self._on_closed,
            "disconnect": self._on_disconnect,
        }.items():
            self._client.on(event, handler)

    async def _connect(self, key: str | None) -> None:
        try:
            await self._client.connect(
                self._url,
                headers={"x-api-key": key} if key else {},
                transports=["websocket"],
                socketio_path=_path_of(self._url),
                wait_timeout=relays.CONNECT_SECONDS,
            )
            await self._client.emit("start-session", {"sampleRate": self._rate})
        except SocketIOError as error:
            raise _refusal(error) from None

    async def _say(self, audio: bytes) -> None:
        await self._emit("audio-chunk", {"audio_base_64": base64.b64encode(audio).decode(), "sample_rate": self._rate})

    async def _last_words(self) -> None:
        await self._emit("stop-session")
        await self._over.wait()

    async def _hang_up(self) -> None:
        if self._client.connected:
            try:
                async with asyncio.timeout(relays.CLOSE_SECONDS):
                    await self._client.eio.queue.join()
            except TimeoutError:
                self._cut()
        await self._client.disconnect()
        self._cut()
        await self._http.close()

    async def _emit(self, event: str, data: dict[str, Any] | None = None) -> None:
        """Send an event once all before it are gone: the library's queue has no end of its own."""
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
        self._end(EngineFault(message, code if isinstance(code, int) and code in FAULTS else Close.FAULT))

    async def _on_closed(self, body: object = None, *_: object) -> None:
        body = body if isinstance(body, dict) else {}
        code, reason = body.get("code", Close.NORMAL), body.get("reason")
        if not isinstance(code, int) or code not in CODES:
            code = Close.FAULT
        if self._finishing and code in relays.NORMAL:
            self._end()
        else:
            self._end(EngineClosed(code, reason[:LONGEST_MESSAGE] if isinstance(reason, str) else ""))

    async def _on_disconnect(self, *_: object) -> None:
        self._end(EngineFault(relays.LOST))


def _path_of(url: str) -> str:
    """The path of the protocol at the other end, below the one that the URL has; it may be there already."""
    return urlsplit(url).path.rstrip("/").removesuffix(PATH) + PATH


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
