"""Word error rates, and processor time for each second of audio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import jiwer

from agora_transcription.stt.engines.base import Kind
from agora_transcription.stt.engines.local import LocalEngine
from bench.usage import cpu_seconds
from support.speech import Speech, dickens, sentences, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence


async def table(engines: Sequence[str]) -> list[str]:
    """The lines of the table."""
    lines = [
        "| engine | words wrong: ten sentences, synthetic | a page of Dickens, read by a person | processor time |",
        "|---|---|---|---|",
    ]
    for name in engines:
        engine = LocalEngine(name, 1)
        await engine.start()
        pid = engine._workers[0].pid  # noqa: SLF001 - whose time it is
        assert pid  # noqa: S101 - it has been started
        before, said = cpu_seconds(pid), [*sentences(), dickens()]
        heard = [await _heard(engine, speech) for speech in said]
        cost = (cpu_seconds(pid) - before) / sum(speech.seconds for speech in said)
        await engine.stop()
        synthetic, read = _wrong(said[:-1], heard[:-1]), _wrong(said[-1:], heard[-1:])
        lines.append(f"| `{name}` | {synthetic:.0%} | {read:.0%} | {cost:.2f} s for each second of speech |")
    return [*lines, ""]


async def _heard(engine: LocalEngine, speech: Speech) -> str:
    """What is committed when the audio comes as fast as it is worked through."""
    recognition = await engine.open(speech.rate)
    sent = 0.0
    for chunk in speech.chunks():
        await recognition.send(chunk)
        sent += len(chunk) / 2 / speech.rate
        while recognition.processed_seconds < sent - 0.01:
            await asyncio.sleep(0.002)
    await recognition.finish()
    texts = [result.payload["text"] async for result in recognition.results() if result.kind == Kind.COMMITTED]
    return " ".join(texts)


def _wrong(said: Sequence[Speech], heard: Sequence[str]) -> float:
    return jiwer.wer([" ".join(words_of(speech.text)) for speech in said], [" ".join(words_of(text)) for text in heard])
