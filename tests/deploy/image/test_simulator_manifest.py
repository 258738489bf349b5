"""deploy/simulator/ as a real API server with restricted Pod Security takes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from agora_transcription.local.controlplane import ControlPlane

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "simulator"
[DEPLOYMENT] = [
    document
    for document in yaml.safe_load_all((FOLDER / "simulator.yaml").read_text())
    if document["kind"] == "Deployment"
]
POD = DEPLOYMENT["spec"]["template"]["spec"]


def test_it_is_taken_where_pod_security_is_restricted(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    applied = control_plane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", str(FOLDER)
    )
    assert applied.splitlines() == [
        "service/simulator created (server dry run)",
        "deployment.apps/simulator created (server dry run)",
    ]
    # A Deployment is only warned about; its Pod is what would be refused.
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "simulator"},
        "spec": POD,
    }
    control_plane.kubectl("create", "--dry-run=server", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(pod))
