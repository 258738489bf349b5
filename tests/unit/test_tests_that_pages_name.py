"""The threat model and the guarantees name only tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    {
        named
        for page in ("threat-model", "guarantees")
        for named in re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", (ROOT / "docs" / f"{page}.md").read_text())
    }
)


def test_tests_are_named() -> None:
    assert len(NAMED) >= 60


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_exists(file: str, test: str) -> None:
    path = ROOT / file
    assert path.exists(), file
    if test:
        assert re.search(rf"^(?:async )?def {test}\(", path.read_text(), re.MULTILINE), f"{file}::{test}"
