"""Who may call, and how often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.serving import callers
from agora_transcription.serving.callers import RateLimit, caller_of

KEYS = ("an-api-key-of-the-tests", "another-api-key-of-the-tests")


def test_each_key_has_a_name_that_is_not_the_key() -> None:
    names = {caller_of(key, KEYS) for key in KEYS}
    assert len(names) == 2
    assert None not in names
    assert not any(str(name) in key for name in names for key in KEYS)


@pytest.mark.parametrize("key", ["", "an-api-key-of-the-test", "an-api-key-of-the-tests ", "schlüssel"])
def test_what_is_no_key_is_nobody(key: str) -> None:
    assert caller_of(key, KEYS) is None
    assert caller_of(key, ()) is None


def test_a_burst_then_a_steady_rate() -> None:
    limit = RateLimit(60)
    assert [limit.wait("a", 0.0) for _ in range(60)] == [0.0] * 60
    assert limit.wait("a", 0.0) == pytest.approx(1.0)
    assert limit.wait("a", 0.5) == pytest.approx(0.5)
    assert limit.wait("a", 1.0) == 0.0
    assert limit.wait("b", 1.0) == 0.0


@given(st.integers(1, 100), st.lists(st.floats(0, 30), max_size=200))
def test_never_more_than_the_burst_and_the_rate(per_minute: int, gaps: list[float]) -> None:
    limit, now, allowed = RateLimit(per_minute), 0.0, 0
    for gap in gaps:
        now += gap
        allowed += limit.wait("a", now) == 0.0
    assert allowed <= per_minute + per_minute * now / 60 + 1e-6


def test_no_limit() -> None:
    limit = RateLimit(0)
    assert not any(limit.wait("a", 0.0) for _ in range(1000))


def test_who_has_not_called_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MAX_CALLERS", 2)
    limit = RateLimit(1)
    for caller in ("a", "b", "c"):
        assert limit.wait(caller, 0.0) == 0.0
    assert limit.wait("c", 0.0) > 0
    assert limit.wait("a", 0.0) == 0.0
