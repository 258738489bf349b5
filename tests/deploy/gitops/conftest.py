"""The option that writes the test data of Argo CD's health check."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-testdata", action="store_true", help="write health.lua's test data from live objects")
