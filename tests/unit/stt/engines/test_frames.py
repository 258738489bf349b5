"""Frames come out as they went in, however they arrive."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.stt.engines.base import Kind, Result
from agora_transcription.stt.engines.frames import (
    MAX_PAYLOAD,
    Frame,
    FrameError,
    FrameReader,
    FrameType,
    pack,
    pack_numbers,
    pack_result,
    unpack_numbers,
    unpack_result,
)

frames = st.builds(Frame, st.sampled_from(FrameType), st.integers(0, 2**32 - 1), st.binary(max_size=200))
texts = st.text(max_size=50)
results = st.builds(
    Result,
    st.sampled_from(Kind),
    st.fixed_dictionaries({"text": texts}, optional={"words": st.lists(st.fixed_dictionaries({"text": texts}))}),
    st.none() | st.floats(0, 1e6),
)


@given(st.lists(frames, max_size=10), st.lists(st.integers(0, 2500), max_size=10))
def test_frames_come_out_whole_wherever_the_pieces_are_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(pack(*frame) for frame in sent)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = FrameReader()
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == sent


@given(results)
def test_a_result_comes_out_as_it_went_in(result: Result) -> None:
    [frame] = FrameReader().feed(pack_result(7, result))
    assert (frame.type, frame.session) == (FrameType.RESULT, 7)
    assert unpack_result(frame.payload) == result


@given(st.lists(st.floats(allow_nan=False), max_size=3))
def test_numbers_come_out_as_they_went_in(numbers: list[float]) -> None:
    [frame] = FrameReader().feed(pack_numbers(FrameType.PROCESSED, 7, *numbers))
    assert unpack_numbers(frame.payload, len(numbers)) == numbers


def test_a_frame_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    with pytest.raises(FrameError, match="4294967295"):
        list(FrameReader().feed(struct.pack("!IBI", 2**32 - 1, FrameType.AUDIO, 1)))


def test_a_frame_that_the_other_end_would_refuse_is_not_sent() -> None:
    with pytest.raises(FrameError):
        pack(FrameType.AUDIO, 1, bytes(MAX_PAYLOAD + 1))


def test_a_frame_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(FrameError, match="99"):
        list(FrameReader().feed(struct.pack("!IBI", 0, 99, 1)))


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"{}", b'{"kind":"shout","payload":{},"heardAt":1}', b'{"kind":1}', b"null", b"\xff"]
)
def test_a_result_that_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError):
        unpack_result(payload)


@pytest.mark.parametrize("payload", [b"", b"1", bytes(16)])
def test_a_number_that_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError):
        unpack_numbers(payload, 1)
