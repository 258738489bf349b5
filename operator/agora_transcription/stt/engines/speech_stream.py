"""One session in a worker: from its audio to its results, in steps that the worker chooses."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.stt.engines.audio import seconds_of
from agora_transcription.stt.engines.base import Kind, Result
from agora_transcription.stt.engines.resampling import Resampler
from agora_transcription.stt.engines.segments import RATE, Segmenter

if TYPE_CHECKING:
    from agora_transcription.stt.engines.recognizers import Recognizer, Utterance
    from agora_transcription.stt.engines.segments import Segment

__all__ = ["SpeechStream"]

PARTIAL_SECONDS: Final = 0.5
"""Of audio between two partials; more where one takes long to make."""

PARTIAL_COST: Final = 2.0
"""So many times as long as a partial took to make, none of the same session is made: a long one must not eat the time
of the others."""


class SpeechStream:
    """The audio of one session, what has been recognized in it, and what has been said of that.

    Each step answers the results it came to, or None where there was nothing to do.

    Args:
        recognizer: What recognizes, shared with other sessions.
        sample_rate: Of the audio, in Hz.
    """

    def __init__(self, recognizer: Recognizer, sample_rate: int) -> None:
        self.inbox: deque[bytes | None] = deque()
        """Audio that has not been listened to; None says that no more follows."""
        self.processed_seconds = 0.0
        """How much of the audio has been worked through: everything that was said in it has been committed, or is in
        the segment that is still open."""
        self.busy_seconds = 0.0
        """How long the worker took for it, by the clock on the wall."""
        self.ended = False
        """Whether there is nothing more to do, ever."""
        self._recognizer = recognizer
        self._resampler = Resampler(sample_rate, RATE)
        self._rate = sample_rate
        self._segmenter = Segmenter(recognizer.detector())
        self._listened = 0  # bytes
        self._finished = False
        self._segments: deque[Segment] = deque()  # ended, not committed
        self._utterance: Utterance | None = None
        self._said = ""
        self._partial_at = 0.0
        self._partial_settled = False
        self._pause = PARTIAL_SECONDS

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return bool(self.inbox or self._segments) or self._partial_is_due

    def listen(self) -> list[Result] | None:
        """Look for speech in what has arrived, up to the end of a segment: more waits until that is committed."""
        if not self.inbox or self._segments:
            return None
        while self.inbox and not self._segments:
            audio = self.inbox.popleft()
            if audio is None:
                self._segments += self._segmenter.feed(self._resampler.finish())
                self._segments += self._segmenter.finish()
                self._finished = True
            else:
                self._segments += self._segmenter.feed(self._resampler.feed(audio))
                self._listened += len(audio)
        self._count()
        return []

    def commit(self) -> list[Result] | None:
        """Recognize a segment that has ended, for good."""
        if not self._segments:
            return None
        segment = self._segments.popleft()
        utterance = self._utterance or self._recognizer.begin()
        text = utterance.text(segment.audio, final=True)
        words = utterance.words() if text else None
        dangling = bool(self._said) and not text
        self._end_utterance()
        self._count()
        if dangling:
            # What was shown of it would stand for ever.
            return [Result(Kind.PARTIAL, {"text": ""}, segment.speech_end)]
        if not text:
            return []
        results = [Result(Kind.COMMITTED, {"text": text}, segment.speech_end)]
        if words:
            timed: list[dict[str, Any]] = [
                {
                    "text": word.text,
                    "start": round(segment.start + word.start, 2),
                    "end": round(segment.start + word.end, 2),
                    "type": "word",
                }
                for word in words
            ]
            results.append(Result(Kind.TIMED, {"text": text, "words": timed}, segment.speech_end))
        return results

    def partial(self) -> list[Result] | None:
        """Recognize what has been said so far of a segment that has not ended."""
        segment = self._segmenter.open() if self._partial_is_due else None
        if segment is None:
            return None
        began = time.monotonic()
        self._utterance = self._utterance or self._recognizer.begin()
        text = self._utterance.text(segment.audio, final=False)
        self._pause = max(PARTIAL_SECONDS, PARTIAL_COST * (time.monotonic() - began))
        self._partial_at = self._segmenter.heard_seconds
        self._partial_settled = self._segmenter.settled
        if text in {"", self._said}:
            return []
        self._said = text
        return [Result(Kind.PARTIAL, {"text": text}, self._segmenter.heard_seconds)]

    def close(self) -> None:
        """Let go of everything."""
        self._end_utterance()

    @property
    def _partial_is_due(self) -> bool:
        # With more audio waiting, this one would be late before it is made.
        if self.inbox or self._segments or not self._segmenter.active:
            return False
        if self._segmenter.settled:
            # The last one of a segment, at once: nothing more may be said, and then it is what is committed.
            return not self._partial_settled
        since = max(self._partial_at, self._segmenter.open_since)
        return self._segmenter.heard_seconds - since >= self._pause

    def _end_utterance(self) -> None:
        if self._utterance:
            self._utterance.close()
        self._utterance = None
        self._said = ""
        self._partial_settled = False
        self._pause = PARTIAL_SECONDS

    def _count(self) -> None:
        if not self._segments:
            self.processed_seconds = seconds_of(self._listened, self._rate)
            self.ended = self._finished
