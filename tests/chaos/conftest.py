"""Collects the results of the matrix and prints them as the tables that they are."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

from chaos import tables
from support import pages

if TYPE_CHECKING:
    import pytest

PLAYED = re.compile(r"test_(?:killed_once_for_each_cell|fault)\[(.*)\]$")

results: dict[str, bool] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--guarantees", metavar="FILE", type=Path, help="write the tables of a whole run into this page")
    parser.addoption("--minutes", metavar="N", type=float, default=20.0, help="how long the soak kills")
    seed = str(random.randrange(10**6))  # noqa: S311 - no secret
    parser.addoption("--seed", default=seed, help="of the soak; one that it has printed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    found = PLAYED.search(report.nodeid)
    if found and (report.when == "call" or report.failed):
        results[found[1]] = report.passed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    page: Path | None = config.getoption("--guarantees", default=None)
    if page is None:
        return
    for line in (tables.crash_matrix(results), tables.crashes_in_a_line(results), tables.faults_in_a_line(results)):
        terminalreporter.write_line(line)
    pages.write(page, tables.contents(results))
    terminalreporter.write_line(f"written to {page}")
