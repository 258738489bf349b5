"""The CRD may come after the operator: applied in one go, by two Argo CD applications, or forgotten. And it may go."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from agora_transcription.local.controlplane import ControlPlane
from support.kube import Kube, has_reason
from support.processes import Operator, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CRD = Path(__file__).parents[2] / "crds" / "transcriptiontasks.yaml"
MISSING = "the cluster has no transcriptiontasks.transcription.dev: apply its CustomResourceDefinition"


@pytest.fixture(scope="module")
def empty_cluster() -> Iterator[ControlPlane]:
    """One of its own: no test may take the CRD away from the others."""
    with ControlPlane() as started:
        yield started


def waiting(cluster: ControlPlane, log: Path) -> Operator:
    flags = ("--leader-elect", "--lease-namespace=default")
    operator = Operator(log, cluster.kubeconfig, "default", "http://127.0.0.1:1", *flags)
    operator.start()
    wait_until(lambda: f"Waits: {MISSING}" in log.read_text(), seconds=30)
    return operator


def time_of(line: str) -> datetime:
    return datetime.fromisoformat(line.split(maxsplit=1)[0])


async def works_with_it(operator: Operator, cluster: ControlPlane) -> None:
    """Apply the CRD, and see the operator find it and an object."""
    async with httpx.AsyncClient(base_url=operator.health) as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
    cluster.kubectl("apply", f"--filename={CRD}")
    await operator.wait_for(f"{operator.health}/readyz")
    async with Kube(cluster.kubeconfig, "default") as kube:
        await kube.create("seen", {"channel": "room", "languages": ["en-US"]})
        await kube.wait("seen", has_reason("SecretNotFound"))


def test_told_to_stop_while_it_waits_it_stops(empty_cluster: ControlPlane, logs: Path) -> None:
    assert waiting(empty_cluster, logs / "told-operator.log").stop() == 0


async def test_it_is_not_ready_until_the_crd_is_there_and_when_it_goes_the_process_ends(
    empty_cluster: ControlPlane, logs: Path
) -> None:
    """The process that follows waits again: kopf would not find the CRD that is put back."""
    log = logs / "late-operator.log"
    operator = waiting(empty_cluster, log)
    try:
        await works_with_it(operator, empty_cluster)
        empty_cluster.kubectl("delete", f"--filename={CRD}", "--timeout=30s")
        assert await operator.wait_ended(20) == 1
        failed, *_, last = [
            line for line in log.read_text().splitlines() if "has failed: 404" in line or " CRITICAL " in line
        ]
        assert last.endswith(f"The watch has ended, and this process with it: {MISSING}")
        assert time_of(last) - time_of(failed) < timedelta(seconds=5), "kopf waits so long for what does not end"

        log.unlink()
        operator.start()
        wait_until(lambda: f"Waits: {MISSING}" in log.read_text(), seconds=30)
        await works_with_it(operator, empty_cluster)
        assert operator.stop() == 0
    finally:
        operator.kill()
