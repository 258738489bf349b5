"""Collects the results of the matrix and prints them as the tables that they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from chaos import tables

if TYPE_CHECKING:
    import pytest

CELL = re.compile(r"test_killed_once_for_each_cell\[(.*)\]$")

results: dict[str, bool] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--guarantees", metavar="FILE", type=Path, help="write the tables of a whole run into this page")
    parser.addoption("--minutes", metavar="N", type=float, default=20.0, help="how long the soak lasts")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    found = CELL.search(report.nodeid)
    if found and (report.when == "call" or report.failed):
        results[found[1]] = report.passed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not results:
        return
    terminalreporter.section("the crash matrix")
    terminalreporter.write_line(tables.crash_matrix(results))
    terminalreporter.write_line(tables.summary(results))
    page: Path | None = config.getoption("--guarantees", default=None)
    if page is not None:
        tables.write(page, {tables.CRASHES: f"{tables.summary(results)}\n\n{tables.crash_matrix(results)}"})
        terminalreporter.write_line(f"written to {page}")
