"""Where Agora's notifications come in: `POST /agora/notifications`, for whatever ends TLS in front of it.

Nothing of a request is logged: its body names channels, and its header is worth trying again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from agora_transcription.controller.notifications import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_transcription.controller.notifications import Receiver

__all__ = ["MAX_BODY", "PATH", "WebhookServer"]

PATH: Final = "/agora/notifications"

SIGNATURE: Final = "Agora-Signature-V2"
"""HMAC-SHA256; `Agora-Signature`, which is SHA-1, is not looked at."""

MAX_BODY: Final = 8 * 1024
"""Bytes; Agora's are below 1 KiB."""

MAX_CONNECTIONS: Final = 256
"""At the same time; for a further one the oldest is closed, which is the least likely to be waiting for an answer."""

HEAD_SECONDS: Final = 10.0
"""How long the head of a request may take to come, and a connection rest between two requests."""

READ_SECONDS: Final = 5.0
"""How long a body may take to come: Agora waits for an answer for 10 s."""

CLOSE_SECONDS: Final = 1.0
"""How long requests may take to end when the operator does."""


class WebhookServer:
    """An HTTP server with one page."""

    def __init__(self, receiver: Receiver, ready: Callable[[], bool], count: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            receiver: Decides what becomes of each notification.
            ready: Whether this process acts on objects; while it does not, Agora is asked to try again.
            count: Told what became of each notification.
        """
        self._receiver = receiver
        self._ready = ready
        self._count = count
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_post(PATH, self._receive)
        # The signature is over the bytes as they come: nothing is decompressed.
        self._runner = web.AppRunner(
            application,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=HEAD_SECONDS,
            shutdown_timeout=CLOSE_SECONDS,
        )
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; answers the port, which is chosen for port 0."""
        await self._runner.setup()
        self._listener = await asyncio.get_running_loop().create_server(self._connected, host or None, port)
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    def _connected(self) -> asyncio.Protocol:
        """Make what serves a new connection."""
        server = self._runner.server
        if server is None:
            raise RuntimeError("the server was not started")
        connections = server.connections  # the oldest first
        for connection in connections[: max(0, len(connections) + 1 - MAX_CONNECTIONS)]:
            connection.force_close()
        return server()

    async def _receive(self, request: web.Request) -> web.Response:
        if not self._ready():
            self._count("standby")
            return web.json_response({"status": "not ready, try again"}, status=503)
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        result = self._receiver.receive(body, request.headers.get(SIGNATURE, ""))
        self._count(result)
        if result is Result.MALFORMED:
            return web.json_response({"status": "no JSON object"}, status=400)
        return web.json_response({"status": "ok"})
