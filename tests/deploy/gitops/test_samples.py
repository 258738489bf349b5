"""The samples for Argo CD and Flux: as their CRDs want them, and about the chart that there is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agora_transcription.local.cluster import KubectlError
from support import tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.controlplane import ControlPlane

DEPLOY = Path(__file__).parents[3] / "deploy"

CRDS = {
    "github.com/argoproj/argo-cd/v3@v3.2.6": "manifests/crds/application-crd.yaml",
    "github.com/fluxcd/kustomize-controller@v1.9.6": "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    "github.com/fluxcd/helm-controller@v1.6.3": "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
    "github.com/fluxcd/source-controller@v1.9.6": "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
}
"""Where the CRDs are in which Go module: the projects' own, as they were released."""


def read(folder: str) -> list[Any]:
    """All objects that stand below a folder of deploy/, each with a name for the test."""
    return [
        pytest.param(sample, id=f"{path.relative_to(DEPLOY)}: {sample['kind']} {sample['metadata']['name']}")
        for path in sorted((DEPLOY / folder).rglob("*.yaml"))
        if "health" not in path.parts and path.name not in {"argocd-cm.yaml", "kustomization.yaml"}
        for sample in yaml.safe_load_all(path.read_text())
    ]


SAMPLES = read("argocd") + read("flux")


def one(kind: str, name: str) -> Any:
    [found] = [
        sample
        for (sample,) in (parameter.values for parameter in SAMPLES)
        if (sample["kind"], sample["metadata"]["name"]) == (kind, name)
    ]
    return found


@pytest.fixture(scope="module")
def crds(control_plane: ControlPlane) -> Iterator[None]:
    files = [f"--filename={tools.module(module) / path}" for module, path in CRDS.items()]
    control_plane.kubectl("apply", "--server-side", *files)
    established = "jsonpath={.status.conditions[?(@.type=='Established')].status}=True"
    control_plane.kubectl("wait", f"--for={established}", *files, "--timeout=30s")
    yield
    control_plane.kubectl("delete", "--wait=false", *files)


def try_out(sample: dict[str, Any], control_plane: ControlPlane, namespace: str) -> None:
    """Have the API server check it, unknown fields included, in a namespace that there is."""
    tried = copy.deepcopy(sample)
    if sample["kind"] != "Namespace":
        tried["metadata"]["namespace"] = namespace
    control_plane.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(tried)
    )


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("sample", SAMPLES)
def test_the_api_server_accepts_it(control_plane: ControlPlane, module_namespace: str, sample: dict[str, Any]) -> None:
    try_out(sample, control_plane, module_namespace)


@pytest.mark.usefixtures("crds")
def test_a_slip_in_one_would_be_refused(control_plane: ControlPlane, module_namespace: str) -> None:
    sample = one("Kustomization", "transcription-tasks")
    slip = {**sample, "spec": {**sample["spec"], "retryIntervall": "1m"}}
    with pytest.raises(KubectlError, match=r"retryIntervall"):
        try_out(slip, control_plane, module_namespace)


def test_what_flux_is_to_apply_is_all_of_the_folder(control_plane: ControlPlane) -> None:
    folder = DEPLOY / "flux" / "operator"
    built = list(yaml.safe_load_all(control_plane.kubectl("kustomize", str(folder))))
    assert sorted(made["kind"] for made in built) == ["HelmRelease", "Namespace", "OCIRepository"]


def test_when_both_kustomizations_go_at_once_the_operator_stays_and_the_tasks_are_waited_for() -> None:
    names = ("transcription-operator", "transcription-tasks")
    policies = [one("Kustomization", name)["spec"]["deletionPolicy"] for name in names]
    assert policies == ["Orphan", "WaitForTermination"]


def test_both_install_the_chart_from_where_it_is_published() -> None:
    chart = yaml.safe_load((DEPLOY / "chart" / "Chart.yaml").read_text())
    by_argo = one("Application", "transcription-operator")["spec"]
    by_flux = one("OCIRepository", "agora-transcription")["spec"]
    release = one("HelmRelease", "agora-transcription")
    assert by_argo["source"]["chart"] == chart["name"]
    assert by_flux["url"] == f"oci://{by_argo['source']['repoURL']}/{chart['name']}"
    assert by_argo["source"]["helm"]["releaseName"] == release["spec"]["releaseName"]
    assert by_argo["destination"]["namespace"] == release["metadata"]["namespace"]
