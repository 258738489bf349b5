"""Writes what is made from the chart: the chart's own copy of the CRD, its README, deploy/kustomize and install.yaml.

`make manifests` runs it; a test holds that all files are as it would write them. What only Helm reads is left out of
what is for kubectl; the comments stay.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from support import tools

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main", "rendered"]

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "chart"
KUSTOMIZE = ROOT / "deploy" / "kustomize"
CRD = ROOT / "crds" / "transcriptiontasks.yaml"

NAME = "agora-transcription"
"""Of the release and of its namespace."""

HEADER = "# Made from deploy/chart by `make manifests`: change it there.\n"
ONLY_FOR_HELM = re.compile(
    r"^ +(helm\.sh/chart: .*|app\.kubernetes\.io/managed-by: Helm)\n|^# Source: .*\n", re.MULTILINE
)
CRD_METADATA = """  annotations:
    # Neither Argo CD nor Flux takes it away, and all tasks with it.
    argocd.argoproj.io/sync-options: Prune=false
    kustomize.toolkit.fluxcd.io/prune: disabled
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
"""

POLICY = {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}
"""Not in what is applied as one: a cluster before 1.36 would refuse it, as it does not know them."""

RIGHTS = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def rendered() -> dict[Path, str]:
    """Each file that is made, by its path, as it ought to be."""
    namespace = (KUSTOMIZE / "rbac" / "namespace.yaml").read_text(encoding="utf-8")
    everywhere = list(_documents("--set=crds.keep=false"))
    only_own = (
        "--set=crds.enabled=false,rbac.aggregateClusterRoles=false",
        f"--set=operator.watchNamespaces={{{NAME}}}",
    )
    own = list(_documents(*only_own))
    from_1_36 = list(_documents("--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"))
    people = list(_documents("--set=crds.enabled=false,operator.enabled=false"))
    return {
        CHART / "README.md": _chart_readme(),
        KUSTOMIZE / "admission" / "admission-policy.yaml": _file(from_1_36, POLICY),
        KUSTOMIZE / "crds" / "transcriptiontasks.yaml": _file(everywhere, {"CustomResourceDefinition"}),
        KUSTOMIZE / "cluster" / "users.yaml": _file(people, RIGHTS),
        KUSTOMIZE / "rbac" / "rbac.yaml": _file(everywhere, RIGHTS),
        KUSTOMIZE / "default" / "operator.yaml": _file(everywhere, {"Deployment", "Service"}),
        KUSTOMIZE / "namespaced" / "rbac.yaml": _file(own, RIGHTS),
        KUSTOMIZE / "namespaced" / "operator.yaml": _file(own, {"Deployment", "Service"}),
        ROOT / "deploy" / "install.yaml": f"{HEADER}{namespace}---\n" + "---\n".join(everywhere),
    }


def crd_template() -> str:
    """The CRD as a template of the chart."""
    text = CRD.read_text(encoding="utf-8")
    name = f"  name: {yaml.safe_load(text)['metadata']['name']}\n"
    labels = '  labels:\n    {{- include "agora-transcription.labels" . | nindent 4 }}\n'
    body = text[text.index("apiVersion:") :].replace(name, f"{name}{labels}{CRD_METADATA}", 1)
    comment = "{{- /* Made from crds/ by `make manifests`: change it there. */}}\n"
    return f"{comment}{{{{- if .Values.crds.enabled }}}}\n{body}{{{{- end }}}}\n"


def main() -> None:
    """Write them."""
    (CHART / "templates" / "crd.yaml").write_text(crd_template(), encoding="utf-8")
    for path, text in rendered().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _documents(*values: str) -> Iterator[str]:
    text = _run(tools.find("helm4"), "template", NAME, CHART, f"--namespace={NAME}", *values)
    for document in re.split(r"^---\n", ONLY_FOR_HELM.sub("", text), flags=re.MULTILINE):
        if document.strip():
            yield document.strip() + "\n"


def _file(documents: list[str], kinds: set[str]) -> str:
    return HEADER + "---\n".join(text for text in documents if yaml.safe_load(text)["kind"] in kinds)


def _chart_readme() -> str:
    return _run(
        tools.find("helm-docs"),
        f"--chart-search-root={CHART}",
        "--sort-values-order=file",
        "--log-level=warning",
        "--dry-run",
    )


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


if __name__ == "__main__":
    main()
