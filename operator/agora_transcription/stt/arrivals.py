"""How much audio of a session has come, and when. No I/O: time comes in as an argument."""

from __future__ import annotations

from collections import deque
from typing import Final

from agora_transcription.stt.engines.audio import seconds_of

__all__ = ["Arrivals"]

KEPT_SECONDS: Final = 20.0
"""Of audio whose time is remembered: twice what may wait."""

MARK_SECONDS: Final = 0.05
"""Of audio that shares one time, that of its first chunk, where chunks are shorter: 800 times at most, 90 kB."""


class Arrivals:
    """The clock of a session's audio, beside the one on the wall."""

    def __init__(self, rate: int, now: float) -> None:
        """Begin with nothing.

        Args:
            rate: Samples per second.
            now: Seconds of a clock that is not put back, as everywhere here.
        """
        self.last_at = now
        self._rate = rate
        self._size = 0
        self._first_at: float | None = None
        self._marks: deque[tuple[float, float]] = deque()
        self._marked = 0.0
        self._forgotten = False

    @property
    def seconds(self) -> float:
        """How much has come; counted in bytes, so that it adds up."""
        return seconds_of(self._size, self._rate)

    def with_more(self, size: int) -> float:
        """How much it would be with so many bytes more, in seconds."""
        return seconds_of(self._size + size, self._rate)

    def add(self, size: int, now: float) -> None:
        """Say that so many bytes have come."""
        self._first_at = now if self._first_at is None else self._first_at
        self.last_at = now
        self._size += size
        if self._marks and self.seconds - self._marked <= MARK_SECONDS:
            self._marks[-1] = (self.seconds, self._marks[-1][1])
        else:
            self._marked = self._marks[-1][0] if self._marks else 0.0
            self._marks.append((self.seconds, now))
        while self._marks[0][0] < self.seconds - KEPT_SECONDS:
            self._marks.popleft()
            self._forgotten = True

    def ahead(self, now: float) -> float:
        """Seconds by which more has come than could have been spoken since the first of it."""
        return self.seconds - (now - self._first_at) if self._first_at is not None else 0.0

    def came_at(self, heard_at: float) -> float | None:
        """When the audio came that was spoken at a second of the session; None where nobody remembers.

        Where chunks are shorter than `MARK_SECONDS` it may be said to have come so much too early, never too late.
        """
        came = None
        for end, at in reversed(self._marks):
            if end < heard_at:
                return came
            came = at
        return None if self._forgotten else came
