"""How late texts come, by how many speak at once: through the whole service, at the speed of speech.

A stream is one who says the ten sentences again and again, with a second between them: nobody speaks as much for long.
Latencies are seen by the client. A first text's counts from when the sentence begins, a commit's from when it ends; the
pause that tells the end of a sentence is in it.
"""

from __future__ import annotations

import asyncio
import base64
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import socketio

from agora_transcription.stt.protocol import PATH
from bench.usage import cpu_seconds, memory_megabytes, tree
from support.processes import Stt
from support.speech import sentences, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = 16000
CHUNK = 0.1
PAUSE = 1.0
TOO_LATE = 4.0
"""Seconds of a commit's p95 beyond which more streams are not tried."""

LOUD = 150
"""A mean amplitude that is speech, in what Flite speaks."""


class Sentence(NamedTuple):
    """What is played, with its pause: when speech begins and ends in it, in seconds."""

    audio: bytes
    words: list[str]
    begins: float
    ends: float


@dataclass
class Latencies:
    """Of all streams, in seconds."""

    first: list[float] = field(default_factory=list)
    commit: list[float] = field(default_factory=list)
    missed: int = 0


async def table(engine: str, counts: Sequence[int], seconds: float) -> list[str]:
    """The lines of the table."""
    lines = [
        f"| streams, `{engine}` | first text p50 / p95 / p99 | commit p50 / p95 / p99 | cores | memory |",
        "|---|---|---|---|---|",
    ]
    for count in counts:
        latencies, cores, memory = await _run(engine, count, seconds)
        lines.append(
            f"| {count} | {_percentiles(latencies.first)} | {_percentiles(latencies.commit)} | {cores:.2f} "
            f"| {memory:.0f} MB |"
        )
        print(lines[-1], f"missed: {latencies.missed}", flush=True)
        if np.percentile(latencies.commit, 95) > TOO_LATE:
            break
    return [*lines, ""]


async def _run(engine: str, count: int, seconds: float) -> tuple[Latencies, float, float]:
    latencies = Latencies()
    with tempfile.TemporaryDirectory() as directory:
        service = Stt(
            Path(directory) / "log", "--anonymous", f"--engine={engine}", "--timestamps=none", "--max-sessions=1000"
        )
        await service.start_and_wait()
        try:
            pids = tree(service.pid)
            before, began = cpu_seconds(*pids), time.monotonic()
            chance = random.Random(count)  # noqa: S311 - the same each time
            await asyncio.gather(
                *(_speak(service.url, number, chance.uniform(0, 3), seconds, latencies) for number in range(count))
            )
            return latencies, (cpu_seconds(*pids) - before) / (time.monotonic() - began), memory_megabytes(*pids)
        finally:
            service.stop()


async def _speak(url: str, number: int, after: float, seconds: float, latencies: Latencies) -> None:
    """One stream."""
    said = _played()
    said = said[number % len(said) :] + said[: number % len(said)]
    told: list[tuple[float, str, str]] = []
    closed = asyncio.Event()
    client = socketio.AsyncClient(reconnection=False)

    def hear(message: dict[str, Any]) -> None:
        told.append((time.monotonic(), message["message_type"], message.get("text", "")))

    started = asyncio.Event()
    client.on("session-started", started.set)
    client.on("transcript-message", hear)
    client.on("session-closed", lambda _: closed.set())
    await client.connect(url, socketio_path=PATH, transports=["websocket"])
    await asyncio.sleep(after)
    await client.emit("start-session", {"sampleRate": RATE})
    await started.wait()

    began, sent = time.monotonic(), 0.0
    played: list[tuple[float, Sentence]] = []
    while sent < seconds:
        sentence = said[len(played) % len(said)]
        played.append((began + sent, sentence))
        step = 2 * int(CHUNK * RATE)
        for at in range(0, len(sentence.audio), step):
            chunk = sentence.audio[at : at + step]
            sent += len(chunk) / 2 / RATE
            # A microphone hands a chunk over when it is full.
            await asyncio.sleep(max(0.0, began + sent - time.monotonic()))
            await client.emit("audio-chunk", {"audio_base_64": base64.b64encode(chunk).decode(), "sample_rate": RATE})
    await client.emit("stop-session")
    await asyncio.wait_for(closed.wait(), 60)
    await client.disconnect()
    _count(played, told, latencies)


def _count(
    played: Sequence[tuple[float, Sentence]], told: Sequence[tuple[float, str, str]], latencies: Latencies
) -> None:
    """Find for each sentence its commit, by its words, and the first text before that."""
    rest, first = list(played), None
    for at, kind, text in told:
        if kind == "partial_transcript" and text:
            first = first or at
        elif kind == "committed_transcript":
            found = next((index for index, (_, each) in enumerate(rest[:3]) if _alike(text, each.words)), None)
            if found is None:
                continue
            start, sentence = rest[found]
            latencies.missed += found
            del rest[: found + 1]
            latencies.commit.append(at - start - sentence.ends)
            if first:
                latencies.first.append(first - start - sentence.begins)
            first = None
    latencies.missed += len(rest)


def _alike(text: str, words: Sequence[str]) -> bool:
    return len(set(words_of(text)) & set(words)) >= len(set(words)) / 2


def _played() -> list[Sentence]:
    found = []
    for speech in sentences():
        loud = np.convolve(np.abs(np.frombuffer(speech.audio, "<i2").astype(int)), np.ones(160) / 160, "same") > LOUD
        speaking = np.nonzero(loud)[0]
        audio = speech.then_silence(PAUSE).audio
        found.append(Sentence(audio, words_of(speech.text), speaking[0] / RATE, speaking[-1] / RATE))
    return found


def _percentiles(latencies: Sequence[float]) -> str:
    return " / ".join(f"{np.percentile(latencies, q):.2f}" for q in (50, 95, 99)) + " s" if latencies else "none"
