"""Nothing that the operator writes is a difference to what stands in git, and no way of applying it restarts a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agora_transcription.api import API_VERSION, FINALIZER, KIND
from support.kube import Body, has_reason

if TYPE_CHECKING:
    from agora_transcription.local.controlplane import ControlPlane
    from support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

GIT = "from-git"
"""The field manager under which the manifests of these tests are applied."""


class Git:
    """A manifest, and the ways in which GitOps tools and people bring it to the cluster."""

    def __init__(self, control_plane: ControlPlane, namespace: str, name: str) -> None:
        self._control_plane = control_plane
        self._namespace = namespace
        self.name = name
        self.metadata: Body = {"name": name, "annotations": {"argocd.argoproj.io/tracking-id": "tasks"}}
        self.spec: Body = {"channel": f"room-{name}", "languages": ["en-US"]}

    @property
    def manifest(self) -> str:
        return yaml.safe_dump({"apiVersion": API_VERSION, "kind": KIND, "metadata": self.metadata, "spec": self.spec})

    def apply(self, *, manager: str = GIT) -> None:
        """Apply it on the server, which refuses where another manager owns a field with another value."""
        self._kubectl("apply", "--server-side", f"--field-manager={manager}")

    def apply_by_client(self) -> None:
        """Apply it as `kubectl apply` does without flags, by comparing three versions."""
        self._kubectl("apply")

    def assert_no_difference(self) -> None:
        """`kubectl diff` says nothing and ends with 0; a difference is an exit code of 1."""
        assert self._kubectl("diff", "--server-side", f"--field-manager={GIT}") == ""

    def assert_no_difference_by_client(self) -> None:
        assert self._kubectl("diff") == ""

    def replace(self, *flags: str) -> None:
        self._kubectl("replace", *flags)

    def _kubectl(self, command: str, *flags: str) -> str:
        return self._control_plane.kubectl(
            command, *flags, f"--namespace={self._namespace}", "-f", "-", stdin=self.manifest
        )


@pytest.fixture
def git(control_plane: ControlPlane, module_namespace: str, request: pytest.FixtureRequest) -> Git:
    words = request.node.originalname.split("_")
    return Git(control_plane, module_namespace, "-".join(words[1:5]))


async def test_there_is_no_difference_in_any_state_of_a_life(world: World, git: Git) -> None:
    for operation, change, then in (
        ("join", {}, "Running"),
        ("update", {"languages": ["en-US", "fr-FR"]}, "Running"),
        ("leave", {"suspend": True}, "Suspended"),
    ):
        # On its way for as long as the look takes.
        await world.faults({"operation": operation, "status": 503, "body": "<html>busy</html>", "times": 0})
        git.spec |= change
        git.apply()
        await world.kube.wait(git.name, has_reason("AgoraUnavailable"))
        git.assert_no_difference()
        (await world.agora.delete("/simulator/faults")).raise_for_status()
        await world.kube.wait(git.name, has_reason(then))
        git.assert_no_difference()

    # The operator has written nothing but its finalizer and the status.
    before = await world.kube.wait(git.name, has_reason("Suspended"))
    assert owned_by_the_operator(before) == {(None, ("f:metadata", "f:finalizers")), ("status", ("f:status",))}

    # So the same can be applied again, and by anybody, without conflict or change.
    git.apply()
    again = await world.kube.wait(git.name, has_reason("Suspended"))
    assert again["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    git.apply(manager="another")
    by_another = await world.kube.wait(git.name, has_reason("Suspended"))
    assert (by_another["spec"], by_another["status"]) == (before["spec"], before["status"])
    assert by_another["metadata"]["generation"] == before["metadata"]["generation"]


def owned_by_the_operator(body: Body) -> set[tuple[str | None, tuple[str, ...]]]:
    """The fields of all managers but that of git: by subresource, the status or a field of the spec or the metadata."""
    return {
        (entry.get("subresource"), path)
        for entry in body["metadata"]["managedFields"]
        if entry["manager"] != GIT
        for path in paths(entry["fieldsV1"])
    }


def paths(fields: dict[str, Any]) -> set[tuple[str, ...]]:
    """The fields at the top: those of the status, the spec and the metadata, the last two by name."""
    return {
        path
        for part, below in fields.items()
        for path in ({(part,)} if part == "f:status" else {(part, name) for name in below if name != "."})
    }


async def test_applied_by_the_client_nothing_differs_either(world: World, git: Git) -> None:
    git.apply_by_client()
    before = await world.running(git.name)
    git.assert_no_difference_by_client()
    git.apply_by_client()
    after = await world.kube.get(git.name)
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_labels_and_annotations_of_tools_cause_no_call(world: World, git: Git) -> None:
    git.apply()
    before = await world.running(git.name)
    calls = await world.calls("join|update|leave", git.name)
    git.metadata["annotations"]["argocd.argoproj.io/tracking-id"] = "tasks of another application"
    git.metadata["labels"] = {"kustomize.toolkit.fluxcd.io/name": "transcription-tasks"}
    git.apply()
    # What comes after it has been worked on, so it has been as well.
    git.spec["restartPolicy"] = "Always"
    git.apply()
    after = await world.running(git.name)
    assert after["status"]["taskId"] == before["status"]["taskId"]
    assert await world.calls("join|update|leave", git.name) == calls


async def test_replaced_it_keeps_its_task_and_its_finalizer(world: World, git: Git) -> None:
    """A replacement drops what the manifest does not name, so the finalizer has to come back; the status stays."""
    git.apply_by_client()
    before = await world.running(git.name)
    assert world.operator.stop() == 0
    git.replace()
    replaced = await world.kube.get(git.name)
    assert replaced is not None
    assert "finalizers" not in replaced["metadata"]
    assert replaced["status"] == before["status"]
    await world.operator.start_and_wait()
    await world.kube.wait(git.name, lambda body: body["metadata"].get("finalizers") == [FINALIZER])

    git.spec["languages"] = ["en-US", "fr-FR"]
    git.replace()
    changed = await world.running(git.name)
    assert changed["metadata"]["finalizers"] == [FINALIZER]
    assert changed["status"]["taskId"] == before["status"]["taskId"]
    assert changed["status"]["applied"]["languages"] == ["en-US", "fr-FR"]
    assert [call["operation"] for call in await world.calls("join|update|leave", git.name)] == ["join", "update"]


async def test_replaced_by_force_it_is_another_object_with_another_task(world: World, git: Git) -> None:
    git.apply_by_client()
    before = await world.running(git.name)
    git.replace("--force")
    after = await world.running(git.name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["taskId"] != before["status"]["taskId"]
    [task] = await world.live(git.name)
    assert task["taskId"] == after["status"]["taskId"]
    operations = [call["operation"] for call in await world.calls("join|leave", git.name)]
    assert operations == ["join", "leave", "join"]
