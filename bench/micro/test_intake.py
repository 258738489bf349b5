"""How long it takes to take in what the watch tells of one object."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from agora_transcription.controller.cache import TaskCache
from unit.controller.builders import body_of
from unit.controller.plan_cases import running

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


def body(version: int) -> dict[str, Any]:
    """An object whose task runs."""
    return body_of({}, running().status.dump(), resourceVersion=str(version))


def test_a_new_object(benchmark: BenchmarkFixture) -> None:
    new = body(5)
    assert benchmark(lambda: TaskCache().offer(new))


def test_an_echo(benchmark: BenchmarkFixture) -> None:
    cache, echo = TaskCache(), body(5)
    cache.offer(echo)
    assert not benchmark(cache.offer, echo)


def test_a_change_of_the_status(benchmark: BenchmarkFixture) -> None:
    cache, change, versions = TaskCache(), body(5), count(6)
    cache.offer(change)

    def offer() -> bool:
        change["metadata"]["resourceVersion"] = str(next(versions))
        return cache.offer(change)

    assert benchmark(offer)
