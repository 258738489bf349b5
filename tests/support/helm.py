"""Helm, and the chart as it renders."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from agora_transcription.local.gobuild import kubernetes_version
from support import tools

if TYPE_CHECKING:
    from support.kube import Body

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "chart"
NAME = "agora-transcription"
"""The usual release, and its namespace."""

VERSIONS = ("helm3", "helm4")

MONITORING = ("PodMonitor", "ServiceMonitor", "PrometheusRule")
"""The kinds of the Prometheus Operator that there is something of in the chart."""

FROM_1_36 = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
"""What the chart looks for in a cluster before it makes one."""


class HelmError(Exception):
    """Helm's own words."""


def helm(version: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [tools.find(version), *arguments], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def template(
    *arguments: str | Path,
    version: str = "helm4",
    release: str = NAME,
    namespace: str = NAME,
    kubernetes: str = kubernetes_version(),
) -> list[Body]:
    """The objects that an install would create; `arguments` are values, as `--set=crds.enabled=false`.

    The cluster has the Prometheus Operator.
    """
    # Built without its release scripts, Helm 3 thinks that the cluster is an old one.
    cluster = [f"--kube-version={kubernetes}"]
    if int(kubernetes.split(".")[1]) >= 36:
        cluster.append(f"--api-versions={FROM_1_36}")
    cluster += [f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in MONITORING]
    text = helm(version, "template", release, CHART, f"--namespace={namespace}", *cluster, *arguments)
    return [document for document in yaml.safe_load_all(text) if document]


def one(objects: list[Body], kind: str) -> Body:
    """The only object of a kind."""
    [found] = [body for body in objects if body["kind"] == kind]
    return found


def ci_values() -> dict[str, list[str]]:
    """The arguments for the defaults, and for each file of values in the chart's ci/."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    assert files
    return {"default": [], **{file.name.removesuffix("-values.yaml"): [f"--values={file}"] for file in files}}
