"""Captions as Agora encodes them: protobuf, or JSON in gzip for tasks that were joined with `enableJsonProtocol`.

Sources: Agora's pages "Parse transcription data" and "Join" (v7.x). Times are Unix milliseconds unless said otherwise.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any, Final

from agora_transcription.simulator.captions import captions_pb2 as pb

__all__ = ["Caption", "Word", "encode"]

FASTEST: Final = 1
"""gzip's level: messages have some hundred bytes."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word, or as much of a text as is known to be said in one go.

    Attributes:
        text: With the blanks around it.
        start: Milliseconds since the utterance began.
        duration: Milliseconds.
        confidence: 0 to 1; 0 where it is not known.
    """

    text: str
    start: int
    duration: int
    confidence: float = 0


@dataclass(frozen=True, slots=True)
class Caption:
    """An utterance as far as it was understood; with translations it is about those.

    Attributes:
        uid: The speaker.
        language: What is spoken.
        began: When the utterance began; names it.
        made: When this text was made; a translation has that of its original.
        words: The whole utterance so far.
        final: Whether the text, or its translations, will not change any more.
        translations: Languages and texts.
    """

    uid: int
    language: str
    began: int
    made: int
    words: tuple[Word, ...]
    final: bool
    translations: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(word.text for word in self.words)

    @property
    def duration(self) -> int:
        """Milliseconds that the utterance is long so far."""
        return max((word.start + word.duration for word in self.words), default=0)


def encode(caption: Caption, *, as_json: bool) -> bytes:
    """Write a caption as the content of a data-stream message.

    Args:
        caption: What to write.
        as_json: Whether the task was joined with `enableJsonProtocol`.
    """
    if as_json:
        return gzip.compress(json.dumps(_object(caption), ensure_ascii=False).encode(), FASTEST, mtime=0)
    return _message(caption).SerializeToString()


def _message(caption: Caption) -> pb.Text:
    message = pb.Text(
        uid=caption.uid,
        time=caption.began,
        duration_ms=caption.duration,
        culture=caption.language,
        text_ts=caption.made,
        sentence_id=caption.began,
    )
    words = [
        pb.Word(
            text=word.text,
            start_ms=word.start,
            duration_ms=word.duration,
            is_final=caption.final,
            confidence=word.confidence,
        )
        for word in caption.words
    ]
    if caption.translations:
        message.data_type = "translate"
        message.original_transcript.culture = caption.language
        message.original_transcript.words.extend(words)
        message.trans.extend(
            pb.Translation(is_final=caption.final, lang=language, texts=[text])
            for language, text in caption.translations
        )
    else:
        message.data_type = "transcribe"
        message.words.extend(words)
    return message


def _object(caption: Caption) -> dict[str, Any]:
    """The same in Agora's JSON, whose offsets are points in time."""
    said = {"text": caption.text, "isFinal": caption.final, "offset": caption.began, "duration": caption.duration}
    about = {"uid": caption.uid, "textTs": caption.made, "sentenceId": caption.began}
    transcript = {"language": caption.language, **said, "results": [said]}
    if not caption.translations:
        return {"transcript": about | transcript}
    results = [
        {"language": language, "texts": [text], "isFinal": caption.final} for language, text in caption.translations
    ]
    span = {"isFinal": caption.final, "offset": caption.began, "duration": caption.duration}
    return {"translation": {**about, **span, "original_transcript": transcript, "results": results}}
