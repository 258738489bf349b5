"""Keeps in the user's cache what takes minutes to get: whole or not at all, and got once by several who need it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["appearing", "cache_directory", "locked"]

_PARTIAL = "partial-"
"""How the folders begin in which something comes into being."""


def cache_directory(kind: str) -> Path:
    """Where things of a kind are kept: `agora-transcription/KIND` under XDG_CACHE_HOME, by default `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agora-transcription" / kind


@contextmanager
def locked(directory: Path, what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder's lock, which the kernel gives back however its holder ends; what a killed one left is removed.

    Args:
        directory: is made if it is not there.
        what: what another process may be getting, in the line that says so.
        say: takes that line.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another process is getting {what}; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for abandoned in directory.glob(f"{_PARTIAL}*"):
            shutil.rmtree(abandoned)
        yield


@contextmanager
def appearing(directory: Path) -> Iterator[Path]:
    """A folder beside this one that takes its place when the block ends well, and goes when it does not."""
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=directory.parent) as parent:
        partial = Path(parent) / directory.name
        partial.mkdir()
        yield partial
        if partial.exists():
            shutil.rmtree(directory, ignore_errors=True)
            partial.rename(directory)
