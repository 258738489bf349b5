"""Helm 3 and Helm 4 install, upgrade and uninstall the chart on a real API server, and the tasks stay.

No Pod runs here, as there is no node; `make e2e` has those.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from agora_transcription import __version__
from agora_transcription.local.admission import NO_SCHEMA_YET
from agora_transcription.local.cluster import KubectlError
from agora_transcription.local.controlplane import ControlPlane
from support.helm import CHART, NAME, ROOT, VERSIONS, HelmError, helm
from support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.kube import Body

CRD = "crd/transcriptiontasks.transcription.dev"
DEPLOYMENT = "deployment/agora-transcription-operator"
ROLE = "clusterrole/agora-transcription-operator"
POLICY = "mutatingadmissionpolicy/agora-transcription-finalizer.agora-transcription"
CRDS = f"--filename={ROOT / 'crds'}"
INSTALL = f"--filename={ROOT / 'deploy' / 'install.yaml'}"
SAMPLE = f"--filename={ROOT / 'deploy' / 'samples' / 'transcriptiontask.yaml'}"

TAKE_OVER = {"helm3": ["--take-ownership"], "helm4": ["--take-ownership", "--server-side=false"]}
"""As docs/upgrading.md has it."""

THIS = ("--log-level", "delete", "taskId")
ANOTHER = ("--formerly", "update", "formerId")
"""What only this version of the chart has, and only the other: an argument, a verb of the role, a field of the CRD."""


class Releases:
    """One version of Helm, and what it has made."""

    def __init__(self, cluster: ControlPlane, version: str, home: Path) -> None:
        self.cluster = cluster
        self.version = version
        # Of its own, with the discovery of this API server: ports are used again.
        self._environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(cluster.kubeconfig)}
        for kind in ("CACHE", "CONFIG", "DATA"):
            self._environment[f"HELM_{kind}_HOME"] = str(home / kind.lower())

    def helm(self, *arguments: str | Path) -> str:
        return helm(self.version, *arguments, f"--namespace={NAME}", environment=self._environment)

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(*arguments, f"--namespace={NAME}")

    def get(self, what: str) -> Body:
        found: Body = json.loads(self.kubectl("get", what, "-ojson"))
        return found

    def start(self) -> None:
        """A task is there."""
        self.kubectl("wait", "--for=condition=Established", CRD, "--timeout=30s")
        wait_until(self._takes_a_task)

    def _takes_a_task(self) -> bool:
        try:
            self.kubectl("apply", SAMPLE)
        except KubectlError as error:
            if NO_SCHEMA_YET in error.stderr:
                return False
            raise
        return True

    def uids(self) -> list[str]:
        """Of what must live on, whatever Helm does."""
        return [self.get(what)["metadata"]["uid"] for what in (CRD, "ttask/standup")]

    def has(self, *marks: str) -> bool:
        """Whether it is the version with these, and not the one with the others."""
        return self._marks() == set(marks)

    def _marks(self) -> set[str]:
        [schema] = [version["schema"]["openAPIV3Schema"] for version in self.get(CRD)["spec"]["versions"]]
        [container] = self.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
        arguments = {argument.partition("=")[0] for argument in container["args"]}
        verbs = {verb for rule in self.get(ROLE)["rules"] for verb in rule["verbs"]}
        return (arguments | verbs | set(schema["properties"]["status"]["properties"])) & {*THIS, *ANOTHER}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """One of its own: here the CRD comes and goes."""
    with ControlPlane() as started:
        started.kubectl("create", "namespace", NAME)
        started.kubectl("label", "namespace", NAME, "pod-security.kubernetes.io/enforce=restricted")
        yield started


@pytest.fixture(params=VERSIONS)
def releases(cluster: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Releases]:
    made = Releases(cluster, request.param, tmp_path)
    yield made
    made.helm("uninstall", NAME, "--ignore-not-found")
    # No operator runs here that would take the finalizer away.
    for task in made.kubectl("get", "ttask", "-oname").split():
        made.kubectl("patch", task, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
    cluster.kubectl("delete", CRD, "--ignore-not-found")


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """The chart as an earlier or later version might be."""
    chart = shutil.copytree(CHART, tmp_path / "another")
    for file, this, other in (
        ("Chart.yaml", __version__, "0.0.9"),
        ("templates/operator-deployment.yaml", "--log-level={{ .logLevel }}", "--formerly=known"),
        ("templates/_helpers.tpl", "patch, delete]", "patch, update]"),
        ("templates/crd.yaml", "\n                taskId:\n", "\n                formerId:\n"),
    ):
        text = (chart / file).read_text()
        assert this in text
        (chart / file).write_text(text.replace(this, other))
    return chart


def test_a_release_is_installed_upgraded_and_uninstalled_and_the_tasks_stay(releases: Releases, another: Path) -> None:
    said = releases.helm("install", NAME, another)
    assert f"rollout status {DEPLOYMENT}" in said
    assert "WARNING" not in said
    releases.start()
    before = releases.uids()
    assert releases.get(POLICY)
    deployment = releases.get(DEPLOYMENT)["metadata"]["uid"]
    assert releases.has(*ANOTHER)

    releases.helm("upgrade", NAME, CHART)
    assert releases.has(*THIS)
    generation = releases.get(DEPLOYMENT)["metadata"]["generation"]
    releases.helm("upgrade", NAME, CHART)
    assert releases.get(DEPLOYMENT)["metadata"]["generation"] == generation, "without a change nothing is replaced"
    releases.helm("rollback", NAME, "1")
    assert releases.has(*ANOTHER)
    assert releases.get(DEPLOYMENT)["metadata"]["uid"] == deployment

    said = releases.helm("uninstall", NAME)
    assert "kept due to the resource policy" in said
    assert "transcriptiontasks.transcription.dev" in said
    assert "deletionTimestamp" not in releases.get(CRD)["metadata"]
    policies = "mutatingadmissionpolicy,mutatingadmissionpolicybinding"
    left = releases.kubectl(
        "get", f"all,sa,role,rolebinding,clusterrole,clusterrolebinding,{policies}", "-oname",
        f"--selector=app.kubernetes.io/instance={NAME},helm.sh/chart",
    )  # fmt: skip
    assert left == ""

    releases.helm("install", NAME, CHART)
    assert releases.has(*THIS)
    assert releases.uids() == before


def test_what_kubectl_has_installed_is_taken_over_and_upgraded_ever_after(releases: Releases, another: Path) -> None:
    releases.cluster.kubectl("apply", "--server-side", INSTALL)
    releases.start()
    before = [*releases.uids(), releases.get(DEPLOYMENT)["metadata"]["uid"]]
    with pytest.raises(HelmError, match="cannot be imported into the current release"):
        releases.helm("install", NAME, CHART)

    # With a difference at once, or the first version to differ would be the first that shows a conflict.
    releases.helm("install", NAME, CHART, "--set=operator.workers=7", *TAKE_OVER[releases.version])
    releases.helm("upgrade", NAME, another)
    assert releases.has(*ANOTHER)
    releases.helm("upgrade", NAME, CHART, "--set=operator.replicas=2")
    assert releases.has(*THIS)
    releases.helm("rollback", NAME, "2")
    assert releases.has(*ANOTHER)
    assert [*releases.uids(), releases.get(DEPLOYMENT)["metadata"]["uid"]] == before


@pytest.mark.parametrize("releases", ["helm4"], indirect=True)
def test_a_takeover_that_has_failed_is_tried_again(releases: Releases, another: Path) -> None:
    releases.cluster.kubectl("apply", "--server-side", INSTALL)
    changed = "--set=operator.workers=7"
    with pytest.raises(HelmError, match='conflict with "kubectl"'):
        releases.helm("install", NAME, CHART, changed, "--take-ownership")
    releases.helm("upgrade", "--install", NAME, CHART, changed, *TAKE_OVER[releases.version])
    releases.helm("upgrade", NAME, another)
    assert releases.has(*ANOTHER)


def test_a_crd_that_kubectl_has_applied_is_taken_over_and_upgraded(releases: Releases, another: Path) -> None:
    releases.cluster.kubectl("apply", CRDS)
    releases.start()
    before = releases.uids()
    releases.helm("install", NAME, another, *TAKE_OVER[releases.version])
    assert releases.has(*ANOTHER)
    releases.helm("upgrade", NAME, CHART)
    assert releases.has(*THIS)
    assert releases.uids() == before


def test_a_crd_that_helm_has_installed_is_left_to_kubectl(releases: Releases, another: Path) -> None:
    releases.helm("install", NAME, another)
    releases.start()
    before = releases.uids()
    said = releases.helm("upgrade", NAME, CHART, "--set=crds.enabled=false")
    assert "WARNING" not in said
    with pytest.raises(KubectlError, match="conflict"):
        releases.cluster.kubectl("apply", "--server-side", CRDS)
    releases.cluster.kubectl("apply", "--server-side", "--force-conflicts", CRDS)
    assert releases.has(*THIS)
    assert releases.uids() == before
