"""How long it takes to take in what the watch tells of one object."""

from __future__ import annotations

import json
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.intake import Intake
from agora_transcription.controller.watch import left_of
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


def test_a_line_of_the_watch(benchmark: BenchmarkFixture) -> None:
    """All that is done for an event, from its bytes to its key in the queue."""
    keys: list[str] = []
    queue, reconciler = SimpleNamespace(add=keys.append), SimpleNamespace(created=keys.append)
    line = json.dumps({"type": "ADDED", "object": body(5)}, separators=(",", ":")).encode()

    def read() -> bytes:
        intake = Intake(TaskCache(), cast("Any", queue), cast("Any", reconciler), cast("Any", None))
        return left_of([line], intake.told)

    assert b"BOOKMARK" in benchmark(read)
    assert keys
