"""The CRD may come after the operator: applied in one go, by two Argo CD applications, or forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from agora_transcription.local.controlplane import ControlPlane
from support.kube import Kube, has_reason
from support.processes import Operator, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CRDS = "crds/transcriptiontasks.yaml"


@pytest.fixture(scope="module")
def empty_cluster() -> Iterator[ControlPlane]:
    """One of its own: no test may take the CRD away from the others."""
    with ControlPlane() as started:
        yield started


def waiting(cluster: ControlPlane, log: Path) -> Operator:
    flags = ("--leader-elect", "--lease-namespace=default")
    operator = Operator(log, cluster.kubeconfig, "default", "http://127.0.0.1:1", *flags)
    operator.start()
    said = "Waits: the cluster has no transcriptiontasks.transcription.dev: apply its CustomResourceDefinition"
    wait_until(lambda: said in log.read_text(), seconds=30)
    return operator


def test_told_to_stop_while_it_waits_it_stops(empty_cluster: ControlPlane, logs: Path) -> None:
    assert waiting(empty_cluster, logs / "told-operator.log").stop() == 0


async def test_it_is_not_ready_until_the_crd_is_there_and_then_works(
    empty_cluster: ControlPlane, logs: Path, request: pytest.FixtureRequest
) -> None:
    operator = waiting(empty_cluster, logs / "late-operator.log")
    try:
        async with httpx.AsyncClient(base_url=operator.health) as client:
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
        empty_cluster.kubectl("apply", f"--filename={request.config.rootpath / CRDS}")
        await operator.wait_for(f"{operator.health}/readyz")
        async with Kube(empty_cluster.kubeconfig, "default") as kube:
            await kube.create("seen", {"channel": "room", "languages": ["en-US"]})
            await kube.wait("seen", has_reason("SecretNotFound"))
        assert operator.stop() == 0
    finally:
        operator.kill()
