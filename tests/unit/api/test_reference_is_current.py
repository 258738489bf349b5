"""The reference is what the CRD says."""

from __future__ import annotations

import runpy
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
CRD = yaml.safe_load((ROOT / "crds" / "transcriptiontasks.yaml").read_text(encoding="utf-8"))
GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate_reference.py"))


def test_reference_is_what_the_crd_says() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == GENERATOR["reference"](CRD), "run make docs"


def test_reference_has_a_row_for_each_field() -> None:
    properties = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    page = GENERATOR["reference"](CRD)
    for part in ("spec", "status"):
        paths = [row.path.removeprefix(f"{part}.") for row in GENERATOR["rows"](properties[part], part)]
        assert len(paths) > 20
        for path in paths:
            assert f"| `{path}` | " in page
