"""Helm 3 and Helm 4 install, upgrade and uninstall the chart on the real API server, and the tasks stay.

No Pod runs here, as there is no node; `make e2e` has those.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription import __version__
from support.helm import CHART, ROOT, VERSIONS, HelmError, helm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

Body = dict[str, Any]

CRD = "crd/transcriptiontasks.transcription.dev"
NAME = "tested"  # not the usual one: its cluster-wide roles are other tests'
DEPLOYMENT = "deployment/tested-agora-transcription-operator"


class Releases:
    """One version of Helm on the cluster, in a namespace."""

    def __init__(self, control_plane: ControlPlane, namespace: str, version: str, home: Path) -> None:
        self.control_plane = control_plane
        self.namespace = namespace
        self._version = version
        # Of its own, with the discovery of this API server: ports are used again.
        self._environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(control_plane.kubeconfig)}
        for kind in ("CACHE", "CONFIG", "DATA"):
            self._environment[f"HELM_{kind}_HOME"] = str(home / kind.lower())

    def helm(self, *arguments: str | Path) -> str:
        return helm(self._version, *arguments, f"--namespace={self.namespace}", environment=self._environment)

    def get(self, what: str) -> Body:
        found: Body = json.loads(self.control_plane.kubectl("get", what, f"--namespace={self.namespace}", "-ojson"))
        return found


@pytest.fixture(params=VERSIONS)
def releases(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Releases]:
    control_plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    made = Releases(control_plane, namespace, request.param, tmp_path)
    yield made
    made.helm("uninstall", NAME, "--ignore-not-found")


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The chart as it might have been: an earlier version, without one setting."""
    chart = shutil.copytree(CHART, tmp_path / "previous")
    manifest = chart / "Chart.yaml"
    manifest.write_text(re.sub(r"^(version|appVersion): .*$", r"\1: 0.0.9", manifest.read_text(), flags=re.MULTILINE))
    template = chart / "templates" / "operator-deployment.yaml"
    lines = [line for line in template.read_text().splitlines() if "--log-level" not in line]
    template.write_text("\n".join(lines))
    return chart


def test_a_release_is_installed_upgraded_and_uninstalled_and_the_tasks_stay(releases: Releases, previous: Path) -> None:
    # The suite has applied the CRD with kubectl.
    said = releases.helm("install", NAME, previous, "--take-ownership")
    assert f"rollout status {DEPLOYMENT}" in said
    assert "WARNING" not in said
    releases.control_plane.kubectl(
        "apply",
        f"--namespace={releases.namespace}",
        f"--filename={ROOT / 'deploy' / 'samples' / 'transcriptiontask.yaml'}",
    )
    crd, deployment, task = (releases.get(what) for what in (CRD, DEPLOYMENT, "ttask/standup"))
    assert crd["metadata"]["labels"]["app.kubernetes.io/version"] == "0.0.9"

    releases.helm("upgrade", NAME, CHART)
    assert releases.get(CRD)["metadata"]["uid"] == crd["metadata"]["uid"]
    assert releases.get(CRD)["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
    assert releases.get("ttask/standup")["metadata"]["uid"] == task["metadata"]["uid"]
    upgraded = releases.get(DEPLOYMENT)
    assert upgraded["metadata"]["uid"] == deployment["metadata"]["uid"]
    assert "--log-level=info" in upgraded["spec"]["template"]["spec"]["containers"][0]["args"]

    releases.helm("rollback", NAME, "1")
    args = releases.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--log-level=info" not in args

    said = releases.helm("uninstall", NAME)
    assert "kept due to the resource policy" in said
    assert "transcriptiontasks.transcription.dev" in said
    assert releases.get(CRD)["metadata"]["uid"] == crd["metadata"]["uid"]
    assert "deletionTimestamp" not in releases.get(CRD)["metadata"]
    assert releases.get("ttask/standup")["metadata"]["uid"] == task["metadata"]["uid"]
    left = releases.control_plane.kubectl(
        "get", "all,sa,role,rolebinding,clusterrole,clusterrolebinding", "-oname",
        f"--namespace={releases.namespace}", f"--selector=app.kubernetes.io/instance={NAME},helm.sh/chart",
    )  # fmt: skip
    assert left == ""

    releases.helm("install", NAME, CHART)
    assert releases.get(CRD)["metadata"]["uid"] == crd["metadata"]["uid"]


def test_an_upgrade_without_a_change_changes_nothing(releases: Releases) -> None:
    releases.helm("install", NAME, CHART, "--take-ownership")
    before = releases.get(DEPLOYMENT)["metadata"]["generation"]
    releases.helm("upgrade", NAME, CHART)
    assert releases.get(DEPLOYMENT)["metadata"]["generation"] == before


def test_a_crd_of_somebody_else_is_not_taken_without_being_asked_to(releases: Releases) -> None:
    releases.control_plane.kubectl("annotate", CRD, "meta.helm.sh/release-name=another", "--overwrite")
    with pytest.raises(HelmError, match="cannot be imported into the current release"):
        releases.helm("install", NAME, CHART)
    said = releases.helm("install", NAME, CHART, "--set=crds.enabled=false")
    assert "WARNING" not in said
