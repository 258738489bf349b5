"""A relay to ElevenLabs' realtime speech-to-text, and to what speaks its protocol.

Its messages are those of our own protocol, and go on as they came. Facts are from its clients and its reference of
events (elevenlabs.io/docs, speech-to-text, realtime); nothing here has met the real service.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import TYPE_CHECKING, Final

from agora_transcription.stt.engines import relays
from agora_transcription.stt.engines.base import EngineClosed, EngineFault, Kind
from agora_transcription.stt.engines.messages import RATES, fault_of, model_of, rate_for, result_of, url_for
from agora_transcription.stt.engines.results import ResultQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

    from agora_transcription.settings import SttSettings
    from agora_transcription.stt.engines.base import Result
    from agora_transcription.stt.engines.resampling import Resampler

__all__ = ["ElevenLabsEngine", "ElevenLabsRecognition"]

QUIET_SECONDS: Final = 1.0
"""After this long without a message, the commit before it was the last one."""

NORMAL: Final = {1000, 1001}


class ElevenLabsEngine:
    """Sessions there, one connection each."""

    def __init__(self, settings: SttSettings) -> None:
        self._url = settings.relay_url or ""
        self._key_file = settings.relay_key_file
        self._timestamps = settings.timestamps == "words"
        self.model = model_of(self._url)
        self.capacity = relays.CAPACITY

    async def start(self) -> None:
        """Look at the settings; a connection is made for each session.

        Raises:
            EngineFault: Something is missing.
        """
        relays.need("websockets", "elevenlabs")
        relays.read_key(self._key_file)
        rate_for(self._url, RATES[0])

    async def open(self, sample_rate: int) -> ElevenLabsRecognition:
        """Begin a session there.

        Raises:
            EngineFault: It cannot be reached, or does not want to.
        """
        from websockets.asyncio.client import connect  # noqa: PLC0415 - of an extra
        from websockets.exceptions import InvalidHandshake, InvalidStatus  # noqa: PLC0415 - the same

        key = relays.read_key(self._key_file)
        rate = rate_for(self._url, sample_rate)
        recognition = None
        try:
            async with asyncio.timeout(relays.CONNECT_SECONDS):
                socket = await connect(
                    url_for(self._url, rate, timestamps=self._timestamps),
                    additional_headers={"xi-api-key": key} if key else None,
                    close_timeout=relays.CLOSE_SECONDS,
                    open_timeout=None,
                    compression=None,  # of speech it would save little, for much of the processor
                )
                recognition = ElevenLabsRecognition(socket, sample_rate, rate)
                await recognition.begun()
        except BaseException as error:
            if recognition:
                await recognition.close()
            if isinstance(error, InvalidStatus):
                raise relays.refused(error.response.status_code) from None
            if isinstance(error, (OSError, InvalidHandshake)):  # a TimeoutError is an OSError
                raise relays.unreachable() from None
            raise
        return recognition

    def check(self) -> str | None:
        """Nothing: whether the other end is there, the next session shows."""
        return None

    async def stop(self) -> None:
        """Nothing is held beside the sessions."""


class ElevenLabsRecognition:
    """A connection.

    Args:
        socket: To the other end.
        source: The rate of the audio that is sent here, in Hz.
        target: The rate of the audio that goes there, in Hz.
    """

    def __init__(self, socket: ClientConnection, source: int, target: int) -> None:
        self._socket = socket
        self._resampler = _resampler(source, target)
        self._source = source
        self._target = target
        self._sent = 0  # bytes
        self._results = ResultQueue()
        self._started = asyncio.Event()
        self._committed = asyncio.Event()
        self._finishing = False
        self._news = asyncio.Event()
        self._tasks = [asyncio.create_task(self._receive())]

    @property
    def processed_seconds(self) -> float:
        """How much has gone there: more is not said."""
        return self._sent / 2 / self._source

    @property
    def busy_seconds(self) -> float:
        """None: the work is done at the other end."""
        return 0.0

    async def begun(self) -> None:
        """Wait until the other end has begun the session.

        Raises:
            EngineFault: It does not.
        """
        await self._started.wait()
        try:
            self._results.check()
        except EngineClosed:
            raise EngineFault(relays.LOST) from None

    async def send(self, audio: bytes) -> None:
        """Send some audio; waits while the connection takes no more.

        Raises:
            EngineFault: The session is over.
            EngineClosed: The other end has closed it.
        """
        piece = 2 * int(relays.PIECE_SECONDS * self._source)
        for at in range(0, len(audio), piece):
            part = audio[at : at + piece]
            await self._say(self._resampler.feed(part) if self._resampler else part, commit=False)
            self._sent += len(part)

    async def finish(self) -> None:
        """Ask for the last commit."""
        if self._results.ended or self._finishing:
            return
        self._finishing = True
        self._committed.clear()
        with contextlib.suppress(EngineFault, EngineClosed):  # the results say it
            await self._say(self._resampler.finish() if self._resampler else b"", commit=True)
        self._tasks.append(asyncio.create_task(self._wind_up()))

    def results(self) -> AsyncIterator[Result]:
        """What the other end hears.

        Raises:
            EngineFault: It has failed.
            EngineClosed: It has closed the session.
        """
        return self._results.take()

    async def close(self) -> None:
        """Close the connection."""
        self._results.clear()
        self._results.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(relays.CLOSE_SECONDS):
                await self._socket.close()
        except TimeoutError:
            # It has not read what was sent before, and may never.
            self._socket.transport.abort()

    async def _say(self, audio: bytes, *, commit: bool) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 - of an extra

        self._results.check()
        message = {
            "message_type": "input_audio_chunk",
            "audio_base_64": base64.b64encode(audio).decode(),
            "commit": commit,
            "sample_rate": self._target,
        }
        try:
            await self._socket.send(json.dumps(message))
        except ConnectionClosed:
            # What was the matter, the other task finds out.
            await asyncio.wait(self._tasks[:1])
            self._results.check()

    async def _receive(self) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 - of an extra

        try:
            async for message in self._socket:
                self._take(message)
        except ConnectionClosed:
            pass
        finally:
            # Whatever ends this task, nobody may wait for it for ever.
            self._results.end(self._end())
            self._started.set()

    def _end(self) -> EngineFault | EngineClosed | None:
        code = self._socket.close_code
        if self._finishing:
            return None
        if code in NORMAL:
            return EngineClosed(code or 1000, self._socket.close_reason or "")
        return EngineFault(relays.LOST, code if code in {1008, 1013} else 1011)

    def _take(self, message: str | bytes) -> None:
        self._news.set()
        try:
            body = json.loads(message)
        except ValueError:
            return
        if not isinstance(body, dict):
            return
        if fault := fault_of(body):
            # There may be nothing left to commit.
            self._results.end(None if self._finishing else fault)
            self._started.set()
        elif body.get("message_type") == "session_started":
            self._started.set()
        elif result := result_of(body):
            self._results.put(result)
            if result.kind != Kind.PARTIAL:
                self._committed.set()

    async def _wind_up(self) -> None:
        """Wait for the last commit, and end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(relays.FINISH_SECONDS):
                await self._committed.wait()
                while True:
                    self._news.clear()
                    await asyncio.wait_for(self._news.wait(), QUIET_SECONDS)
        self._results.end()
        await self._socket.close()


def _resampler(source: int, target: int) -> Resampler | None:
    if source == target:
        return None
    from agora_transcription.stt.engines.resampling import Resampler  # noqa: PLC0415 - of an extra

    return Resampler(source, target)
