"""A relay to ElevenLabs' realtime speech-to-text, and to what speaks its protocol.

Its messages are those of our own protocol, and go on as they came. Facts are from its clients and its reference of
events (elevenlabs.io/docs, speech-to-text, realtime); nothing here has met the real service.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from agora_transcription.stt.engines import relays
from agora_transcription.stt.engines.base import EngineClosed, EngineFault, Kind
from agora_transcription.stt.engines.messages import (
    NOTHING_LEFT,
    RATES,
    error_of,
    fault_of,
    model_of,
    rate_for,
    result_of,
    url_for,
)
from agora_transcription.stt.engines.resampling import Resampler

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from agora_transcription.settings import SttSettings

__all__ = ["ElevenLabsEngine"]

QUIET_SECONDS: Final = 3.0
"""After this long without a transcript, the commit before it was the last one: a pause that was found in the audio
before may be committed when the last commit has already been asked for, and nothing tells the one from the other."""


class ElevenLabsEngine(relays.RelayEngine):
    """Sessions there, one connection each."""

    def __init__(self, settings: SttSettings) -> None:
        super().__init__(settings, model_of(settings.relay_url or ""))
        self._timestamps = settings.timestamps == "words"

    async def start(self) -> None:
        """Look at the settings; a connection is made for each session.

        Raises:
            EngineFault: Something is missing, or cannot be.
        """
        await super().start()
        rate_for(self._url, RATES[0])

    def _recognition(self, sample_rate: int) -> ElevenLabsRecognition:
        rate = rate_for(self._url, sample_rate)
        return ElevenLabsRecognition(url_for(self._url, rate, timestamps=self._timestamps), sample_rate, rate)


class ElevenLabsRecognition(relays.RelayRecognition):
    """A connection.

    Args:
        url: With the query.
        source: The rate of the audio that is sent here, in Hz.
        target: The rate of the audio that goes there, in Hz.
    """

    def __init__(self, url: str, source: int, target: int) -> None:
        super().__init__(source)
        self._url = url
        self._target = target
        self._resampler = Resampler(source, target)
        self._socket: ClientConnection | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._committed = asyncio.Event()
        self._news = asyncio.Event()
        self._partial = False
        """Whether a text stands that has not been committed."""

    async def _connect(self, key: str | None) -> None:
        try:
            self._socket = await connect(
                self._url,
                additional_headers={"xi-api-key": key} if key else None,
                close_timeout=relays.CLOSE_SECONDS,
                open_timeout=None,
                compression=None,  # of speech it would save little, for much of the processor
            )
        except InvalidStatus as error:
            raise relays.refused(error.response.status_code) from None
        except (OSError, InvalidHandshake):
            raise relays.unreachable() from None
        self._receiving = asyncio.create_task(self._receive(self._socket))

    async def _say(self, audio: bytes) -> None:
        await self._send(self._resampler.feed(audio), commit=False)

    async def _last_words(self) -> None:
        self._committed.clear()
        await self._send(self._resampler.finish(), commit=True)
        await self._committed.wait()
        while True:
            self._news.clear()
            try:
                # What stands without a commit will have one.
                await asyncio.wait_for(self._news.wait(), None if self._partial else QUIET_SECONDS)
            except TimeoutError:
                return

    async def _hang_up(self) -> None:
        if self._receiving:
            self._receiving.cancel()
            await asyncio.wait([self._receiving])
        if self._socket is None:
            return
        try:
            async with asyncio.timeout(relays.CLOSE_SECONDS):
                await self._socket.close()
        except TimeoutError:
            # It has not read what was sent before, and may never.
            self._socket.transport.abort()

    async def _send(self, audio: bytes, *, commit: bool) -> None:
        self._results.check()
        message = {
            "message_type": "input_audio_chunk",
            "audio_base_64": base64.b64encode(audio).decode(),
            "commit": commit,
            "sample_rate": self._target,
        }
        assert self._socket is not None  # noqa: S101 - it has begun
        try:
            await self._socket.send(json.dumps(message))
        except ConnectionClosed:
            # What was the matter, the other task finds out.
            await self._over.wait()
            self._results.check()

    async def _receive(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                self._take(message)
        except ConnectionClosed:
            pass
        finally:
            # Whatever ends this task, nobody may wait for it for ever.
            self._end(self._reason(socket))

    def _reason(self, socket: ClientConnection) -> EngineFault | EngineClosed | None:
        """What it means that the other end has closed the connection."""
        code = socket.close_code
        if code not in relays.NORMAL:
            return EngineFault(relays.LOST, code if code in {1008, 1013} else 1011)
        if self._finishing:
            return EngineFault(relays.LATE) if self._partial else None
        return EngineClosed(code or 1000, socket.close_reason or "")

    def _take(self, message: str | bytes) -> None:
        try:
            body = json.loads(message)
        except ValueError:
            return
        if not isinstance(body, dict):
            return
        if error := error_of(body):
            self._end(None if self._finishing and error in NOTHING_LEFT else fault_of(error))
        elif body.get("message_type") == "session_started":
            self._started.set()
        elif result := result_of(body):
            self._results.put(result)
            self._partial = result.kind == Kind.PARTIAL
            if not self._partial:
                self._committed.set()
            self._news.set()
