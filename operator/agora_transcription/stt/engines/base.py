"""What the service asks of an engine, and what an engine says. Nothing here knows of Socket.IO."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Engine", "EngineClosed", "EngineFault", "Kind", "Recognition", "Result"]


class Kind(StrEnum):
    """The `message_type` of a result, in the words of the protocol."""

    PARTIAL = "partial_transcript"
    COMMITTED = "committed_transcript"
    TIMED = "committed_transcript_with_timestamps"


@dataclass(frozen=True, slots=True)
class Result:
    """Something that was heard.

    Attributes:
        kind: A partial replaces the one before it; a committed one is final; a timed one repeats the committed one
            before it with `words`, each `{text, start, end, type: "word"}`, in seconds since the session began.
        payload: What goes to the client beside `message_type`: at least `text`. A relay passes on all that it got.
        heard_at: Seconds of the session's audio up to which this says something, for a committed one the end of the
            speech; None where the engine cannot know.
    """

    kind: Kind
    payload: dict[str, Any]
    heard_at: float | None = None


class EngineFault(Exception):
    """A session cannot go on; the message is for the client, and names no address, key or text.

    Attributes:
        code: What `session-closed` says: 1008 the client's doing, 1011 the engine's, 1013 no room now.
    """

    def __init__(self, message: str, code: int = 1011) -> None:
        self.code = code
        super().__init__(message)


class EngineClosed(Exception):
    """The other end of a relay closed the session, as it may.

    Attributes:
        code: Its close code, as of a WebSocket.
        reason: Its reason; often empty.
    """

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code} {reason}")


class Recognition(Protocol):
    """The recognition of one session. One task sends, one reads the results."""

    async def send(self, audio: bytes) -> None:
        """Take some audio: PCM, signed 16 bit, little-endian, mono, of the session's rate; whole samples.

        Waits while the engine has more than it can take at once: that is the back-pressure.

        Raises:
            EngineFault: It cannot go on.
        """
        ...

    async def finish(self) -> None:
        """Say that no more audio follows: what is pending is committed, then the results end."""
        ...

    def results(self) -> AsyncIterator[Result]:
        """What is heard, as it is heard; ends after `finish`.

        Raises:
            EngineFault: It cannot go on.
            EngineClosed: The other end has closed it.
        """
        ...

    @property
    def processed_seconds(self) -> float:
        """How much of the audio that was sent has been worked through."""
        ...

    @property
    def busy_seconds(self) -> float:
        """How long that took, by the clock on the wall; 0 where the work is done elsewhere.

        Divided by `processed_seconds` it is the real-time factor: the part of a worker's time that the session takes.
        """
        ...

    async def close(self) -> None:
        """Let go of everything at once; nothing is committed. Can be called at any time, and again."""
        ...


class Engine(Protocol):
    """Something that can recognize speech, for many sessions at once.

    Attributes:
        model: What is said in `session_started` as `config.model_id`.
        capacity: How many sessions at once it is good for, where the settings do not say.
        finish_seconds: How long what is pending may take to be committed after `Recognition.finish`.
    """

    model: str
    capacity: int
    finish_seconds: float

    async def start(self) -> None:
        """Get ready: load models, start processes.

        Raises:
            EngineFault: It cannot, and why: a package that is not installed, a key that is not there.
        """
        ...

    async def open(self, sample_rate: int) -> Recognition:
        """Begin a session.

        Args:
            sample_rate: Of the audio that will be sent, in Hz: 8000 to 48000.

        Raises:
            EngineFault: It cannot now.
        """
        ...

    def check(self) -> str | None:
        """What is wrong, as of a health check: None where sessions can be opened."""
        ...

    async def stop(self) -> None:
        """End what `start` began; what is still open fails."""
        ...
