"""The published tables say what a run has shown, and no more."""

from __future__ import annotations

from chaos import tables
from chaos.crashes import CELLS
from chaos.fault_cases import CASES


def test_nothing_is_claimed_of_a_run_in_which_a_cell_failed() -> None:
    results = {**tables.EVERYTHING_PASSED, str(CELLS[3]): False}
    line = tables.crashes_in_a_line(results)
    assert line.startswith(f"{len(CELLS) - 1} of {len(CELLS)} cells passed")
    assert "0 doubles" not in line
    assert tables.crash_matrix(results).count(tables.FAILED) == 1


def test_a_cell_that_was_not_played_has_not_passed() -> None:
    results = {cell: passed for cell, passed in tables.EVERYTHING_PASSED.items() if cell != str(CELLS[3])}
    assert "0 doubles" not in tables.crashes_in_a_line(results)
    assert tables.crash_matrix(results).count(tables.NOT_RUN) == 1


def test_a_case_that_failed_is_named() -> None:
    results = {**tables.EVERYTHING_PASSED, str(CASES[5]): False}
    line = tables.faults_in_a_line(results)
    assert str(CASES[5]) in line
    assert "0 doubles" not in line


def test_no_two_cells_or_cases_have_one_name() -> None:
    assert len(tables.EVERYTHING_PASSED) == len(CELLS) + len(CASES)
