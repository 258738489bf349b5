"""Many sessions that are mostly silent and sometimes talk: nothing grows, and who is too many harms nobody.

`make stt-load` runs it with 200 sessions for MINUTES; what it measures is the service, with the engine of the tests.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from stt.test_fuzz import rest
from support.metrics import read_metrics
from support.stt import BOTH, calling

if TYPE_CHECKING:
    from stt.conftest import Run
    from support.stt import Caller, ScriptedStt

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = 10
"""Of an utterance: a second, and half a second of silence after it."""

MAX_SILENCE = 10.0
TOO_MANY = 20


@pytest.mark.parametrize(
    ("sessions", "seconds"),
    [
        pytest.param(20, 20.0, id="short"),
        pytest.param(200, 60 * float(os.environ.get("MINUTES", "20")), id="long", marks=pytest.mark.soak),
    ],
)
async def test_sessions_that_come_and_go(run: Run, sessions: int, seconds: float) -> None:
    async with run(capacity=sessions, speed=0.1) as service:
        async with AsyncExitStack() as stack:
            callers = [
                await stack.enter_async_context(calling(service.url, transport=BOTH[number % 10 == 0]))
                for number in range(sessions)
            ]
            for caller in callers:
                await caller.start()
            ends, late = time.monotonic() + seconds, list[tuple[float, float]]()
            talking = [asyncio.create_task(talk(caller, number, ends, late)) for number, caller in enumerate(callers)]
            before = await processor(service)
            memory = await watch(service, ends, late)
            core = (await processor(service) - before) / seconds
            await asyncio.gather(*talking)
            for caller in callers:
                assert await caller.stop() == {"code": 1000, "reason": ""}
        await rest(service)
    third = len(memory) // 3
    second, last = statistics.mean(memory[third : 2 * third]), statistics.mean(memory[-third:])
    took = [each for _, each in late]
    print(  # noqa: T201 - what has been measured
        f"{sessions} sessions, {seconds:.0f} s, {len(took)} utterances",
        f"commit p50 {quantile(took, 0.5):.3f} s, p95 {quantile(took, 0.95):.3f} s, most {max(took):.3f} s",
        f"{core:.2f} of a core; memory {second / 1e6:.1f} MB in the second third, {last / 1e6:.1f} MB in the last",
        sep="; ",
    )
    assert last <= 1.03 * second + 1e6


async def talk(caller: Caller, number: int, ends: float, late: list[tuple[float, float]]) -> None:
    """Say something now and then, and get it back; notes when, and how long after its end."""
    chance = random.Random(number)  # noqa: S311 - the same again when it fails
    while time.monotonic() < ends:
        await asyncio.sleep(chance.uniform(0, MAX_SILENCE))
        words = [chance.randrange(1, 1000) for _ in range(WORDS)]
        for word in [*words, 0, 0, 0, 0]:
            await caller.say(word)
            await asyncio.sleep(0.1)
        await caller.say(0)
        said = time.monotonic()
        await caller.until_committed(" ".join(f"w{word}" for word in words))
        late.append((said, time.monotonic() - said))


async def watch(service: ScriptedStt, ends: float, late: list[tuple[float, float]]) -> list[float]:
    """Look at the service each half second, and half way have too many come; answers its memory, in bytes."""
    memory, began, overloaded = [], time.monotonic(), False
    while (now := time.monotonic()) < ends:
        value = await read_metrics(service.metrics)
        memory.append(value("process_resident_memory_bytes") or 0)
        assert (value("agora_transcription_stt_out_queue") or 0) <= 32
        assert (value("agora_transcription_stt_audio_lag_seconds") or 0) <= 2
        if not overloaded and now - began > (ends - began) / 2:
            overloaded = True
            await overload(service, late)
        await asyncio.sleep(0.5)
    assert overloaded
    return memory


async def processor(service: ScriptedStt) -> float:
    return (await read_metrics(service.metrics))("process_cpu_seconds_total") or 0


async def overload(service: ScriptedStt, late: list[tuple[float, float]]) -> None:
    """Ask for sessions that there is no room for, again and again; those under way are not to notice."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(calling(service.url)) for _ in range(TOO_MANY)]
        for _ in range(3):
            for caller in callers:
                await caller.sio.emit("start-session", {"sampleRate": 16000})
                assert (await caller.until("session-error")).payload["code"] == 1013
                assert (await caller.until("session-closed")).payload["code"] == 1013
            await asyncio.sleep(1)
    before = [each for at, each in late if at < began]
    meanwhile = [each for at, each in late if at >= began]
    if before and meanwhile:
        assert quantile(meanwhile, 0.95) <= 2 * quantile(before, 0.95) + 0.2


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
