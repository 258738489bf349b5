"""Speech through the Socket.IO service, as it was spoken, to text."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import jiwer

from support.scripted import chunk
from support.speech import words_of
from support.stt import KEY, calling

if TYPE_CHECKING:
    from support.speech import Speech

__all__ = ["dictate", "wrong_words"]

CHUNK_SECONDS = 0.1


async def dictate(url: str, speech: Speech, key: str | None = KEY) -> str:
    """What the service commits of a session with this speech in it."""
    texts: list[str] = []

    def read(payload: dict[str, Any]) -> None:
        if payload["message_type"] == "committed_transcript":
            texts.append(payload["text"])

    async with calling(url, key) as caller:
        caller.sio.on("transcript-message", read)
        await caller.start(speech.rate)
        for audio in speech.then_silence(1).chunks(CHUNK_SECONDS):
            await caller.sio.emit("audio-chunk", chunk(audio, speech.rate))
            await asyncio.sleep(CHUNK_SECONDS)  # as it is spoken
        assert (await caller.stop())["code"] == 1000
    return " ".join(texts)


def wrong_words(text: str, said: str) -> int:
    """How many words are missing, too many, or others than those that were said."""
    found = jiwer.process_words(" ".join(words_of(said)), " ".join(words_of(text)))
    return int(found.substitutions + found.deletions + found.insertions)
