"""One real control plane for the whole run, with the project's CRD and roles, and a namespace for each test."""

from __future__ import annotations

import base64
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agora_transcription.local.controlplane import ControlPlane
from support.crds import install_crds
from support.world import CHANNEL_KEYS, CREDENTIALS, NOTIFICATION_SECRET, STORAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

BASIC = base64.b64encode(f"{CREDENTIALS['customerId']}:{CREDENTIALS['customerSecret']}".encode()).decode()

NEVER_LOGGED = {
    "the customer's secret": CREDENTIALS["customerSecret"],
    "the certificate": CREDENTIALS["appCertificate"],
    "the basic authentication": BASIC,
    "an RTC token of version 007": "007eJ",
    "an RTC token of version 006": "006" + CREDENTIALS["appId"],
    "a builderToken in a URL": "builderToken=",
    "a notification secret": NOTIFICATION_SECRET,
    **{f"the storage's {key}": value for key, value in STORAGE_KEYS.items()},
    **{f"the channel's {key}": value for key, value in CHANNEL_KEYS.items()},
}
"""What must not stand in any log line of the operator, at whichever level."""


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background jobs ignore SIGINT and hand that on to what they start, which tests interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as started:
        install_crds(started)
        yield started


@pytest.fixture(scope="session")
def operator_kubeconfig(control_plane: ControlPlane) -> Path:
    """The operator's ServiceAccount, with the roles that it has in production and no others."""
    control_plane.kubectl("apply", "-k", str(ROOT / "deploy" / "kustomize" / "rbac"))
    return control_plane.service_account_kubeconfig("agora-transcription", "agora-transcription-operator")


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    yield from a_namespace(control_plane)


@pytest.fixture(scope="module")
def module_namespace(control_plane: ControlPlane) -> Iterator[str]:
    yield from a_namespace(control_plane)


def a_namespace(control_plane: ControlPlane) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    # What a test leaves behind may hold a finalizer that nobody removes any more.
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all operators of the run write their logs; in the end none of them may hold a secret."""
    directory = tmp_path_factory.mktemp("logs")
    yield directory
    written = {path: path.read_text() for path in directory.glob("*-operator.log")}
    # A replica that never led has not logged in to watch.
    began = ("Initial authentication has finished", "Waits for the Lease")
    assert all(any(line in text for line in began) for text in written.values())
    leaks = [f"{what} in {path}" for path, text in written.items() for what, s in NEVER_LOGGED.items() if s in text]
    assert not leaks
