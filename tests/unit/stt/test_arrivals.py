"""The clock of a session's audio."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.stt.arrivals import KEPT_SECONDS, MARK_SECONDS, Arrivals

CHUNK = 3200  # a tenth of a second


def test_audio_adds_up() -> None:
    arrivals = Arrivals(16000, 100.0)
    assert (arrivals.seconds, arrivals.last_at, arrivals.ahead(200.0)) == (0.0, 100.0, 0.0)
    for number in range(20):
        arrivals.add(CHUNK, 101.0 + number)
    assert (arrivals.seconds, arrivals.with_more(CHUNK), arrivals.last_at) == (2.0, 2.1, 120.0)


def test_it_is_ahead_by_what_cannot_have_been_spoken_yet() -> None:
    arrivals = Arrivals(16000, 0.0)
    for _ in range(50):
        arrivals.add(CHUNK, 10.0)
    assert arrivals.ahead(10.0) == pytest.approx(5.0)
    assert arrivals.ahead(15.0) == pytest.approx(0.0)
    assert arrivals.ahead(20.0) == pytest.approx(-5.0)


def test_it_is_known_when_a_second_came() -> None:
    arrivals = Arrivals(16000, 0.0)
    for number in range(1, 11):
        arrivals.add(CHUNK, float(number))
    assert arrivals.came_at(0.05) == 1.0
    assert arrivals.came_at(0.55) == 6.0
    assert arrivals.came_at(1.0) == 10.0
    assert arrivals.came_at(1.5) is None


def test_what_came_long_ago_is_forgotten_rather_than_wrong() -> None:
    arrivals = Arrivals(16000, 0.0)
    for number in range(300):
        arrivals.add(CHUNK, float(number))
    assert arrivals.came_at(1.0) is None
    assert arrivals.came_at(arrivals.seconds - KEPT_SECONDS - 1) is None
    assert arrivals.came_at(arrivals.seconds - KEPT_SECONDS + 1) == 109
    assert arrivals.came_at(arrivals.seconds) == 299


@pytest.mark.parametrize("size", [2, 64, 640, 3200, 32000], ids=lambda size: f"{size / 32} ms")
def test_as_much_is_remembered_of_short_chunks_as_of_long_ones(size: int) -> None:
    arrivals = Arrivals(16000, 0.0)
    seconds = size / 32000
    for number in range(int(25 / seconds)):
        arrivals.add(size, number * seconds)
    came = arrivals.came_at(arrivals.seconds - 15)
    assert came is not None
    assert 10 - 2 * max(seconds, MARK_SECONDS) < came <= 10
    assert len(arrivals._marks) <= 2 * KEPT_SECONDS / MARK_SECONDS + 2


@given(st.lists(st.integers(1, 16000), min_size=1, max_size=50), st.integers(8000, 48000))
def test_each_chunk_came_when_it_came(sizes: list[int], rate: int) -> None:
    arrivals, ends = Arrivals(rate, 0.0), []
    for number, size in enumerate(sizes):
        arrivals.add(2 * size, float(number))
        ends.append(arrivals.seconds)
    for number, end in enumerate(ends):
        came = arrivals.came_at(end)
        if came is None:
            assert end < arrivals.seconds - KEPT_SECONDS + max(sizes) / rate
        else:
            assert came <= number
            assert came == number or end - (ends[int(came) - 1] if came else 0.0) <= MARK_SECONDS
