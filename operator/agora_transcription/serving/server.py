"""A uvicorn server inside an event loop that is somebody else's: its signals, its addresses, its health."""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from agora_transcription import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AbortableProtocol", "Server", "bound"]

logger = logging.getLogger(__name__)


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


class AbortableProtocol(H11Protocol):
    """Offers every request a way to close its connection without an answer, as `scope["state"]["abort"]`.

    A WebSocket that the request becomes has it as well.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they come
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "abort": self._abort}

    def _abort(self) -> None:
        self.transport.abort()


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
