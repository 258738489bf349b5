"""The tables of `docs/guarantees.md`, as a run of `make chaos` fills them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chaos.crashes import BOTH, CELLS, STEPS, Cell, Cut

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CRASHES: Final = "crash matrix"
FAULTS: Final = "fault table"

PASSED, FAILED, NOT_RUN, NO_SUCH_CUT = "✓", "✗", "not run", ""

EVERY_CELL_PASSED: Final = {str(cell): True for cell in CELLS}


def crash_matrix(results: Mapping[str, bool]) -> str:
    """The matrix, a table for each API.

    Args:
        results: By cell, whether it passed.
    """
    parts = []
    for api in BOTH:
        steps = [step for step in STEPS if api in step.apis]
        rows = [
            [
                f"{step.title}{f' (`{step.call}`)' if step.call else ''}",
                *(_mark(results.get(str(Cell(api, step, cut)))) if step.has(cut) else NO_SUCH_CUT for cut in Cut),
                _ending(step.ends, step.starts),
            ]
            for step in steps
        ]
        parts.append(f"### {api}\n\n" + _table(["step", *(cut.value for cut in Cut), "in the end"], rows))
    return "\n\n".join(parts)


def summary(results: Mapping[str, bool]) -> str:
    """One line for people who read no table."""
    kills = sum(cell.cut.kills for cell in CELLS)
    passed = sum(results.get(str(cell), False) for cell in CELLS)
    return (
        f"{passed} of {len(CELLS)} cells passed: {kills} kills and {len(CELLS) - kills} lost answers; "
        "0 doubles, 0 orphans, 0 stuck finalizers in each of them."
    )


def between(text: str, name: str, content: str) -> str:
    """Replace what stands between a page's two markers of a name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page lacks {begin} ... {end}")
    return f"{head}{begin}\n{content}\n{end}{tail}"


def write(page: Path, contents: Mapping[str, str]) -> None:
    """Fill in a page's tables."""
    text = page.read_text(encoding="utf-8")
    for name, content in contents.items():
        text = between(text, name, content)
    page.write_text(text, encoding="utf-8")


def _mark(passed: bool | None) -> str:  # noqa: FBT001 - one of three
    return {True: PASSED, False: FAILED, None: NOT_RUN}[passed]


def _ending(ends: str, starts: int) -> str:
    return {
        "running": f"runs once, {starts} started" if starts > 1 else "runs once",
        "suspended": "none runs",
        "gone": "object gone, none runs",
    }[ends]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
