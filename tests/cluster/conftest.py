"""One real control plane for the whole run, with the project's CRD, and a namespace for each test that asks for one."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agora_transcription.local.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as started:
        started.kubectl("apply", "-f", str(CRDS))
        started.kubectl("wait", "--for=condition=Established", "--all", "crd", "--timeout=30s")
        yield started


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    # What a test leaves behind may hold a finalizer that nobody removes any more.
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
