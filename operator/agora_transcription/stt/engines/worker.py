"""A worker process: recognizes the speech of the sessions that its parent opens, and ends when the parent does.

    python -m agora_transcription.stt.engines.worker ENGINE TIMESTAMPS DESCRIPTOR

It is a process of its own because the engines are native code, which may crash, hang or hold the interpreter's lock.
One thread does everything, for a second one would gain nothing on the core that the worker has: what has ended is
recognized before what is still being said, and the sessions take turns.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
import traceback
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agora_transcription.stt.engines.base import EngineFault
from agora_transcription.stt.engines.frames import (
    FrameReader,
    FrameType,
    pack,
    pack_numbers,
    pack_result,
    unpack_numbers,
)
from agora_transcription.stt.engines.recognizers import load
from agora_transcription.stt.engines.speech_stream import SpeechStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_transcription.stt.engines.base import Result
    from agora_transcription.stt.engines.frames import Frame
    from agora_transcription.stt.engines.recognizers import Recognizer

    Step = Callable[[SpeechStream], list[Result] | None]

__all__ = ["Worker", "main"]

READ_BYTES: Final = 1 << 18


class Worker:
    """Sessions, and whose turn it is.

    Args:
        recognizer: What they share.
        parent: The socket to the parent.
    """

    def __init__(self, recognizer: Recognizer, parent: socket.socket) -> None:
        self._recognizer = recognizer
        self._parent = parent
        self._reader = FrameReader()
        self._sessions: dict[int, SpeechStream] = {}
        self._turns: deque[int] = deque()

    def run(self) -> None:
        """Work until the parent is gone."""
        self._parent.sendall(pack(FrameType.READY))
        while self._read(wait=not any(session.busy for session in self._sessions.values())):
            for number in list(self._turns):
                self._work(number, SpeechStream.listen)
            if not self._one(SpeechStream.commit):
                self._one(SpeechStream.partial)

    def _read(self, *, wait: bool) -> bool:
        """Take what the parent has said; answers whether it is still there."""
        try:
            data = self._parent.recv(READ_BYTES, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        for frame in self._reader.feed(data):
            self._take(frame)
        return bool(data)

    def _take(self, frame: Frame) -> None:
        number = frame.session
        if frame.type == FrameType.PING:
            self._parent.sendall(pack(FrameType.PONG))
        elif frame.type == FrameType.OPEN:
            [rate] = unpack_numbers(frame.payload, 1)
            self._open(number, round(rate))
        elif session := self._sessions.get(number):
            if frame.type == FrameType.AUDIO:
                session.inbox.append(frame.payload)
            elif frame.type == FrameType.FINISH:
                session.inbox.append(None)
            else:
                self._forget(number)

    def _open(self, number: int, rate: int) -> None:
        try:
            self._sessions[number] = SpeechStream(self._recognizer, rate)
        except Exception as error:  # noqa: BLE001 - as in `_work`
            self._fail(number, error)
        else:
            self._turns.append(number)

    def _one(self, step: Step) -> bool:
        """Do a step of the first session that has it to do, which then is the last in line; answers whether one had."""
        served = next((number for number in list(self._turns) if self._work(number, step)), None)
        if served in self._sessions:
            self._turns.remove(served)
            self._turns.append(served)
        return served is not None

    def _work(self, number: int, step: Step) -> bool:
        """Do one step of a session and say what came of it; answers whether there was something to do."""
        session = self._sessions[number]
        began = time.monotonic()
        try:
            results = step(session)
        except Exception as error:  # noqa: BLE001 - whatever native code has thrown, the other sessions go on
            self._fail(number, error)
            self._forget(number)
            return True
        if results is None:
            return False
        session.busy_seconds += time.monotonic() - began
        for result in results:
            self._parent.sendall(pack_result(number, result))
        self._parent.sendall(pack_numbers(FrameType.PROCESSED, number, session.processed_seconds, session.busy_seconds))
        if session.ended:
            self._parent.sendall(pack(FrameType.ENDED, number))
            self._forget(number)
        return True

    def _fail(self, number: int, error: Exception) -> None:
        self._log(error)
        self._parent.sendall(pack(FrameType.FAULT, number, b"the engine failed"))

    def _forget(self, number: int) -> None:
        self._turns.remove(number)
        try:
            self._sessions.pop(number).close()
        except Exception as error:  # noqa: BLE001 - as in `_work`: what has failed may fail again here
            self._log(error)

    def _log(self, error: Exception) -> None:
        self._parent.sendall(pack(FrameType.LOG, payload=_place(error).encode()))


def _place(error: BaseException) -> str:
    """What was thrown and where, without its message: that may have a text in it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"a session cannot go on: {type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"


def main(arguments: list[str]) -> None:
    """Load the models, say so, and work.

    Args:
        arguments: The engine's name, `words` or `none`, and the number of the socket to the parent.
    """
    engine, timestamps, descriptor = arguments
    with socket.socket(fileno=int(descriptor)) as parent:
        try:
            recognizer = load(engine, timestamps=timestamps == "words")
        except EngineFault as fault:
            parent.sendall(pack(FrameType.FAULT, payload=str(fault).encode()))
            return
        # Broken or reset: the parent is gone, which is the way to end.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            Worker(recognizer, parent).run()


if __name__ == "__main__":
    main(sys.argv[1:])
