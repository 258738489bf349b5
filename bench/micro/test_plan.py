"""How long it takes to decide on one object, and to prepare the write that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agora_transcription.agora import Dialect, State
from agora_transcription.controller.plan import decide
from agora_transcription.controller.steps import Idle, Start, Step, Stop, Write
from agora_transcription.controller.store import merge_patch
from unit.controller.builders import after, task_of
from unit.controller.plan_cases import GERMAN, deleted, known_of, running, seen

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from agora_transcription.api import TranscriptionTask

NOW = after(200)
KNOWN = known_of(observation=seen(State.ACTIVE))


def settled() -> TranscriptionTask:
    """A running task of which everything has been written."""
    task = running()
    while isinstance(step := decide(task, KNOWN, Dialect.V7, NOW), Write):
        task = task.model_copy(update={"status": step.status})
    return task


def changed() -> TranscriptionTask:
    """The same, with another language asked for since."""
    task = settled()
    return task.model_copy(update={"spec": running(changes=GERMAN).spec})


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        pytest.param(task_of(), Start, id="new"),
        pytest.param(settled(), Idle, id="running"),
        pytest.param(changed(), Write, id="changed"),
        pytest.param(deleted(settled()), Stop, id="deleted"),
    ],
)
def test_decide(benchmark: BenchmarkFixture, task: TranscriptionTask, expected: type[Step]) -> None:
    assert isinstance(benchmark(decide, task, KNOWN, Dialect.V7, NOW), expected)


def test_prepare_a_status_write(benchmark: BenchmarkFixture) -> None:
    before = changed()
    step = decide(before, KNOWN, Dialect.V7, NOW)
    assert isinstance(step, Write)
    after_it = step.status
    patch = benchmark(lambda: merge_patch(before.status.dump(), after_it.dump()))
    assert patch["sequenceId"] == 1
