"""Helm finds nothing wrong with the chart, both versions render the same, and the chart's own tests pass."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import tools
from support.helm import CHART, VERSIONS, HelmError, ci_values, helm, template

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", ci_values().values(), ids=ci_values())
def test_helm_finds_nothing_to_complain_about(version: str, values: list[str]) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm(version, "lint", "--strict", CHART, *values)


@pytest.mark.parametrize("values", ci_values().values(), ids=ci_values())
def test_both_versions_of_helm_render_the_same(values: list[str]) -> None:
    assert template(*values, version="helm3") == template(*values, version="helm4")


def test_unit_tests_of_the_chart_pass(tmp_path: Path) -> None:
    copy = shutil.copytree(CHART, tmp_path / "chart")  # it makes a folder for snapshots beside its tests
    done = subprocess.run([tools.find("helm-unittest"), "--strict", copy], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    suites = sorted(path.name for path in (CHART / "tests").glob("*_test.yaml"))
    assert suites
    assert all(f"tests/{suite}" in done.stdout for suite in suites)


def test_package_has_what_is_rendered_and_no_tests(tmp_path: Path) -> None:
    helm("helm4", "package", CHART, f"--destination={tmp_path}")
    [package] = tmp_path.glob("*.tgz")
    shutil.unpack_archive(package, tmp_path)
    unpacked = tmp_path / "agora-transcription"
    assert {path.name for path in unpacked.iterdir()} == {
        "Chart.yaml", "README.md", "files", "templates", "values.schema.json", "values.yaml", ".helmignore"
    }  # fmt: skip


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with pytest.raises(HelmError, match=re.escape("chart requires kubeVersion: >=1.32.0-0")):
        helm("helm4", "template", CHART, "--kube-version=1.31.9")
    assert template("--kube-version=1.32.0-eks-1")
