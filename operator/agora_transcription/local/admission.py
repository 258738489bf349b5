"""The admission policy in a cluster: whether the API server knows such a kind, and whether it is in effect yet.

An API server looks for new schemas every 5 seconds, and refuses what a policy would have it change until it has the
CRD's: right after the CRD has come, and after its own start. A policy itself takes effect within about a second.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from agora_transcription.api import API_VERSION, FINALIZER, KIND
from agora_transcription.local.cluster import KubectlError

if TYPE_CHECKING:
    from agora_transcription.local.cluster import Cluster

__all__ = ["NO_SCHEMA_YET", "is_in_effect", "is_known"]

NO_SCHEMA_YET: Final = "(ServiceUnavailable)"
"""What kubectl says of an API server that knows the policy, and not yet the schema."""


def is_known(cluster: Cluster) -> bool:
    """Whether the API server has MutatingAdmissionPolicies, as it has from Kubernetes 1.36 on.

    Raises:
        KubectlError: it does not answer.
    """
    answer = json.loads(cluster.kubectl("get", "--raw=/apis/admissionregistration.k8s.io/v1"))
    return any(resource["kind"] == "MutatingAdmissionPolicy" for resource in answer["resources"])


def is_in_effect(cluster: Cluster, namespace: str) -> bool:
    """Whether a task that is created in a namespace has the finalizer; none is kept.

    Raises:
        KubectlError: none can be created there at all.
    """
    task = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "unborn"},
        "spec": {"channel": "nowhere", "languages": ["en-US"]},
    }
    create = ("create", f"--namespace={namespace}", "--dry-run=server", "--output=json", "--filename=-")
    try:
        born = json.loads(cluster.kubectl(*create, stdin=json.dumps(task)))
    except KubectlError as error:
        if NO_SCHEMA_YET in error.stderr:
            return False
        raise
    return FINALIZER in born["metadata"].get("finalizers", [])
