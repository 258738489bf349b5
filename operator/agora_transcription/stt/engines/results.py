"""What has been heard and not yet been taken, of one session."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from agora_transcription.stt.engines.base import EngineFault, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.stt.engines.base import EngineClosed, Result

__all__ = ["ResultQueue"]

MAX_WAITING: Final = 1000
"""Results that nobody takes, until it is taken for certain that nobody will."""


class ResultQueue:
    """Results in their order, of which partials that nobody has taken yet are only the newest; then an end."""

    def __init__(self) -> None:
        self.ended = False
        self._results: deque[Result] = deque()
        self._reason: EngineFault | EngineClosed | None = None
        self._news = asyncio.Event()

    def put(self, result: Result) -> None:
        """Add one; after the end, none."""
        if self.ended:
            return
        if self._results and self._results[-1].kind == Kind.PARTIAL:
            self._results.pop()
        self._results.append(result)
        self._news.set()
        if len(self._results) >= MAX_WAITING:
            self.end(EngineFault("the results are not taken", 1008))

    def end(self, reason: EngineFault | EngineClosed | None = None) -> None:
        """Nothing follows; the first reason counts."""
        if not self.ended:
            self.ended = True
            self._reason = reason
            self._news.set()

    def clear(self) -> None:
        """Forget what has not been taken."""
        self._results.clear()

    def check(self) -> None:
        """Make sure that it has not ended.

        Raises:
            EngineFault: It has: with its reason, or because the session was closed.
            EngineClosed: The other end has closed it.
        """
        if self.ended:
            raise self._reason or EngineFault("the session is closed")

    async def take(self) -> AsyncIterator[Result]:
        """All, as they come.

        Raises:
            EngineFault: The reason of its end.
            EngineClosed: The same.
        """
        while True:
            while self._results:
                yield self._results.popleft()
            if self._reason:
                raise self._reason
            if self.ended:
                return
            self._news.clear()
            await self._news.wait()
