"""What both relays have: how a session at the other end begins and ends, and how they say what goes wrong there.

The messages reach clients and logs: they name settings, never their values.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from agora_transcription.serving.keys import FileProblem, text_in
from agora_transcription.stt.engines.audio import pieces, seconds_of
from agora_transcription.stt.engines.base import EngineClosed, EngineFault
from agora_transcription.stt.engines.results import ResultQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Result

__all__ = [
    "CLOSE_SECONDS",
    "CONNECT_SECONDS",
    "FINISH_SECONDS",
    "LATE",
    "LOST",
    "NORMAL",
    "RelayEngine",
    "RelayRecognition",
    "refused",
    "unreachable",
]

CONNECT_SECONDS: Final = 10.0
"""How long it may take until the other end has begun a session."""

FINISH_SECONDS: Final = 12.0
"""How long the last commit may take: longer than another service of this kind gives its own engine."""

CLOSE_SECONDS: Final = 2.0
"""How long the other end has to say goodbye."""

CAPACITY: Final = 100
"""Sessions at once. One process carries some hundred; what the other end allows, its contract says."""

NORMAL: Final = {1000, 1001}
"""The codes with which the other end closes a session in which nothing is wrong."""

LOST: Final = "the connection to the relay's other end is lost"
LATE: Final = "the last words have not come from the relay's other end"

REFUSED: Final = {401, 403}
BUSY: Final = {429, 503}


class RelayEngine(ABC):
    """Sessions at the other end, one connection each.

    Args:
        settings: With `relay_url` and `relay_key_file`.
        model: What the other end is said to recognize with.
    """

    def __init__(self, settings: SttSettings, model: str) -> None:
        self._url = settings.relay_url or ""
        self._key_file = settings.relay_key_file
        self.model = model
        self.capacity = CAPACITY
        # What is wrong with the last words, the relay says itself.
        self.finish_seconds = FINISH_SECONDS + 1

    async def start(self) -> None:
        """Look at the settings; a connection is made for each session.

        Raises:
            EngineFault: Something is missing.
        """
        _read_key(self._key_file)

    async def open(self, sample_rate: int) -> RelayRecognition:
        """Begin a session there.

        Raises:
            EngineFault: It cannot be reached, or does not want to.
        """
        key = _read_key(self._key_file)
        recognition = self._recognition(sample_rate)
        await recognition.begin(key)
        return recognition

    def check(self) -> str | None:
        """Nothing: whether the other end is there, the next session shows."""
        return None

    async def stop(self) -> None:  # noqa: B027 - there is nothing to stop, nor will there be
        """Nothing is held beside the sessions."""

    @abstractmethod
    def _recognition(self, sample_rate: int) -> RelayRecognition:
        """A session that has not begun."""


class RelayRecognition(ABC):
    """A connection, and the one session on it.

    Args:
        sample_rate: Of the audio that is sent here, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._sent = 0  # bytes
        self._results = ResultQueue()
        self._started = asyncio.Event()
        self._over = asyncio.Event()
        self._finishing: asyncio.Task[None] | None = None

    @property
    def processed_seconds(self) -> float:
        """How much has gone there: more is not said."""
        return seconds_of(self._sent, self._rate)

    @property
    def busy_seconds(self) -> float:
        """None: the work is done at the other end."""
        return 0.0

    async def begin(self, key: str | None) -> None:
        """Connect, and wait until the other end has begun the session.

        Raises:
            EngineFault: It does not; nothing is left open.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect(key)
                await self._started.wait()
            self._results.check()
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise unreachable() from None
            if isinstance(error, EngineClosed):
                raise EngineFault(LOST) from None
            raise

    async def send(self, audio: bytes) -> None:
        """Send some audio; waits while the connection takes no more.

        Raises:
            EngineFault: The session is over.
            EngineClosed: The other end has closed it.
        """
        for piece in pieces(audio, self._rate):
            await self._say(piece)
            self._sent += len(piece)

    async def finish(self) -> None:
        """Ask for the last words."""
        if not self._results.ended and not self._finishing:
            self._finishing = asyncio.create_task(self._wind_up())

    def results(self) -> AsyncIterator[Result]:
        """What the other end hears.

        Raises:
            EngineFault: It has failed, or not said its last words.
            EngineClosed: It has closed the session.
        """
        return self._results.take()

    async def close(self) -> None:
        """Close the connection; in order, where the other end still reads."""
        self._results.clear()
        self._end()
        if self._finishing:
            self._finishing.cancel()
            await asyncio.wait([self._finishing])
        await self._hang_up()

    async def _wind_up(self) -> None:
        reason: EngineFault | EngineClosed | None = EngineFault(LOST)
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await self._last_words()
            reason = None
        except TimeoutError:
            reason = EngineFault(LATE)
        except (EngineFault, EngineClosed) as error:
            reason = error
        finally:
            # Whatever ends this task, nobody may wait for it for ever.
            self._end(reason)

    def _end(self, reason: EngineFault | EngineClosed | None = None) -> None:
        """Nothing more is heard; the first reason counts."""
        self._results.end(reason)
        self._started.set()
        self._over.set()

    @abstractmethod
    async def _connect(self, key: str | None) -> None:
        """Connect, and ask for a session; `_started` is set once it has begun.

        Raises:
            EngineFault: There is no connection.
        """

    @abstractmethod
    async def _say(self, audio: bytes) -> None:
        """Send a piece of audio, once all before it is gone.

        Raises:
            EngineFault: The session is over.
            EngineClosed: The other end has closed it.
        """

    @abstractmethod
    async def _last_words(self) -> None:
        """Say that no more audio follows; returns once all has been heard that was said.

        Raises:
            EngineFault: The session is over.
            EngineClosed: The other end has closed it.
        """

    @abstractmethod
    async def _hang_up(self) -> None:
        """Close what is open. Can be called at any time, and again."""


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


def _read_key(file: Path | None) -> str | None:
    """The key in a file, anew for each session: Secrets are changed while they are mounted.

    Raises:
        EngineFault: There is none in it.
    """
    if file is None:
        return None
    try:
        key = text_in(file)
    except FileProblem:
        raise EngineFault("the file of --relay-key-file cannot be read") from None
    if not key or not key.isascii() or not key.isprintable():
        raise EngineFault("the file of --relay-key-file has no key in it")
    return key
