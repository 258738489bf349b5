"""A session of an engine that nobody wants any more is closed, whenever it comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agora_transcription.stt import opening
from agora_transcription.stt.engines.base import EngineFault
from agora_transcription.stt.opening import open_unless
from support.scripted import Script, ScriptedEngine, ScriptedRecognition


def wanted() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


class Stubborn(ScriptedEngine):
    """Opens although it is cancelled."""

    async def open(self, sample_rate: int) -> ScriptedRecognition:
        done = asyncio.ensure_future(super().open(sample_rate))
        while not done.done():
            try:
                await asyncio.shield(done)
            except asyncio.CancelledError:
                continue
        return done.result()


async def test_it_is_opened() -> None:
    engine = ScriptedEngine(Script())
    assert await open_unless(wanted(), engine, 16000) in engine.open_now


@pytest.mark.parametrize("kind", [ScriptedEngine, Stubborn])
async def test_what_becomes_unwanted_is_closed(kind: type[ScriptedEngine]) -> None:
    engine, unwanted = kind(Script(opening=0.1)), wanted()
    asyncio.get_running_loop().call_later(0.02, unwanted.set_result, None)
    assert await open_unless(unwanted, engine, 16000) is None
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(left)
    assert not engine.open_now


@pytest.mark.parametrize("steps", range(8))
async def test_whoever_is_cancelled_at_whichever_moment_leaves_nothing_open(steps: int) -> None:
    engine = ScriptedEngine(Script())
    task = asyncio.create_task(open_unless(wanted(), engine, 16000))
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(10):
            await asyncio.sleep(0)
        assert not engine.open_now


async def test_an_engine_that_takes_too_long_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "OPEN_SECONDS", 0.05)
    engine = ScriptedEngine(Script(opening=60))
    with pytest.raises(EngineFault, match="has not answered"):
        await open_unless(wanted(), engine, 16000)


async def test_an_engine_that_cannot_says_so() -> None:
    class Full(ScriptedEngine):
        async def open(self, sample_rate: int) -> ScriptedRecognition:
            raise EngineFault(f"no room for {sample_rate} Hz", 1013)

    with pytest.raises(EngineFault, match="no room"):
        await open_unless(wanted(), Full(Script()), 16000)
