"""Puts the parts of the service together, and serves until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from agora_transcription.serving.keys import FileProblem, keys_in
from agora_transcription.serving.server import Server, SetupError, bound, configured, serve_telemetry, signalled
from agora_transcription.stt import engines
from agora_transcription.stt.door import Door
from agora_transcription.stt.engines.base import EngineFault
from agora_transcription.stt.hub import Hub
from agora_transcription.stt.metrics import SttMetrics
from agora_transcription.stt.packets import MAX_MESSAGE
from agora_transcription.telemetry.addresses import AddressError, host_and_port, named

if TYPE_CHECKING:
    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Engine

__all__ = ["SetupError", "run"]

IDLE_SECONDS: Final = 60
"""How long an HTTP connection may rest between two requests: longer than a client's pause between two polls."""

CUT_SECONDS: Final = 1
"""What is left of requests gets when all is said."""

logger = logging.getLogger(__name__)


async def run(settings: SttSettings) -> None:
    """Run the service until SIGINT or SIGTERM; sessions under way get their last words first.

    Raises:
        SetupError: When a file, an address or the engine of the settings cannot be used.
    """
    try:
        if settings.api_keys_file is not None:
            keys_in(settings.api_keys_file)
        async with contextlib.AsyncExitStack() as stack:
            await _run(settings, stack)
    except FileProblem as problem:
        raise SetupError(f"--api-keys-file: {problem}") from problem
    except AddressError as error:
        raise SetupError(str(error)) from error


async def _run(settings: SttSettings, stack: contextlib.AsyncExitStack) -> None:
    stopped = signalled()
    with named("--listen", settings.listen):
        listening = [stack.enter_context(each) for each in bound(*host_and_port(settings.listen))]
    try:
        engine = engines.create(settings)
        stack.push_async_callback(engine.stop)
        if not await _started(engine, stopped):
            return
    except EngineFault as fault:
        raise SetupError(f"--engine {settings.engine}: {fault}") from fault
    metrics = SttMetrics()
    hub = Hub(settings, engine, metrics)
    stack.push_async_callback(hub.close)
    metrics.describe(settings.engine, hub.max_sessions)
    server = _server(Door(settings, hub, metrics), settings)
    checks = {
        "serving": server.check,
        "staying": lambda: "the service stops" if hub.draining else None,
        "engine": engine.check,
    }
    await serve_telemetry(stack, settings, metrics.registry, checks)
    if settings.anonymous:
        logger.warning("--anonymous: whoever reaches %s may have speech transcribed", settings.listen)
    sweeping = asyncio.create_task(hub.wire.sweep(), name="stt-sweep")
    serving = asyncio.create_task(server.serve(sockets=listening), name="stt-serve")
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await hub.drain(settings.drain_timeout)
    finally:
        sweeping.cancel()
        server.abort()
        server.leave()
        await serving
    logger.info("Stopped")


async def _started(engine: Engine, stopped: asyncio.Future[None]) -> bool:
    """Start it, which may take minutes; answers whether it has, before the process was told to stop.

    Raises:
        EngineFault: It cannot be.
    """
    starting = asyncio.ensure_future(engine.start())
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        return starting.done()
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


def _server(app: Door, settings: SttSettings) -> Server:
    logging.getLogger("uvicorn.error").addFilter(_not_a_refusal)
    return Server(
        configured(
            app,
            requests=2 * app.max_connections,  # a GET and a POST of each client that polls
            trusted_proxies=settings.trusted_proxy,
            ws="websockets-sansio",
            ws_max_size=2 * MAX_MESSAGE,  # what is a bit too large is an error that says so
            ws_per_message_deflate=False,  # base64 of noise: it costs a core and saves little
            ws_ping_interval=None,  # Engine.IO has its own
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=CUT_SECONDS,
        )
    )


def _not_a_refusal(record: logging.LogRecord) -> bool:
    """Leave out uvicorn's error for each WebSocket that is refused by a status: that is how it is meant."""
    return record.getMessage() != "ASGI callable returned without completing handshake."
