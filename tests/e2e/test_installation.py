"""A user's way on a cluster with nodes: install, use, lose a Pod, upgrade, uninstall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.installation import DEPLOY, Manifests, Release, prepared, step
from support import tools
from support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agora_transcription.local.cluster import Cluster

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["helm4", "helm3"])
def release(request: pytest.FixtureRequest, cluster: Cluster, image: str) -> Iterator[Release]:
    release = Release(cluster, image, tools.find(request.param))
    yield from prepared(release, request.param)


@pytest.fixture(
    params=[("default", "agora-e2e-tasks"), ("namespaced", "agora-transcription")], ids=lambda param: param[0]
)
def manifests(request: pytest.FixtureRequest, cluster: Cluster, image: str) -> Iterator[Manifests]:
    yield from prepared(Manifests(cluster, image, *request.param), request.param[0])


def test_a_release_keeps_one_agora_task_through_its_life(release: Release, tmp_path: Path) -> None:
    with step("install the previous chart"):
        notes = release.put("install", release.package("0.0.9", tmp_path), operator={"logLevel": "debug"})
    assert "kubectl" in notes
    with step("apply a task"):
        began = release.start()
    with step("change its languages"):
        release.speak("en-US", "fr-FR")
    assert release.status()["sequenceId"] > began.get("sequenceId", -1)

    with step("delete the leader's Pod"):
        former = release.leader()
        release.cluster.kubectl("delete", "pod", "-n", release.namespace, former, "--wait=false")
        wait_until(lambda: release.leader() not in {"", former}, seconds=30)
    with step("change its languages again"):
        release.speak("fr-FR")

    before = set(release.pods("get", "-o", "name").split())
    assert before
    with step("upgrade to this chart"):
        release.put("upgrade", DEPLOY / "chart")
        wait_until(lambda: not before & set(release.pods("get", "-o", "name").split()), seconds=60)
    with step("change its languages once more"):
        release.speak("de-DE")

    assert release.status()["taskId"] == began["taskId"]
    assert release.starts() == 1
    with step("delete the task"):
        release.end()
    with step("uninstall"):
        said = release.uninstall()
    assert "transcriptiontasks.transcription.dev" in said, "it does not say that the CRD is kept"
    assert release.crd()
    wait_until(lambda: not release.pods("get", "-o", "name"), seconds=60)


def test_manifests_by_kubectl_keep_one_agora_task(manifests: Manifests) -> None:
    with step("apply the manifests"):
        manifests.apply()
    with step("apply a task"):
        began = manifests.start()
    with step("change its languages"):
        manifests.speak("fr-FR")
    assert manifests.status()["taskId"] == began["taskId"]
    assert manifests.starts() == 1
    with step("delete the task"):
        manifests.end()
