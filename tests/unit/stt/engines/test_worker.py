"""A worker, with recognizers that fail as native code can: whatever one session does, the others go on."""

from __future__ import annotations

import socket
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from agora_transcription.stt.engines.base import Kind
from agora_transcription.stt.engines.frames import (
    Frame,
    FrameReader,
    FrameType,
    pack,
    pack_numbers,
    unpack_numbers,
    unpack_result,
)
from agora_transcription.stt.engines.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECOND = bytes(32000)


class Recognizer:
    """Hears `ok` in everything; what its flags say, fails."""

    def __init__(self) -> None:
        self.fails: set[str] = set()

    def detector(self) -> Callable[[bytes], float]:
        self._perhaps("detector")
        return lambda _: 1.0

    def begin(self) -> Recognizer:
        return self

    def text(self, audio: bytes, *, final: bool) -> str:
        _ = audio, final
        self._perhaps("text")
        return "ok"

    def words(self) -> None:
        return None

    def close(self) -> None:
        self._perhaps("close")

    def _perhaps(self, what: str) -> None:
        if what in self.fails:
            raise RuntimeError(f"{what} of a secret text")


class Parent:
    """The other end of a worker's socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = FrameReader()
        self._frames: list[Frame] = []

    def send(self, *frames: bytes) -> None:
        self._sock.sendall(b"".join(frames))

    def until(self, frame_type: FrameType, session: int = 0) -> list[Frame]:
        """All that comes, up to this."""
        seen: list[Frame] = []
        while True:
            while self._frames:
                seen.append(self._frames.pop(0))
                if seen[-1][:2] == (frame_type, session):
                    return seen
            data = self._sock.recv(65536)
            assert data, "the worker has ended"
            self._frames += self._reader.feed(data)


@pytest.fixture
def recognizer() -> Recognizer:
    return Recognizer()


@pytest.fixture
def parent(recognizer: Recognizer) -> Iterator[Parent]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)

        def work() -> None:
            with theirs:
                Worker(recognizer, theirs).run()

        thread = Thread(target=work)
        thread.start()
        yield Parent(ours)
        ours.shutdown(socket.SHUT_WR)
        thread.join(10)
        assert not thread.is_alive()


def opened(number: int) -> bytes:
    return pack_numbers(FrameType.OPEN, number, 16000)


def heard(frames: list[Frame]) -> list[tuple[Kind, str]]:
    results = [unpack_result(frame.payload) for frame in frames if frame.type == FrameType.RESULT]
    return [(result.kind, result.payload["text"]) for result in results]


@pytest.mark.parametrize("fails", [{"text"}, {"text", "close"}])
def test_a_session_that_fails_ends_alone(parent: Parent, recognizer: Recognizer, fails: set[str]) -> None:
    recognizer.fails = fails
    parent.send(opened(1), opened(2), pack(FrameType.AUDIO, 1, SECOND))
    seen = parent.until(FrameType.FAULT, 1)
    parent.send(pack(FrameType.PING))
    seen += parent.until(FrameType.PONG)
    recognizer.fails = set()
    parent.send(pack(FrameType.AUDIO, 2, SECOND), pack(FrameType.FINISH, 2))
    assert (Kind.COMMITTED, "ok") in heard(parent.until(FrameType.ENDED, 2))
    logged = [frame.payload.decode() for frame in seen if frame.type == FrameType.LOG]
    assert len(logged) == len(fails)
    assert not [line for line in logged if "secret" in line]


def test_a_session_that_cannot_be_let_go_of_ends_alone(parent: Parent, recognizer: Recognizer) -> None:
    parent.send(opened(1), pack(FrameType.AUDIO, 1, SECOND))
    parent.until(FrameType.RESULT, 1)
    recognizer.fails = {"close"}
    parent.send(pack(FrameType.CLOSE, 1), pack(FrameType.PING))
    assert FrameType.LOG in {frame.type for frame in parent.until(FrameType.PONG)}


def test_a_session_that_cannot_begin_fails_alone(parent: Parent, recognizer: Recognizer) -> None:
    recognizer.fails = {"detector"}
    parent.send(opened(1), pack(FrameType.AUDIO, 1, SECOND), pack(FrameType.CLOSE, 1))
    parent.until(FrameType.FAULT, 1)
    recognizer.fails = set()
    parent.send(opened(2), pack(FrameType.FINISH, 2))
    parent.until(FrameType.ENDED, 2)


def test_what_a_session_took_is_said_up_to_its_end(parent: Parent) -> None:
    parent.send(opened(1), pack(FrameType.AUDIO, 1, SECOND), pack(FrameType.FINISH, 1))
    seen = parent.until(FrameType.ENDED, 1)
    progress = [unpack_numbers(frame.payload, 2) for frame in seen if frame.type == FrameType.PROCESSED]
    processed, busy = zip(*progress, strict=True)
    assert processed[-1] == 1.0
    assert list(busy) == sorted(set(busy))
    # The commit took some time, too: it comes before the last of them.
    types = [frame.type for frame in seen]
    assert types.index(FrameType.RESULT) < len(types) - types[::-1].index(FrameType.PROCESSED) - 1
