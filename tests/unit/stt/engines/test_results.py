"""What waits to be taken: partials give way, commits do not, and an end is said once."""

from __future__ import annotations

import asyncio

import pytest

from agora_transcription.stt.engines.base import EngineClosed, EngineFault, Kind, Result
from agora_transcription.stt.engines.results import ResultQueue


def result(kind: Kind, text: str) -> Result:
    return Result(kind, {"text": text})


async def taken(results: ResultQueue) -> list[str]:
    return [each.payload["text"] async for each in results.take()]


async def test_only_the_newest_partial_waits_and_every_commit() -> None:
    results = ResultQueue()
    for kind, text in [
        (Kind.PARTIAL, "a"),
        (Kind.PARTIAL, "b"),
        (Kind.COMMITTED, "B"),
        (Kind.TIMED, "B2"),
        (Kind.COMMITTED, "C"),
        (Kind.PARTIAL, "d"),
        (Kind.PARTIAL, "e"),
    ]:
        results.put(result(kind, text))
    results.end()
    results.put(result(Kind.COMMITTED, "late"))
    assert await taken(results) == ["B", "B2", "C", "e"]


async def test_what_comes_while_somebody_waits_is_taken() -> None:
    results = ResultQueue()
    reading = asyncio.create_task(taken(results))
    for text in "ab":
        await asyncio.sleep(0)
        results.put(result(Kind.COMMITTED, text))
    results.end()
    assert await reading == ["a", "b"]


@pytest.mark.parametrize("reason", [EngineFault("no", 1013), EngineClosed(1000, "")])
async def test_what_was_heard_comes_before_the_reason_of_the_end(reason: EngineFault | EngineClosed) -> None:
    results = ResultQueue()
    results.put(result(Kind.COMMITTED, "a"))
    results.end(reason)
    results.end(EngineFault("another"))
    stream = results.take()
    assert (await anext(stream)).payload["text"] == "a"
    with pytest.raises(type(reason)) as caught:
        await anext(stream)
    assert caught.value is reason
    with pytest.raises(type(reason)):
        results.check()


async def test_results_that_nobody_takes_end_the_session() -> None:
    results = ResultQueue()
    for number in range(999):
        results.put(result(Kind.COMMITTED, str(number)))
    results.check()
    results.put(result(Kind.COMMITTED, "one too many"))
    with pytest.raises(EngineFault) as caught:
        results.check()
    assert caught.value.code == 1008
