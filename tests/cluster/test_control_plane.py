from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agora_transcription.local.binaries import find_binaries
from agora_transcription.local.cluster import KubectlError
from agora_transcription.local.controlplane import ControlPlane
from agora_transcription.local.processes import ProcessEndedError
from support.processes import living_processes, wait_until


def test_is_ready_and_serves_the_admission_policies_that_the_operator_uses(control_plane: ControlPlane) -> None:
    assert control_plane.kubectl("get", "--raw", "/readyz") == "ok"
    served = json.loads(control_plane.kubectl("get", "--raw", "/apis/admissionregistration.k8s.io/v1"))
    assert "mutatingadmissionpolicies" in {resource["name"] for resource in served["resources"]}


def test_refuses_a_wrong_token(control_plane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match="Unauthorized"):
        control_plane.kubectl("--token=wrong", "get", "namespaces")


def test_a_service_account_may_what_its_role_says_and_no_more(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    path = control_plane.service_account_kubeconfig(namespace, "reader")
    assert path.stat().st_mode & 0o077 == 0

    def as_reader(*arguments: str) -> str:
        return control_plane.kubectl(f"--kubeconfig={path}", *arguments)

    def may(verb: str, resource: str) -> bool:
        with contextlib.suppress(KubectlError):  # a no is an exit code
            return as_reader("auth", "can-i", verb, resource).strip() == "yes"
        return False

    who = json.loads(as_reader("auth", "whoami", "-o", "json"))
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:reader"
    with pytest.raises(KubectlError, match="Forbidden"):
        as_reader("get", "configmaps")

    control_plane.kubectl("create", "role", "reads", "--verb=list", "--resource=configmaps", "-n", namespace)
    control_plane.kubectl(
        "create", "rolebinding", "reads", "--role=reads", f"--serviceaccount={namespace}:reader", "-n", namespace
    )
    wait_until(lambda: may("list", "configmaps"))
    as_reader("get", "configmaps")
    with pytest.raises(KubectlError, match="Forbidden"):
        as_reader("get", "secrets")


def test_the_deletion_of_a_namespace_ends(control_plane: ControlPlane) -> None:
    needs_controllers(control_plane)
    control_plane.kubectl("create", "namespace", "short-lived")
    control_plane.kubectl("create", "configmap", "content", "-n", "short-lived")
    control_plane.kubectl("delete", "namespace", "short-lived", "--timeout=60s")
    with pytest.raises(KubectlError, match="NotFound"):
        control_plane.kubectl("get", "namespace", "short-lived")


def test_foreground_deletion_takes_the_dependents_first_and_ends(control_plane: ControlPlane, namespace: str) -> None:
    needs_controllers(control_plane)
    control_plane.kubectl("create", "configmap", "owner", "-n", namespace)
    owner = json.loads(control_plane.kubectl("get", "configmap", "owner", "-n", namespace, "-o", "json"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    metadata = {"name": "dependent", "ownerReferences": [reference | {"blockOwnerDeletion": True}]}
    dependent = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    control_plane.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(dependent))

    control_plane.kubectl("delete", "configmap", "owner", "-n", namespace, "--cascade=foreground", "--timeout=60s")
    left = control_plane.kubectl("get", "configmaps", "-n", namespace, "-o", "name").split()
    assert not {"configmap/owner", "configmap/dependent"} & set(left)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_process_that_started_it(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "agora_transcription.local.controlplane"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout
        line = parent.stdout.readline()
        groups = {seen.group for seen in living_processes() if seen.parent == parent.pid}
        assert len(groups) >= 2
        folder = Path(line.removeprefix("export KUBECONFIG=").strip()).parent
        assert (folder / "tokens.csv").exists()

        parent.send_signal(number)
        try:
            parent.wait(30)
        finally:
            parent.kill()  # else the block would wait for it
        assert parent.returncode == (0 if number == signal.SIGINT else -number)
        wait_until(lambda: not any(seen.group in groups for seen in living_processes()))
        wait_until(lambda: not folder.exists())


def test_a_process_that_fails_is_shown_with_the_end_of_its_log_and_takes_all_with_it(tmp_path: Path) -> None:
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho no room for a secure port\nexit 3\n")
    broken.chmod(0o755)
    before = children()
    control_plane = ControlPlane(dataclasses.replace(find_binaries(), kube_apiserver=broken))
    with pytest.raises(
        ProcessEndedError, match=r"kube-apiserver ended with exit code 3(?s:.)*no room for a secure port"
    ):
        control_plane.start()
    assert not control_plane.directory.exists()
    assert children() == before


def needs_controllers(control_plane: ControlPlane) -> None:
    if not control_plane.has_controllers:
        pytest.skip("this set of binaries has no kube-controller-manager")


def children() -> set[int]:
    """This process's own, but for the `ps` that lists them."""
    return {seen.group for seen in living_processes() if seen.parent == os.getpid()} - {os.getpgrp()}
