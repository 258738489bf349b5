"""The policy by which the API server gives new tasks the operator's finalizer, for as long as a test wants it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agora_transcription.api import API_VERSION, FINALIZER, KIND
from agora_transcription.local.cluster import KubectlError
from support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.cluster import Cluster

__all__ = ["EVERYWHERE", "admission_policy", "born_with", "takes_effect"]

EVERYWHERE = Path(__file__).parents[2] / "deploy" / "kustomize" / "admission" / "admission-policy.yaml"
"""The manifest for all namespaces."""

NO_SCHEMA_YET = "ServiceUnavailable"
"""An API server that has just begun, or just got the CRD, refuses so whatever the policy says of failures."""


@contextmanager
def admission_policy(cluster: Cluster) -> Iterator[None]:
    """Have the policy for all namespaces: in effect inside of the block, and no more after it."""
    cluster.kubectl("apply", "--validate=strict", f"--filename={EVERYWHERE}")
    takes_effect(cluster, "default")
    yield
    cluster.kubectl("delete", f"--filename={EVERYWHERE}")
    wait_until(lambda: born_with(cluster, "default") == [])


def takes_effect(cluster: Cluster, namespace: str) -> None:
    """Wait until new tasks of a namespace have the finalizer."""

    def is_in_effect() -> bool:
        try:
            return born_with(cluster, namespace) == [FINALIZER]
        except KubectlError as error:
            if NO_SCHEMA_YET in error.stderr:
                return False
            raise

    wait_until(is_in_effect)


def born_with(cluster: Cluster, namespace: str, finalizers: list[str] | None = None, **spec: Any) -> list[str]:
    """The finalizers of a task that is created with these; it is not kept."""
    body = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "unborn", "finalizers": finalizers},
        "spec": {"channel": "nowhere", "languages": ["en-US"], **spec},
    }
    create = ("create", f"--namespace={namespace}", "--dry-run=server", "--output=json", "--filename=-")
    metadata = json.loads(cluster.kubectl(*create, stdin=yaml.safe_dump(body)))["metadata"]
    born: list[str] = metadata.get("finalizers", [])
    return born
