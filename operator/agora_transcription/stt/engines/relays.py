"""What both relays have: the key, how long they wait, and how they say what the other end does not do.

The messages reach clients and logs: they name settings, never their values.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from agora_transcription.stt.engines.base import EngineFault

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CAPACITY",
    "CLOSE_SECONDS",
    "CONNECT_SECONDS",
    "FINISH_SECONDS",
    "LOST",
    "PIECE_SECONDS",
    "need",
    "read_key",
    "refused",
    "unreachable",
]

CONNECT_SECONDS: Final = 10.0
"""How long it may take until the other end has begun a session."""

FINISH_SECONDS: Final = 5.0
"""How long the last commit may take."""

CLOSE_SECONDS: Final = 2.0
"""How long the other end has to say goodbye."""

PIECE_SECONDS: Final = 0.5
"""Audio in a message, at most."""

CAPACITY: Final = 100
"""Sessions at once. One process carries some hundred; what the other end allows, its contract says."""

LOST: Final = "the connection to the relay's other end is lost"

REFUSED: Final = {401, 403}
BUSY: Final = {429, 503}


def need(package: str, engine: str) -> None:
    """Make sure that a package is there.

    Raises:
        EngineFault: It is not.
    """
    if find_spec(package) is None:
        raise EngineFault(f"the engine {engine} needs {package}: pip install 'agora-transcription[stt]'")


def read_key(file: Path | None) -> str | None:
    """The key in a file, anew for each session: Secrets are changed while they are mounted.

    Raises:
        EngineFault: There is none in it.
    """
    if file is None:
        return None
    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise EngineFault("the file of --relay-key-file cannot be read") from None
    if not key or not key.isascii() or not key.isprintable():
        raise EngineFault("the file of --relay-key-file has no key in it")
    return key


def refused(status: int) -> EngineFault:
    """What an HTTP status means that the other end refuses a connection with."""
    if status in REFUSED:
        return EngineFault("the relay's other end refuses the key of --relay-key-file")
    if status in BUSY:
        return EngineFault("the relay's other end has no room now", 1013)
    return EngineFault(f"what --relay-url names answers with HTTP {status}")


def unreachable() -> EngineFault:
    """What it means when there is no answer."""
    return EngineFault("what --relay-url names cannot be reached")
