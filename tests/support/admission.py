"""The policy by which the API server gives new tasks the operator's finalizer, for as long as a test wants it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agora_transcription.local.admission import is_in_effect
from support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.cluster import Cluster

__all__ = ["admission_policy"]

EVERYWHERE = Path(__file__).parents[2] / "deploy" / "kustomize" / "admission" / "admission-policy.yaml"
"""The manifest for all namespaces."""


@contextmanager
def admission_policy(cluster: Cluster) -> Iterator[None]:
    """Have the policy for all namespaces: in effect inside of the block, and no more after it."""
    cluster.kubectl("apply", "--validate=strict", f"--filename={EVERYWHERE}")
    wait_until(lambda: is_in_effect(cluster, "default"))
    yield
    cluster.kubectl("delete", f"--filename={EVERYWHERE}")
    wait_until(lambda: not is_in_effect(cluster, "default"))
