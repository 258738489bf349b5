"""The tables of `docs/guarantees.md`, as a run of `make chaos` fills them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chaos.crashes import BOTH, CELLS, STEPS, Cell, Cut
from chaos.fault_cases import CASES, fault_table_markdown
from support.pages import table

if TYPE_CHECKING:
    from collections.abc import Mapping

CRASHES: Final = "crash matrix"
FAULTS: Final = "fault table"

PASSED, FAILED, NOT_RUN, NO_SUCH_CUT = "✓", "✗", "not run", ""

EVERYTHING_PASSED: Final = {str(played): True for played in (*CELLS, *CASES)}
"""What a run without a failure answers."""


def contents(results: Mapping[str, bool]) -> dict[str, str]:
    """What stands between the markers of a page that has both tables."""
    return {
        CRASHES: f"{crashes_in_a_line(results)}\n\n{crash_matrix(results)}",
        FAULTS: f"{faults_in_a_line(results)}\n\n{fault_table_markdown().rstrip()}",
    }


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
        parts.append(f"### {api}\n\n" + table(["step", *(cut.value for cut in Cut), "in the end"], rows))
    return "\n\n".join(parts)


def crashes_in_a_line(results: Mapping[str, bool]) -> str:
    """How many cells passed."""
    kills = sum(cell.cut.kills for cell in CELLS)
    passed = sum(results.get(str(cell), False) for cell in CELLS)
    found = "0 doubles, 0 orphans, 0 stuck finalizers" if passed == len(CELLS) else f"{FAILED} the others failed"
    return f"{passed} of {len(CELLS)} cells passed ({kills} kills, {len(CELLS) - kills} lost answers): {found}."


def faults_in_a_line(results: Mapping[str, bool]) -> str:
    """How many cases passed, and which did not."""
    failed = [case for case in CASES if not results.get(str(case))]
    found = "0 doubles, 0 orphans" if not failed else f"{FAILED} " + "; ".join(map(str, failed))
    return f"{len(CASES) - len(failed)} of {len(CASES)} cases passed: {found}."


def _mark(passed: bool | None) -> str:  # noqa: FBT001 - one of three
    return {True: PASSED, False: FAILED, None: NOT_RUN}[passed]


def _ending(ends: str, starts: int) -> str:
    return {
        "running": f"runs once, {starts} started" if starts > 1 else "runs once",
        "suspended": "none runs",
        "gone": "object gone, none runs",
    }[ends]
