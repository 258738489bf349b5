"""The operator's role is what it needs and no more; people get theirs through the cluster's own roles."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agora_transcription.local.cluster import KubectlError

if TYPE_CHECKING:
    from agora_transcription.local.controlplane import ControlPlane

ROOT = Path(__file__).parents[2]
OPERATOR = "system:serviceaccount:agora-transcription:agora-transcription-operator"
TASKS = "transcriptiontasks.transcription.dev"


@pytest.fixture(scope="module")
def with_roles(control_plane: ControlPlane) -> ControlPlane:
    control_plane.kubectl("apply", "--kustomize", str(ROOT / "deploy" / "kustomize" / "rbac"))
    return control_plane


def may(
    control_plane: ControlPlane, verb: str, resource: str, *options: str, user: str, namespace: str = "default"
) -> bool:
    question = ("auth", "can-i", verb, resource, f"--namespace={namespace}", f"--as={user}", *options)
    try:
        answer = control_plane.kubectl(*question)
    except KubectlError as error:
        if error.stderr:
            raise
        # "no" comes with an exit code and without a complaint.
        return False
    return answer.strip() == "yes"


@pytest.mark.parametrize(
    ("verb", "resource", "options"),
    [
        ("list", TASKS, ()),
        ("watch", TASKS, ()),
        ("patch", TASKS, ()),
        ("delete", TASKS, ()),
        ("patch", TASKS, ("--subresource=status",)),
        ("get", "secrets", ()),
        ("create", "events", ()),
    ],
)
def test_operator_may(with_roles: ControlPlane, verb: str, resource: str, options: tuple[str, ...]) -> None:
    assert may(with_roles, verb, resource, *options, user=OPERATOR)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", TASKS),
        ("deletecollection", TASKS),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("patch", "secrets"),
        ("get", "configmaps"),
        ("get", "pods"),
        ("create", "rolebindings"),
    ],
)
def test_operator_may_not(with_roles: ControlPlane, verb: str, resource: str) -> None:
    assert not may(with_roles, verb, resource, user=OPERATOR)


LEASES = "leases.coordination.k8s.io"


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "allowed"),
    [
        ("create", LEASES, "agora-transcription", True),
        ("get", f"{LEASES}/agora-transcription-operator", "agora-transcription", True),
        ("update", f"{LEASES}/agora-transcription-operator", "agora-transcription", True),
        ("update", f"{LEASES}/another", "agora-transcription", False),
        ("list", LEASES, "agora-transcription", False),
        ("delete", f"{LEASES}/agora-transcription-operator", "agora-transcription", False),
        ("create", LEASES, "default", False),
        ("update", f"{LEASES}/agora-transcription-operator", "default", False),
    ],
)
def test_operator_holds_its_lease_and_touches_no_other(
    with_roles: ControlPlane, verb: str, resource: str, namespace: str, *, allowed: bool
) -> None:
    assert may(with_roles, verb, resource, user=OPERATOR, namespace=namespace) is allowed


def test_viewers_see_tasks_and_editors_change_them(with_roles: ControlPlane) -> None:
    for role, user in {"view": "viewer", "edit": "editor"}.items():
        with_roles.kubectl("create", "clusterrolebinding", f"test-{role}", f"--clusterrole={role}", f"--user={user}")
    try:
        wait_until_may(with_roles, "create", user="editor")
        wait_until_may(with_roles, "list", user="viewer")
        assert may(with_roles, "get", TASKS, user="editor")
        assert not may(with_roles, "create", TASKS, user="viewer")
        assert not may(with_roles, "patch", TASKS, "--subresource=status", user="editor")
    finally:
        with_roles.kubectl("delete", "clusterrolebinding", "test-view", "test-edit")


def test_samples_are_taken(control_plane: ControlPlane, namespace: str) -> None:
    samples = ("--filename", str(ROOT / "deploy" / "samples"), "--namespace", namespace)
    applied = control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", *samples)
    assert "secret/agora-credentials created" in applied
    assert "transcriptiontask.transcription.dev/standup created" in applied


def wait_until_may(control_plane: ControlPlane, verb: str, *, user: str) -> None:
    """Aggregation is a controller's work, so it takes a moment."""
    deadline = time.monotonic() + 30
    while not may(control_plane, verb, TASKS, user=user):
        assert time.monotonic() < deadline, f"{user} may still not {verb}"
        time.sleep(0.2)
