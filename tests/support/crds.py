"""The project's CRD in a cluster, and served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from support.processes import wait_until

if TYPE_CHECKING:
    from agora_transcription.local.cluster import Cluster

CRDS = Path(__file__).parents[2] / "crds"


def install_crds(cluster: Cluster) -> None:
    """Apply it, and wait until it is established."""
    cluster.kubectl("apply", "--filename", str(CRDS))
    wait_until(lambda: _established(cluster), seconds=30)


def _established(cluster: Cluster) -> bool:
    # `kubectl wait` fails where a CRD has no conditions at all yet, whichever way it is asked for one.
    found = json.loads(cluster.kubectl("get", "--filename", str(CRDS), "--output=json"))
    crds = found["items"] if found["kind"] == "List" else [found]
    conditions = [crd.get("status", {}).get("conditions") or [] for crd in crds]
    return all({"Established": "True"}.items() <= {c["type"]: c["status"] for c in each}.items() for each in conditions)
