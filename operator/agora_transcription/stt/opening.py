"""Begins a session of an engine for somebody who may not want it any more by the time that it is there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.stt.engines.base import EngineClosed, EngineFault

if TYPE_CHECKING:
    from agora_transcription.stt.engines.base import Engine, Recognition

__all__ = ["OPEN_SECONDS", "open_unless"]

OPEN_SECONDS: Final = 15.0
"""How long an engine may take."""


async def open_unless(unwanted: asyncio.Future[Any], engine: Engine, rate: int) -> Recognition | None:
    """Begin a session, unless it becomes unwanted before; what comes too late is closed.

    Args:
        unwanted: Done when nobody wants it.
        engine: Whose.
        rate: Of the audio, in Hz.

    Returns:
        The session, or None where it is unwanted.

    Raises:
        EngineFault: The engine cannot, or has taken too long.
    """
    opening = asyncio.ensure_future(engine.open(rate))
    either: set[asyncio.Future[Any]] = {opening, unwanted}
    opened = None
    try:
        await asyncio.wait(either, timeout=OPEN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opened = opening.result()
        elif not unwanted.done():
            raise EngineFault(f"the engine has not answered in {OPEN_SECONDS:g} s")
        return opened
    finally:
        if opened is None:
            opening.cancel()
            opening.add_done_callback(_close)


def _close(opening: asyncio.Future[Recognition]) -> None:
    with contextlib.suppress(asyncio.CancelledError, EngineFault, EngineClosed):
        closing = asyncio.ensure_future(opening.result().close())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)


_closing: Final[set[asyncio.Future[None]]] = set()
"""Held here until they are done: the event loop holds tasks weakly."""
