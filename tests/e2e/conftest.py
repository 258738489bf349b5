"""A cluster with nodes: the one that KUBECONFIG and E2E_CONTEXT name, else a kind cluster made for the run.

| variable | |
|---|---|
| `E2E_CONTEXT` | the context to use, by name: nothing is installed into a cluster that nobody named |
| `E2E_IMAGE` | the image under test, and with -stt behind its tag the other one; without it `make e2e` builds both |
| `E2E_LOAD` | the command that brings an image into the cluster's nodes, called with each; without it they pull |
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agora_transcription.local.cluster import Cluster
from e2e.installation import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

CRD = "crd/transcriptiontasks.transcription.dev"
KIND = "agora-transcription-e2e"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def image() -> str:
    return os.environ["E2E_IMAGE"]


@pytest.fixture(scope="session")
def cluster(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    images = (image, f"{image}-stt")
    if context := os.environ.get("E2E_CONTEXT"):
        load = shlex.split(os.environ.get("E2E_LOAD", ""))
        for each in images if load else ():
            subprocess.run([*load, each], check=True)
        given = Cluster.of_context(context, directory)
        if given.kubectl("get", CRD, "--ignore-not-found") and not given.kubectl("get", "namespaces", "-l", OURS):
            pytest.exit(f"{context} has TranscriptionTasks of somebody: give a cluster without", returncode=2)
        yield given
        given.kubectl("delete", CRD, "--ignore-not-found")
        part = ("-l", "app.kubernetes.io/part-of=agora-transcription")
        given.kubectl("delete", "clusterroles,clusterrolebindings", *part)
        return
    if shutil.which("kind") is None or shutil.which("docker") is None:
        pytest.fail("give KUBECONFIG and E2E_CONTEXT (and E2E_LOAD), or install Docker and kind", pytrace=False)
    kubeconfig = directory / "kind"
    config = ROOT / "deploy" / "kind" / "cluster.yaml"
    _kind("create", "cluster", "--config", str(config), "--kubeconfig", str(kubeconfig), "--wait", "2m")
    try:
        _kind("load", "docker-image", *images)
        yield Cluster.of_context(None, directory, str(kubeconfig))
    finally:
        _kind("delete", "cluster", "--kubeconfig", str(kubeconfig))


def _kind(*arguments: str) -> None:
    subprocess.run(["kind", *arguments, "--name", KIND], check=True)
