"""Keys in files, one in each line. They are read for each call: a mounted Secret that changes counts at once.

Errors name the file and what is wrong with it, never its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MIN_API_KEY", "FileProblem", "key_of", "keys_in", "text_in"]

MIN_API_KEY: Final = 16
"""Characters of a caller's key."""


class FileProblem(Exception):
    """A file is not there, or cannot be what it should."""


def keys_in(path: Path, shortest: int = MIN_API_KEY) -> tuple[str, ...]:
    """Read keys.

    Args:
        path: Of the file.
        shortest: How many characters a key has at least.

    Raises:
        FileProblem: It has no keys, or not only such.
    """
    lines = tuple(line.strip() for line in text_in(path).splitlines() if line.strip())
    if not lines or not all(len(line) >= shortest and line.isascii() for line in lines):
        raise FileProblem(f"{path} must have a key of {shortest} or more ASCII characters in each line")
    return lines


def text_in(path: Path) -> str:
    """Read a file, without the blanks around its text.

    Raises:
        FileProblem: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FileProblem(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None


def key_of(headers: Mapping[str, str]) -> str:
    """The key that a call has, of its headers in lower case: `Authorization: Bearer KEY` or `x-api-key: KEY`."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
