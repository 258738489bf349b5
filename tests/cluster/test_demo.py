"""The demo as a user runs it: a process, its output and its exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agora_transcription.local.cluster import write_kubeconfig
from support.demo import ROOT, acted
from support.processes import living_processes, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.controlplane import ControlPlane

DEMO = [sys.executable, "-m", "agora_transcription", "demo"]

STORY = (
    "$ kubectl apply -f crds",
    "$ kubectl wait --for=condition=Established crd/transcriptiontasks.transcription.dev ",
    "$ kubectl apply -k deploy/kustomize/rbac",
    "$ kubectl apply --server-side -k deploy/kustomize/admission",
    "mutatingadmissionpolicy.admissionregistration.k8s.io/agora-transcription-finalizer.agora-transcription server",
    "$ agora-transcription simulator ",
    "$ agora-transcription operator ",
    "$ kubectl create --dry-run=server -f deploy/samples/transcriptiontask.yaml -o ",
    '["transcription.dev/agora-task"]',
    "$ kubectl apply -f deploy/samples",
    "transcriptiontask.transcription.dev/standup created",
    "$ kubectl wait --for=condition=Ready ttask/standup ",
    "transcriptiontask.transcription.dev/standup condition met",
    "$ kubectl get ttask",
    "standup   Running   True ",
    '$ kubectl patch ttask standup --type merge -p \'{"spec":{"languages":',
    "$ kubectl wait --for=condition=Ready ttask/standup ",
    "transcriptiontask.transcription.dev/standup condition met",
    "$ curl 'http://127.0.0.1:",
    '[{"index":1,',
    "$ kubectl get ttask -o wide",
    "standup   Running   True ",
    "$ kubectl delete ttask standup ",
    'transcriptiontask.transcription.dev "standup" deleted',
    "$ curl 'http://127.0.0.1:",
    "[]",
    "$ curl http://127.0.0.1:",
    "[]",
    "Each step was seen to happen, in ",
)
"""How its lines begin, in their order; others may stand between them."""


def test_the_demo_acts_the_whole_story_on_a_control_plane_of_its_own() -> None:
    acted(DEMO, STORY, timeout=180)


def test_a_killed_demo_leaves_no_process_and_the_next_cleans_its_cluster_up_and_is_kept_until_ctrl_c(
    control_plane: ControlPlane,
) -> None:
    given = control_plane.kubeconfig.read_bytes()
    with demo_on(control_plane.kubeconfig) as killed:
        read_until(killed, "transcriptiontask.transcription.dev/standup condition met")
        groups = {seen.group for seen in living_processes() if seen.parent == killed.pid}
        assert len(groups) >= 2
        killed.kill()
        killed.wait(30)
    wait_until(lambda: not any(seen.group in groups for seen in living_processes()))
    assert demo_namespaces(control_plane) == ["namespace/agora-transcription-demo"]

    with demo_on(control_plane.kubeconfig, "--keep") as kept:
        read_until(kept, "Each step was seen to happen")
        line = read_until(kept, "    export KUBECONFIG=")
        kubeconfig = line.strip().removeprefix("export KUBECONFIG=")
        assert phase_of_standup(control_plane, kubeconfig) == "Running"
        read_until(kept, "    tail -f ")
        kept.send_signal(signal.SIGINT)
        _, errors = kept.communicate(timeout=120)
    assert (kept.returncode, errors) == (0, "")
    assert not Path(kubeconfig).exists()
    assert demo_namespaces(control_plane) == []
    assert control_plane.kubectl("get", "mutatingadmissionpolicies", "-o", "name") == ""
    assert control_plane.kubeconfig.read_bytes() == given


def test_a_demo_whose_operator_dies_fails_and_names_the_step(control_plane: ControlPlane) -> None:
    with demo_on(control_plane.kubeconfig) as demo:
        line = read_until(demo, "$ agora-transcription operator ")
        url = re.search(r"--agora-url=\S+", line)
        assert url
        read_until(demo, "$ kubectl create namespace ")
        (operator,) = [
            seen.pid for seen in living_processes() if url[0] in seen.command and "guard.py" not in seen.command
        ]
        os.kill(operator, signal.SIGKILL)
        _, errors = demo.communicate(timeout=180)
    assert demo.returncode == 1
    assert re.search(r"^The step failed: kubectl ", errors, re.MULTILINE)
    assert re.search(r"^Expected: .+\.\nSeen: operator ended with exit code 137$", errors, re.MULTILINE)
    assert "The end of the log of the operator:\n" in errors
    assert demo_namespaces(control_plane) == []


def test_a_demo_without_an_api_server_fails_at_its_first_step(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "nowhere.kubeconfig"
    write_kubeconfig(kubeconfig, {"server": "http://127.0.0.1:1"}, "none")
    command = [*DEMO, f"--kubeconfig={kubeconfig}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "The step failed: kubectl apply -f crds\nExpected: the API server takes the CRD.\n" in done.stderr
    assert "127.0.0.1:1" in done.stderr


@contextmanager
def demo_on(kubeconfig: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A demo on a cluster that is there already; ended when the block ends, if it has not ended by itself."""
    command = [*DEMO, f"--kubeconfig={kubeconfig}", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def read_until(demo: subprocess.Popen[str], beginning: str) -> str:
    """The next line of its output that begins so; the demo's own time limits see to it that there is an end."""
    assert demo.stdout
    assert demo.stderr
    for line in demo.stdout:
        if line.startswith(beginning):
            return line
    raise AssertionError(f"it ended without {beginning!r}:\n{demo.stderr.read()}")


def phase_of_standup(control_plane: ControlPlane, kubeconfig: str) -> str:
    get = [str(control_plane.kubectl_binary), "get", "ttask", "standup", "-o", "jsonpath={.status.phase}"]
    environment = os.environ | {"KUBECONFIG": kubeconfig}
    return subprocess.run(get, env=environment, capture_output=True, text=True, check=True).stdout


def demo_namespaces(control_plane: ControlPlane) -> list[str]:
    listed = control_plane.kubectl("get", "namespaces", "-o", "name").split()
    return [name for name in listed if "demo" in name]
