"""A uvicorn server inside an event loop that is somebody else's: its signals, its addresses, its health."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import uvicorn

from agora_transcription import __version__
from agora_transcription.serving.waiting import BoundedProtocol, Waiting
from agora_transcription.telemetry.addresses import host_and_port, named
from agora_transcription.telemetry.health import HealthServer
from agora_transcription.telemetry.metrics import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from agora_transcription.telemetry.health import Check

__all__ = ["Server", "SetupError", "bound", "configured", "serve_telemetry", "signalled"]

logger = logging.getLogger(__name__)


class SetupError(Exception):
    """A server cannot run as the settings say; the message names the flag."""


class _Addresses(Protocol):
    """Of the settings: where metrics and health are served; empty for nowhere."""

    @property
    def metrics_address(self) -> str: ...

    @property
    def health_address(self) -> str: ...


class Server(uvicorn.Server):
    """Leaves signals to whoever owns the event loop, and says whether it serves."""

    def leave(self) -> None:
        """Take no more connections, end the calls that are under way, and return from `serve`."""
        logger.info("Stops")
        self.should_exit = True

    def abort(self) -> None:
        """Cut every connection, whatever is under way on it: one that nobody reads would never end."""
        for connection in list(self.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()

    def check(self) -> str | None:
        """What is wrong, as of a health check."""
        return None if self.started and not self.should_exit else "it does not serve"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where."""
        await super().startup(sockets)
        for each in sockets or ():
            host, port = each.getsockname()[:2]
            logger.info("agora-transcription %s serves on %s port %d", __version__, host, port)


def configured(
    app: Callable[..., Any],
    *,
    requests: int,
    trusted_proxies: Sequence[str],
    **more: Any,  # noqa: ANN401 - passed on as they come
) -> uvicorn.Config:
    """What gateway and stt have in common.

    Args:
        app: What is served.
        requests: That may be under way at a time; as many connections may wait for one.
        trusted_proxies: Addresses and networks whose `X-Forwarded-For` counts.
        more: Of uvicorn's.
    """
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, waiting=Waiting(requests))),
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        limit_concurrency=2 * requests,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        **more,
    )


def signalled() -> asyncio.Future[None]:
    """Be done when the process is told to stop."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopped


async def serve_telemetry(
    stack: contextlib.AsyncExitStack,
    settings: _Addresses,
    registry: CollectorRegistry,
    readyz: Mapping[str, Check],
) -> None:
    """Serve metrics and health where the settings say so, until the stack is left.

    Raises:
        AddressError: When an address cannot be listened on.
    """
    if settings.metrics_address:
        with named("--metrics-address", settings.metrics_address):
            stack.callback(serve(registry, *host_and_port(settings.metrics_address)))
    if settings.health_address:
        health = HealthServer(healthz={}, readyz=readyz)
        with named("--health-address", settings.health_address):
            await health.start(*host_and_port(settings.health_address))
        stack.push_async_callback(health.stop)


def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Bind here: uvicorn answers an address in use by exiting the process.

    Args:
        host: An address or a name; empty for all addresses, of IPv4 and of IPv6.
        port: 0 takes a free one.

    Raises:
        OSError: When it cannot be listened on.
    """
    if ":" not in host:
        yield socket.create_server((host, port))
    if ":" in host or (not host and socket.has_dualstack_ipv6()):
        # Beside the first and not in its place: addresses of IPv4 would no longer look like those of a proxy.
        yield socket.create_server((host, port), family=socket.AF_INET6)
