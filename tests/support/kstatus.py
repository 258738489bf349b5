"""How kstatus reads an object: Helm, Flux and, by the same conditions, `kubectl wait` go by it."""

from __future__ import annotations

from typing import Any

__all__ = ["kstatus"]


def kstatus(body: dict[str, Any]) -> str:
    """`Compute` of cli-utils' kstatus, for a custom resource (pkg/kstatus/status/generic.go)."""
    metadata, status = body["metadata"], body.get("status", {})
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions", [])
    for condition in conditions:
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return "InProgress"
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return "Failed"
    for condition in conditions:
        if condition["type"] == "Ready":
            return {"True": "Current"}.get(condition["status"], "InProgress")
    return "Current"
