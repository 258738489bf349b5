"""A channel as those who listen see it: the last messages, each with its number, and who waits for the next one."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agora_transcription.simulator.captions.speech import Speech

__all__ = ["Channel"]

KEPT: Final = 300
"""Messages that a listener who comes back can catch up on: about a minute of a lively dialogue."""

HEARTBEAT: Final = 5.0
"""Seconds between two signs of life, where there is nothing to say."""

RETRY: Final = 1000
"""Milliseconds after which a browser comes back when its connection is lost."""


class Channel:
    """The stream of a channel's captions, whatever tasks they are of.

    Args:
        first: The number of the first message is one more: the time, so that numbers rise across restarts.

    Attributes:
        listeners: How many there are.
        speeches: The audio attached to it, by speaker; in place of the script.
    """

    def __init__(self, first: int) -> None:
        self.listeners = 0
        self.speeches: dict[int, Speech] = {}
        self._last = first
        self._kept: deque[str] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()

    def publish(self, bot: int, payload: bytes) -> None:
        """Send a message to all who listen.

        Args:
            bot: The uid that sends it into the channel.
            payload: The data-stream message.
        """
        self._last += 1
        data = json.dumps({"uid": bot, "payload": base64.b64encode(payload).decode()})
        self._kept.append(f"id: {self._last}\nevent: stream-message\ndata: {data}\n\n")
        self._changed.set()
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Forget the audio and what can be caught up on; listeners stay."""
        self.speeches.clear()
        self._kept.clear()

    async def follow(self, after: int | None) -> AsyncIterator[str]:
        """The stream as server-sent events, without end.

        Args:
            after: The number of the last message that the listener has; None for one that wants new ones only.
        """
        yield f"retry: {RETRY}\n\n"
        seen = self._last if after is None else after
        while True:
            # Nothing is awaited between this look and the wait: a message cannot come in between.
            missed = min(self._last - seen, len(self._kept))
            fresh = list(self._kept)[-missed:] if missed > 0 else []
            seen = self._last
            for event in fresh:
                yield event
            if seen == self._last and not await self._another():
                yield ": \n\n"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count a listener while the context lasts."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1

    async def _another(self) -> bool:
        try:
            async with asyncio.timeout(HEARTBEAT):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
