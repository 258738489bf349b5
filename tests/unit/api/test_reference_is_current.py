"""The tables of fields are those of the CRD."""

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


def test_readme_has_the_fields_of_the_crd(generator: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert generator.BEGIN in text
    assert text == generator.readme(text, CRD), "run make docs"


def test_reference_has_a_row_for_each_field(generator: ModuleType) -> None:
    properties = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    page = generator.reference(CRD)
    for part in ("spec", "status"):
        paths = [row.path.removeprefix(f"{part}.") for row in generator.rows(properties[part], part)]
        assert len(paths) > 20
        for path in paths:
            assert f"| `{path}` | " in page


def test_readme_block_is_replaced_and_the_rest_kept(generator: ModuleType) -> None:
    old = f"before\n{generator.BEGIN}\nold\n{generator.END}\nafter\n"
    new = generator.readme(old, CRD)
    assert new.startswith(f"before\n{generator.BEGIN}\n| field |")
    assert new.endswith(f"|\n{generator.END}\nafter\n")
    assert "old\n" not in new
    assert generator.readme(new, CRD) == new


def test_text_without_markers_is_left_alone(generator: ModuleType) -> None:
    assert generator.readme("nothing here\n", CRD) == "nothing here\n"
