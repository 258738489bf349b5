"""What is made from the chart is as `make manifests` would make it, and is the same as what Helm installs."""

from __future__ import annotations

import importlib.util
import os
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from support.helm import CHART, ROOT, one, template

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

KUSTOMIZE = ROOT / "deploy" / "kustomize"
INSTALL = ROOT / "docs" / "install.md"
ONLY_FOR_HELM = {"helm.sh/chart", "app.kubernetes.io/managed-by"}


@pytest.fixture(scope="module")
def render() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", ROOT / "deploy" / "render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_are_as_they_would_be_made(render: ModuleType) -> None:
    assert (CHART / "templates" / "crd.yaml").read_text() == render.crd_template(), "run make manifests"
    for path, text in render.rendered().items():
        assert path.read_text() == text, f"{path.relative_to(ROOT)}: run make manifests"


def test_chart_has_the_crd() -> None:
    source: Body = yaml.safe_load((ROOT / "crds" / "transcriptiontasks.yaml").read_text())
    assert one(template(), "CustomResourceDefinition")["spec"] == source["spec"]


def test_readme_says_what_each_value_does() -> None:
    rows = [line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 60
    assert [row for row in rows if row.endswith("|  |")] == []


def test_kustomize_builds_what_helm_installs(control_plane: ControlPlane) -> None:
    built = objects(control_plane.kubectl("kustomize", str(KUSTOMIZE / "default")))
    namespace = built.pop("Namespace//agora-transcription")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert built == without_helm(template("--set=crds.keep=false", kubernetes="1.35.0"))

    policy = objects(control_plane.kubectl("kustomize", str(KUSTOMIZE / "admission")))
    assert len(policy) == 2
    assert built | policy == without_helm(template("--set=crds.keep=false"))


def test_namespaced_is_what_helm_installs_for_its_own_namespace(control_plane: ControlPlane) -> None:
    built = objects(control_plane.kubectl("kustomize", str(KUSTOMIZE / "namespaced")))
    own = (
        "--set=crds.enabled=false,rbac.aggregateClusterRoles=false",
        "--set=operator.watchNamespaces={agora-transcription},operator.admissionPolicy.enabled=false",
    )
    assert built == without_helm(template(*own))


def test_install_yaml_is_the_default_of_kustomize(control_plane: ControlPlane) -> None:
    everything = objects((ROOT / "deploy" / "install.yaml").read_text())
    assert everything == objects(control_plane.kubectl("kustomize", str(KUSTOMIZE / "default")))


def test_cluster_has_what_namespaced_leaves_to_others(control_plane: ControlPlane) -> None:
    built = objects(control_plane.kubectl("kustomize", str(KUSTOMIZE / "cluster")))
    assert built == without_helm(template("--set=crds.keep=false,operator.enabled=false"))


def test_namespaced_has_nothing_of_the_cluster_and_moves_to_another_namespace(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """By the overlay of docs/install.md. A namespace in it would get a new name, and `delete -k` would take it away."""
    [text] = re.findall(r"^```yaml\n(apiVersion: kustomize.*?)^```", INSTALL.read_text(), re.MULTILINE | re.DOTALL)
    overlay: Body = yaml.safe_load(text)
    overlay["resources"] = [os.path.relpath(KUSTOMIZE / "namespaced", tmp_path)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    built = list(objects(control_plane.kubectl("kustomize", str(tmp_path))).values())

    # kustomize puts the namespace into what has one, and into nothing else.
    assert {body["metadata"].get("namespace") for body in built} == {"team-a"}
    assert {body["kind"] for body in built} == {"Deployment", "Role", "RoleBinding", "Service", "ServiceAccount"}
    assert "namespace: agora-transcription" not in yaml.safe_dump_all(built)
    [container] = one(built, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/agora-transcription:mine"
    assert "--namespace=$(POD_NAMESPACE)" in container["args"]
    assert container["args"][-1] == "--log-level=debug"


@pytest.mark.usefixtures("operator_kubeconfig")  # which makes the namespace, that a dry run does not make
def test_api_server_takes_install_yaml(control_plane: ControlPlane) -> None:
    options = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    applied = control_plane.kubectl("apply", *options, f"--filename={ROOT / 'deploy' / 'install.yaml'}")
    assert "deployment.apps/agora-transcription-operator serverside-applied (server dry run)" in applied
    assert "customresourcedefinition.apiextensions.k8s.io/transcriptiontasks.transcription.dev " in applied


def objects(text: str) -> dict[str, Body]:
    found: dict[str, Body] = {}
    for body in yaml.safe_load_all(text):
        key = f"{body['kind']}/{body['metadata'].get('namespace', '')}/{body['metadata']['name']}"
        assert key not in found
        found[key] = body
    return found


def without_helm(rendered: list[Body]) -> dict[str, Body]:
    for body in rendered:
        for label in ONLY_FOR_HELM:
            del body["metadata"]["labels"][label]
    return objects(yaml.safe_dump_all(rendered))
