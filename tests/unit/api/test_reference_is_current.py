"""The reference is what the CRD says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
CRD = yaml.safe_load((ROOT / "crds" / "transcriptiontasks.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_what_the_crd_says(generator: ModuleType) -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == generator.reference(CRD), "run make docs"


def test_reference_has_a_row_for_each_field(generator: ModuleType) -> None:
    properties = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    page = generator.reference(CRD)
    for part in ("spec", "status"):
        paths = [row.path.removeprefix(f"{part}.") for row in generator.rows(properties[part], part)]
        assert len(paths) > 20
        for path in paths:
            assert f"| `{path}` | " in page
