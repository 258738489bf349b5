"""The addresses of the settings, as they are listened on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AddressError", "host_and_port", "named"]


class AddressError(Exception):
    """An address of the settings cannot be listened on; the message names the flag."""


@contextmanager
def named(flag: str, address: str) -> Iterator[None]:
    """Say which address cannot be listened on.

    Raises:
        AddressError: In place of the `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise AddressError(f"{flag}: cannot listen on {address}: {error.strerror or error}") from error


def host_and_port(address: str) -> tuple[str, int]:
    """Take HOST:PORT apart; the host is empty for all addresses."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
