"""Audio attached to a channel: played in real time through a speech engine, as what a speaker says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agora_transcription.simulator.captions.messages import Caption, Word
from agora_transcription.stt.engines.audio import SAMPLE_BYTES, seconds_of
from agora_transcription.stt.engines.base import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agora_transcription.stt.engines.base import Engine, Recognition

__all__ = ["Hearing", "Speech", "play"]

CHUNK_SECONDS: Final = 0.1


@dataclass(slots=True, eq=False)
class Speech:
    """Audio and how far it was played.

    Attributes:
        rate: Hz.
        samples: Signed 16 bit, little-endian, mono.
        loop: Whether it begins again at its end.
        position: Bytes that were played.
        ended: Whether everything was played and understood.
    """

    rate: int
    samples: bytes
    loop: bool
    position: int = 0
    ended: bool = False

    @property
    def seconds(self) -> float:
        """How long it is."""
        return seconds_of(len(self.samples), self.rate)

    @property
    def played(self) -> float:
        """Seconds that were played."""
        return seconds_of(self.position, self.rate)

    def chunks(self) -> Iterator[bytes]:
        """What is still to be played, piece by piece."""
        size = round(self.rate * CHUNK_SECONDS) * SAMPLE_BYTES
        while self.position < len(self.samples):
            chunk = self.samples[self.position : self.position + size]
            yield chunk
            self.position += len(chunk)
            if self.loop and self.position == len(self.samples):
                self.position = 0


@dataclass(slots=True)
class Hearing:
    """Makes captions of what an engine understands, which knows neither the speaker nor the time.

    Attributes:
        uid: The speaker.
        wall: Unix seconds.
        say: Takes each caption, whose language is left open.
    """

    uid: int
    wall: Callable[[], float]
    say: Callable[[Caption], None]
    _began: int | None = field(default=None, init=False)

    def take(self, kind: Kind, text: str) -> None:
        """Say what was understood; the text is one word, since nothing is known of its parts."""
        now = round(self.wall() * 1000)
        began = now if self._began is None else self._began
        final = kind is Kind.COMMITTED
        if kind is Kind.TIMED or not text.strip():
            return
        self._began = None if final else began
        self.say(Caption(self.uid, "", began, now, (Word(text.strip(), 0, now - began),), final))


async def play(speech: Speech, engine: Engine, hearing: Hearing) -> None:
    """Play the rest of an audio, and hear what is said; cancelled, it can be gone on with.

    Raises:
        ExceptionGroup: Of EngineFault: the engine cannot go on.
    """
    recognition = await engine.open(speech.rate)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(speech, recognition))
            async for result in recognition.results():
                hearing.take(result.kind, result.payload["text"])
    finally:
        await recognition.close()
    speech.ended = True


async def _feed(speech: Speech, recognition: Recognition) -> None:
    clock = asyncio.get_running_loop().time
    due = clock()
    for chunk in speech.chunks():
        await recognition.send(chunk)
        due += seconds_of(len(chunk), speech.rate)
        await asyncio.sleep(max(0.0, due - clock()))
    await recognition.finish()
