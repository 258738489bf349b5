"""The policy that gives new tasks their finalizer: where the operator watches, and as it stands in git."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agora_transcription.local.admission import is_in_effect
from support.helm import template
from support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

POLICIES = {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}
WATCHED = ("north", "south", "east")


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane) -> Iterator[list[Body]]:
    """Of two releases that have one name and different namespaces, one of which watches two."""
    made = [*policies("north", "north"), *policies("south", "south", "east")]
    for namespace in WATCHED:
        control_plane.kubectl("create", "namespace", namespace)
    manifest = yaml.safe_dump_all(made)
    control_plane.kubectl("apply", "--validate=strict", "--filename=-", stdin=manifest)
    yield made
    control_plane.kubectl("delete", "--filename=-", stdin=manifest)
    control_plane.kubectl("delete", "namespace", *WATCHED, "--wait=false")


@pytest.mark.usefixtures("installed")
def test_it_is_for_the_namespaces_that_each_release_watches_and_for_no_other(control_plane: ControlPlane) -> None:
    wait_until(lambda: all(is_in_effect(control_plane, namespace) for namespace in WATCHED))
    assert not is_in_effect(control_plane, "default")


def test_nothing_is_filled_in_where_a_gitops_tool_would_see_a_difference(
    control_plane: ControlPlane, installed: list[Body]
) -> None:
    """One that does not know the kind compares lists as a whole, so each of them has to be complete."""
    for body in installed:
        live = json.loads(control_plane.kubectl("get", body["kind"], body["metadata"]["name"], "--output=json"))
        assert lists(live["spec"]) == lists(body["spec"])


def policies(namespace: str, *watched: str) -> list[Body]:
    rendered = template(f"--set=operator.watchNamespaces={{{','.join(watched)}}}", namespace=namespace)
    made = [body for body in rendered if body["kind"] in POLICIES]
    assert len(made) == len(POLICIES)
    return made


def lists(below: dict[str, Any], path: str = "") -> dict[str, Any]:
    """All lists, by where they are."""
    found: dict[str, Any] = {}
    for key, value in below.items():
        if isinstance(value, list):
            found[f"{path}/{key}"] = value
        elif isinstance(value, dict):
            found |= lists(value, f"{path}/{key}")
    return found
