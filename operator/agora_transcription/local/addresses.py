"""Addresses of this machine: those that are free, and whether somebody answers at one."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import httpx

__all__ = ["answers", "free_addresses"]


def free_addresses(count: int) -> list[str]:
    """Loopback addresses that nobody listens on, each another one."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{bound.getsockname()[1]}" for bound in sockets]


def answers(url: str) -> bool:
    """Whether a page is there, and fine."""
    try:
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
