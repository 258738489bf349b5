from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml

from agora_transcription.local.cluster import Cluster, KubectlError, write_kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

FAKE_KUBECTL = """#!/bin/sh
echo "$@"
cat
case "$*" in *refuse*) echo "Error from server (Forbidden)" >&2; exit 4;; esac
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(FAKE_KUBECTL)
    kubectl.chmod(0o755)
    return Cluster(tmp_path / "kubeconfig", kubectl, tmp_path)


def test_kubectl_is_bound_to_the_cluster_and_reads_what_it_is_given(cluster: Cluster) -> None:
    said = cluster.kubectl("apply", "-f", "-", stdin="kind: Secret")
    assert said.startswith(f"--kubeconfig={cluster.kubeconfig} --cache-dir={cluster.directory}")
    assert said.endswith("apply -f -\nkind: Secret")


def test_a_failure_says_the_command_and_the_reason_but_never_the_input(cluster: Cluster) -> None:
    with pytest.raises(KubectlError) as raised:
        cluster.kubectl("refuse", "-f", "-", stdin="customerSecret: hush")
    assert str(raised.value) == "kubectl refuse -f - ended with exit code 4: Error from server (Forbidden)"
    assert (raised.value.returncode, raised.value.stderr) == (4, "Error from server (Forbidden)\n")


def test_a_context_is_taken_from_a_kubeconfig_into_one_of_its_own(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    made = Cluster.of_context("kind", tmp_path, "given")
    assert made.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert made.kubeconfig.read_text() == ("--kubeconfig=given --context=kind config view --raw --minify --flatten\n")
    assert (made.kubectl_binary, made.directory) == (cluster.kubectl_binary, tmp_path)


def test_a_context_that_is_not_there_is_said(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(cluster.kubectl_binary.parent), prepend=os.pathsep)
    with pytest.raises(KubectlError, match=r"^kubectl --context=refused config view"):
        Cluster.of_context("refused", tmp_path)


def test_a_kubeconfig_is_private_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, {"server": "https://127.0.0.1:1"}, "hush", namespace="team")
    assert path.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == config["contexts"][0]["name"]
    assert config["contexts"][0]["context"] == {
        "cluster": config["clusters"][0]["name"],
        "user": config["users"][0]["name"],
        "namespace": "team",
    }
    assert config["clusters"][0]["cluster"] == {"server": "https://127.0.0.1:1"}
    assert config["users"][0]["user"] == {"token": "hush"}
