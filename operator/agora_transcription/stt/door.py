"""What stands before Socket.IO: who may come in, and how much at a time. An ASGI application around another one.

A refusal is an HTTP status on both transports. Socket.IO itself refuses only after it has answered 200. The key is
asked for once, when a connection is made: browsers cannot send it with the WebSocket that follows, whose `sid` shows
that it belongs to that connection.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from agora_transcription.serving.callers import RateLimit, caller_of
from agora_transcription.serving.keys import FileProblem, key_of, keys_in
from agora_transcription.stt import packets
from agora_transcription.stt.intake import Frames, TooLong, Unread, body_of
from agora_transcription.stt.protocol import PATH
from agora_transcription.stt.wire import Link

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.hub import Hub
    from agora_transcription.stt.metrics import SttMetrics

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

__all__ = ["MAX_CONNECTIONS", "Door"]

MAX_CONNECTIONS: Final = 1000
"""Clients at the same time; more where more sessions are let in."""

FAILURES_PER_MINUTE: Final = 60
"""Of one address, without a key that counts; a client that is refused comes back every few seconds, for ever."""

LINES_PER_MINUTE: Final = 60
"""Of the log, for refusals of one address; the metrics count all."""

POLLING: Final = frozenset({"GET", "POST"})
"""What a client by polling sends, each one after the other."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    text: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, as far as it is looked at here."""

    method: str
    headers: dict[str, str]
    address: str
    connection: str
    jsonp: bool

    @classmethod
    def of(cls, scope: Message) -> _Asked:
        """Read it as Engine.IO reads it: what is a new connection for the one must be one for the other."""
        try:
            query = parse_qs(scope["query_string"].decode())
        except UnicodeDecodeError:
            query = {}
        return cls(
            method=scope.get("method", "GET"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            address=scope["client"][0] if scope.get("client") else "somebody",
            connection=query["sid"][0] if "sid" in query else "",
            jsonp="j" in query,
        )


class Door:
    """The admission middleware."""

    def __init__(self, settings: SttSettings, hub: Hub, metrics: SttMetrics) -> None:
        self._keys = settings.api_keys_file
        self._origins = settings.allow_origin
        self.max_connections = max(MAX_CONNECTIONS, 2 * hub.max_sessions)
        self._hub = hub
        self._metrics = metrics
        self._failures = RateLimit(FAILURES_PER_MINUTE)
        self._said = RateLimit(LINES_PER_MINUTE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket."""
        asked = _Asked.of(scope)
        refusal = self._look(scope, asked)
        if refusal is not None:
            await self._refuse(refusal, scope, asked, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, asked, receive, send)
        else:
            await self._serve_request(scope, asked, receive, send)

    def _look(self, scope: Message, asked: _Asked) -> _Refusal | None:
        if scope["path"].rstrip("/") != PATH:
            return _Refusal(404, "there is nothing here")
        if asked.jsonp:
            return _Refusal(400, "JSONP is not served")
        origin = asked.headers.get("origin")
        if origin is not None and not self._permits(origin):
            return _Refusal(403, "pages of this origin may not connect")
        if asked.connection:
            return None if self._hub.wire.knows(asked.connection) else _Refusal(400, "there is no such connection")
        if asked.method == "OPTIONS":
            return None
        if asked.method != "GET":
            return _Refusal(400, "a connection begins with a GET")
        return self._admit(asked)

    def _permits(self, origin: str) -> bool:
        return "*" in self._origins or origin in self._origins

    def _admit(self, asked: _Asked) -> _Refusal | None:
        """Decide on a new connection."""
        try:
            known = self._keys is None or caller_of(key_of(asked.headers), keys_in(self._keys)) is not None
        except FileProblem as problem:
            logger.error("--api-keys-file: %s", problem)  # noqa: TRY400 - the problem is all there is to say
            return _Refusal(500, "the service is not set up")
        if not known:
            wait = self._failures.wait(asked.address, time.monotonic())
            self._metrics.rejected.labels("throttled" if wait else "key").inc()
            if wait:
                return _Refusal(429, "too many connections without a key", wait)
            return _Refusal(401, "an API key is required, x-api-key: KEY; it is missing or not known")
        if self._hub.draining:
            self._metrics.rejected.labels("draining").inc()
            return _Refusal(503, "the service stops", 1)
        if self._hub.wire.connected >= self.max_connections:
            self._metrics.rejected.labels("connections").inc()
            return _Refusal(503, "too many are connected", 5)
        return None

    async def _refuse(self, refusal: _Refusal, scope: Message, asked: _Asked, send: Send) -> None:
        if not self._said.wait(asked.address, time.monotonic()):
            logger.info("Refused %s: %d %s", asked.address, refusal.status, refusal.text)
        body = refusal.text.encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        if asked.method != "GET":
            headers.append((b"connection", b"close"))  # what is left of a body is not waited for
        if refusal.retry_after is not None:
            headers.append((b"retry-after", str(math.ceil(refusal.retry_after)).encode()))
        if "origin" in asked.headers and self._permits(asked.headers["origin"]):
            headers.append((b"access-control-allow-origin", asked.headers["origin"].encode("latin-1")))
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
        await send({"type": f"{kind}.body", "body": body})

    async def _serve_websocket(self, scope: Message, asked: _Asked, receive: Receive, send: Send) -> None:
        link = Link(scope["state"]["abort"])
        scope["state"]["link"] = link
        try:
            if not asked.connection:
                await self._hub.wire.sio.handle_request(scope, self._frames(link, receive), send)
                return
            with self._hub.wire.upgrading(asked.connection, link) as upgraded:
                if upgraded is None:
                    await self._refuse(_Refusal(400, "the connection has a WebSocket already"), scope, asked, send)
                    return
                frames = self._frames(link, receive, upgraded)
                await self._hub.wire.sio.handle_request(scope, frames, send)
        finally:
            link.closed.set()

    def _frames(self, link: Link, receive: Receive, upgraded: Callable[[], None] | None = None) -> Frames:
        async def overflow() -> bool:
            connection = self._hub.wire.connection_of(link)
            return await self._hub.overflow(connection, f"a message may have {packets.MAX_MESSAGE} bytes")

        def malformed() -> None:
            self._metrics.dropped.labels("malformed").inc()
            logger.info("A WebSocket is closed: what came on it is no packet that the service takes")

        return Frames(receive, overflow, malformed, upgrade=upgraded)

    async def _serve_request(self, scope: Message, asked: _Asked, receive: Receive, send: Send) -> None:
        if not asked.connection or asked.method not in POLLING:
            await self._serve_polling(scope, asked, receive, send)
            return
        with self._hub.wire.polling(asked.connection, asked.method) as alone:
            if alone:
                await self._serve_polling(scope, asked, receive, send)
            else:
                refusal = _Refusal(400, "another request of the connection is under way")
                await self._refuse(refusal, scope, asked, send)

    async def _serve_polling(self, scope: Message, asked: _Asked, receive: Receive, send: Send) -> None:
        body = b""
        if asked.method == "POST":
            read = await self._read(asked, receive)
            if isinstance(read, _Refusal):
                await self._refuse(read, scope, asked, send)
                return
            body = read
        whole = {"type": "http.request", "body": body, "more_body": False}
        headers = [header for header in scope["headers"] if header[0] != b"content-length"]

        async def again() -> Message:
            return whole

        headers.append((b"content-length", str(len(body)).encode()))  # which the library goes by
        await self._hub.wire.sio.handle_request({**scope, "headers": headers}, again, send)

    async def _read(self, asked: _Asked, receive: Receive) -> bytes | _Refusal:
        """Read and check a body; one that has too much in it is empty, and the client is told."""
        try:
            batch = packets.split(await body_of(receive, int(asked.headers.get("content-length", "0"))))
        except Unread as unread:
            return _Refusal(unread.status, str(unread))
        except TooLong:
            await self._hub.overflow(asked.connection, f"a request may have {packets.MAX_MESSAGE} bytes")
            return b""
        except packets.Malformed:
            self._metrics.dropped.labels("malformed").inc()
            self._hub.wire.drop(asked.connection)
            return _Refusal(400, "no packets of Socket.IO")
        if len(batch) > packets.MAX_BATCH:
            await self._hub.overflow(asked.connection, f"a request may have {packets.MAX_BATCH} packets")
            return b""
        return packets.join(batch)
