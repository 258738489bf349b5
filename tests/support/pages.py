"""Parts of pages that a run writes: each stands between two markers of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def inside(page: str, name: str) -> str:
    """What stands between a page's two markers of a name."""
    return _parts(page, name)[1].strip("\n")


def write(page: Path, contents: Mapping[str, str]) -> None:
    """Fill in parts of a page."""
    text = page.read_text(encoding="utf-8")
    for name, content in contents.items():
        head, _, tail = _parts(text, name)
        text = f"{head}\n\n{content}\n\n{tail}"
    page.write_text(text, encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _parts(page: str, name: str) -> tuple[str, str, str]:
    """The text up to a marker, between the two, and from the second on."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, found, rest = page.partition(begin)
    middle, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page lacks {begin} ... {end}")
    return head + begin, middle, end + tail
