"""Segments from made-up probabilities: a chunk's first byte says how probably it is speech, in hundredths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.stt.engines.segments import (
    BEGIN_CHUNKS,
    CHUNK_BYTES,
    CHUNK_SECONDS,
    LEAD_CHUNKS,
    LONGEST_SECONDS,
    PAUSE_CHUNKS,
    TAIL_CHUNKS,
    Segment,
    Segmenter,
)

SPOKEN, SILENT = 90, 5


def chunks(*runs: tuple[int, int]) -> bytes:
    """So many chunks of so many hundredths each."""
    return b"".join(bytes([hundredths]) * CHUNK_BYTES * count for count, hundredths in runs)


def segmenter() -> Segmenter:
    return Segmenter(lambda chunk: chunk[0] / 100)


def all_of(audio: bytes) -> list[Segment]:
    found = segmenter()
    return [*found.feed(audio), *found.finish()]


def test_silence_has_no_segments() -> None:
    assert all_of(chunks((500, SILENT))) == []


def test_a_click_is_no_speech() -> None:
    assert all_of(chunks((50, SILENT), (BEGIN_CHUNKS - 1, SPOKEN), (50, SILENT))) == []


def test_speech_is_a_segment_with_something_before_and_after_it() -> None:
    [segment] = all_of(chunks((50, SILENT), (30, SPOKEN), (50, SILENT)))
    assert segment.audio == chunks((LEAD_CHUNKS, SILENT), (30, SPOKEN), (TAIL_CHUNKS, SILENT))
    assert segment.start == pytest.approx((50 - LEAD_CHUNKS) * CHUNK_SECONDS)
    assert segment.speech_end == pytest.approx(80 * CHUNK_SECONDS)


def test_a_pause_within_a_sentence_does_not_end_it() -> None:
    [segment] = all_of(chunks((20, SPOKEN), (PAUSE_CHUNKS - 1, SILENT), (20, SPOKEN), (50, SILENT)))
    assert segment.speech_end == pytest.approx((40 + PAUSE_CHUNKS - 1) * CHUNK_SECONDS)


def test_a_pause_ends_a_segment_as_soon_as_it_is_one() -> None:
    found = segmenter()
    assert found.feed(chunks((20, SPOKEN), (PAUSE_CHUNKS - 1, SILENT))) == []
    assert len(found.feed(chunks((1, SILENT)))) == 1


def test_what_is_said_last_is_not_lost_however_short() -> None:
    [segment] = all_of(chunks((50, SILENT), (1, SPOKEN)))
    assert segment.audio.endswith(chunks((1, SPOKEN), (TAIL_CHUNKS, 0)))


def test_half_a_chunk_at_the_end_is_not_lost() -> None:
    [segment] = all_of(chunks((30, SPOKEN)) + chunks((1, SPOKEN))[: CHUNK_BYTES // 2])
    assert segment.audio[: 30 * CHUNK_BYTES] == chunks((30, SPOKEN))
    assert segment.audio[30 * CHUNK_BYTES :][: CHUNK_BYTES // 2] == chunks((1, SPOKEN))[: CHUNK_BYTES // 2]


def test_endless_speech_is_cut_where_it_is_quietest_and_nothing_is_lost() -> None:
    whole = chunks((280, SPOKEN), (1, 51), (400, SPOKEN))
    segments = all_of(whole)
    assert b"".join(segment.audio for segment in segments) == whole + chunks((TAIL_CHUNKS, 0))
    assert segments[0].audio == chunks((280, SPOKEN), (1, 51))
    assert all(
        len(segment.audio) <= LONGEST_SECONDS / CHUNK_SECONDS * CHUNK_BYTES + CHUNK_BYTES for segment in segments
    )


def test_the_open_segment_is_settled_when_only_more_silence_would_come() -> None:
    found = segmenter()
    found.feed(chunks((30, SPOKEN), (TAIL_CHUNKS - 1, SILENT)))
    states = [found.settled]
    found.feed(chunks((1, SILENT)))
    states.append(found.settled)
    assert states == [False, True]
    before = found.open()
    assert found.feed(chunks((PAUSE_CHUNKS, SILENT))) == [before]


runs = st.lists(st.tuples(st.integers(1, 400), st.sampled_from([SILENT, 40, 55, SPOKEN])), max_size=12)


@given(runs, st.lists(st.integers(1, 40000), max_size=10))
def test_where_the_audio_is_cut_on_its_way_makes_no_difference(of: list[tuple[int, int]], cuts: list[int]) -> None:
    audio = chunks(*of)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(audio[at : at + cut])
        at += cut
    found = segmenter()
    segments = [segment for piece in [*pieces, audio[at:]] for segment in found.feed(piece)]
    assert [*segments, *found.finish()] == all_of(audio)


@given(runs)
def test_every_segment_is_a_piece_of_the_audio_at_its_time_and_none_overlaps_the_next(
    of: list[tuple[int, int]],
) -> None:
    audio, end = chunks(*of, (TAIL_CHUNKS, 0)), 0
    for segment in all_of(chunks(*of)):
        start = round(segment.start / CHUNK_SECONDS) * CHUNK_BYTES
        assert start >= end
        end = start + len(segment.audio)
        assert audio[start:end] == segment.audio
        assert segment.start < segment.speech_end <= end / CHUNK_BYTES * CHUNK_SECONDS + 1e-9
