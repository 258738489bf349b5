"""Where speech begins and ends: what of a session's audio is worth recognizing, and when a text is final.

Each session has a detector of its own, for it remembers what it has heard. Moonshine brings one too, but a single one
for all streams of a process: beside a stream with speech, it hears speech in another one's silence.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agora_transcription.stt.engines.audio import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RATE", "Segment", "Segmenter"]

RATE: Final = 16000
"""Hz: what detector and engines here listen to."""

CHUNK_SAMPLES: Final = 512
"""What the detector judges at once."""
CHUNK_BYTES: Final = SAMPLE_BYTES * CHUNK_SAMPLES
"""The same, as it comes."""
CHUNK_SECONDS: Final = CHUNK_SAMPLES / RATE
"""The same, as it lasts."""

SPEECH_PROBABILITY: Final = 0.5
"""Above it a chunk is taken for speech."""
SILENCE_PROBABILITY: Final = 0.35
"""Below it a chunk is taken for silence; between the two, what was goes on."""

BEGIN_CHUNKS: Final = 3
"""Of speech in a row, with which a segment begins: a click is shorter."""

LEAD_CHUNKS: Final = 10
"""Before the speech that belong to the segment: a word may begin softly."""
TAIL_CHUNKS: Final = 6
"""After the speech that belong to the segment: a word may end softly."""

PAUSE_CHUNKS: Final = 20
"""Of silence that end a segment."""
SHORT_PAUSE_CHUNKS: Final = 10
"""Of silence that end a segment that has become long."""
LONG_SECONDS: Final = 5.0
"""How long that is."""

LONGEST_SECONDS: Final = 10.0
"""After which a segment is cut, whatever is said."""
LOOK_BACK_SECONDS: Final = 3.0
"""At its end, of which the quietest place is where it is cut."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Some speech.

    Attributes:
        audio: PCM, signed 16 bit, little-endian, mono, of `RATE`.
        start: Seconds of the session at which the audio begins.
        speech_end: Seconds of the session at which the speech ends, as far as is known.
    """

    audio: bytes
    start: float
    speech_end: float


class Segmenter:
    """Finds the segments in a session's audio.

    Args:
        probability: How probably a chunk of `CHUNK_BYTES` is speech, after those before it: 0 to 1.
    """

    def __init__(self, probability: Callable[[bytes], float]) -> None:
        self._probability = probability
        self._rest = b""
        self._heard = 0  # chunks
        self._lead: deque[bytes] = deque(maxlen=LEAD_CHUNKS + BEGIN_CHUNKS)
        self._loud = 0  # chunks of speech in a row, before a segment
        self._chunks: list[bytes] = []
        self._probabilities: list[float] = []
        self._first = 0  # the number of the segment's first chunk
        self._quiet = 0  # chunks of silence in a row, in a segment

    @property
    def heard_seconds(self) -> float:
        """How much has been judged."""
        return self._heard * CHUNK_SECONDS

    @property
    def active(self) -> bool:
        """Whether a segment is open."""
        return bool(self._chunks)

    @property
    def open_since(self) -> float:
        """Seconds of the session at which the open segment begins."""
        return self._first * CHUNK_SECONDS

    @property
    def settled(self) -> bool:
        """Whether the open segment stays as it is, should nothing more be said."""
        return self._quiet >= TAIL_CHUNKS

    def feed(self, audio: bytes) -> list[Segment]:
        """Take audio of `RATE`, and answer the segments that ended in it."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % CHUNK_BYTES
        self._rest = audio[whole:]
        ended = (self._judge(audio[at : at + CHUNK_BYTES]) for at in range(0, whole, CHUNK_BYTES))
        return [segment for segment in ended if segment]

    def finish(self) -> list[Segment]:
        """Answer what is left when no more audio follows; silence is put after it, as if somebody had stopped."""
        segments = self.feed(bytes(-len(self._rest) % CHUNK_BYTES))
        if self._loud:
            self._begin()
        segments += self.feed(bytes(TAIL_CHUNKS * CHUNK_BYTES))
        if last := self._end():
            segments.append(last)
        return segments

    def open(self) -> Segment | None:
        """The segment that has begun and not ended, as it is by now."""
        if not self._chunks:
            return None
        spoken = len(self._chunks) - self._quiet
        return self._segment(spoken + min(self._quiet, TAIL_CHUNKS), spoken)

    def _judge(self, chunk: bytes) -> Segment | None:
        probability = self._probability(chunk)
        self._heard += 1
        if not self._chunks:
            self._lead.append(chunk)
            self._loud = self._loud + 1 if probability >= SPEECH_PROBABILITY else 0
            if self._loud == BEGIN_CHUNKS:
                self._begin()
            return None
        self._chunks.append(chunk)
        self._probabilities.append(probability)
        if probability >= SPEECH_PROBABILITY:
            self._quiet = 0
        elif self._quiet or probability < SILENCE_PROBABILITY:
            self._quiet += 1
        seconds = len(self._chunks) * CHUNK_SECONDS
        if self._quiet >= (PAUSE_CHUNKS if seconds < LONG_SECONDS else SHORT_PAUSE_CHUNKS):
            return self._end()
        return self._cut() if seconds >= LONGEST_SECONDS else None

    def _begin(self) -> None:
        self._chunks = list(self._lead)
        self._probabilities = [SPEECH_PROBABILITY] * len(self._chunks)
        self._first = self._heard - len(self._chunks)
        self._quiet = self._loud = 0
        self._lead.clear()

    def _end(self) -> Segment | None:
        segment = self.open()
        self._quiet = min(self._quiet, len(self._chunks))
        self._lead.extend(self._chunks[len(self._chunks) - max(0, self._quiet - TAIL_CHUNKS) :])
        self._chunks = []
        self._probabilities = []
        self._quiet = self._loud = 0
        return segment

    def _cut(self) -> Segment:
        """End the segment at its quietest place, and begin the next one there."""
        late = len(self._chunks) - round(LOOK_BACK_SECONDS / CHUNK_SECONDS)
        at = 1 + min(range(late, len(self._chunks)), key=self._probabilities.__getitem__)
        segment = self._segment(at, at)
        self._chunks, self._probabilities = self._chunks[at:], self._probabilities[at:]
        self._first += at
        if self._quiet >= len(self._chunks):
            self._end()
        return segment

    def _segment(self, chunks: int, spoken: int) -> Segment:
        return Segment(
            audio=b"".join(self._chunks[:chunks]),
            start=self._first * CHUNK_SECONDS,
            speech_end=(self._first + spoken) * CHUNK_SECONDS,
        )
