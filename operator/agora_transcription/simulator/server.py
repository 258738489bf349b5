"""The simulator as a server of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final

import click
import uvicorn
import uvloop

from agora_transcription.serving.server import Server, signalled
from agora_transcription.serving.waiting import AbortableProtocol
from agora_transcription.shapes import address
from agora_transcription.simulator.app import create_app
from agora_transcription.simulator.notifications import deliver
from agora_transcription.telemetry.addresses import host_and_port, named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from fastapi import FastAPI

    from agora_transcription.simulator.faults import Fault
    from agora_transcription.simulator.options import SimulatorOptions

__all__ = ["run", "serving"]

GRACE_SECONDS: Final = 1
"""How long requests may take to end when the server does: those that a fault delays."""

BACKLOG: Final = 2048


def run(listen: str, options: SimulatorOptions, faults: Sequence[Fault] = ()) -> None:
    """Serve until SIGINT or SIGTERM; prints one line with the URL once it listens.

    Args:
        listen: `host:port`; port 0 takes a free one.
        options: How the simulator is set up.
        faults: What goes wrong from the start.

    Raises:
        ValueError: When `listen` is no address.
        AddressError: When it cannot be listened on.
    """
    uvloop.run(_serve_until_signalled(create_app(options, faults=faults), listen))


@contextlib.asynccontextmanager
async def serving(app: FastAPI, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve in this event loop while the context lasts; yields the URL.

    Args:
        app: From `create_app`.
        listen: `host:port`; port 0 takes a free one.

    Raises:
        ValueError: When `listen` is no address.
        AddressError: When it cannot be listened on.
    """
    host, port = host_and_port(address(listen))
    host = host or "0.0.0.0"  # noqa: S104 - ":8090" says so
    config = uvicorn.Config(
        app,
        http=AbortableProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        backlog=BACKLOG,
        log_level="warning",
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=60,
    )
    server = _Server(config)
    # Bound here: uvicorn answers an address in use by exiting the process.
    with named("--listen", listen):
        bound = _bound(host, port)
    with bound:
        serving_task = asyncio.create_task(server.serve(sockets=[bound]))
        delivering = asyncio.create_task(deliver(app.state.world))
        try:
            await server.listening.wait()
            yield _url(host, bound.getsockname()[1])
        finally:
            delivering.cancel()
            server.should_exit = True
            await serving_task
            await asyncio.wait({delivering})
            await app.state.stage.close()


class _Server(Server):
    """Says when it listens, and ends what is held."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A held request would wait for ever; without its connection it ends, and nothing comes of it.
        self.abort()
        await super().shutdown(sockets)


async def _serve_until_signalled(app: FastAPI, listen: str) -> None:
    stopped = signalled()
    async with serving(app, listen) as url:
        click.echo(f"Agora simulator listening on {url}")
        await stopped


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is given: answers would wait for 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
