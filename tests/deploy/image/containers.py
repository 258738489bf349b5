"""Containers of the image.

From the environment, as make sets it: IMAGE; RUNNER, which runs containers (`docker`, or `podman --runtime runc`);
RUN_FLAGS, which are given to every `run`.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import uuid
from typing import TYPE_CHECKING, Any, Final

from agora_transcription import __version__
from support.processes import Operator

if TYPE_CHECKING:
    from pathlib import Path

IMAGE: Final = os.environ.get("IMAGE", f"localhost/agora-transcription:{__version__}")

RUNNER: Final = shlex.split(os.environ.get("RUNNER", "docker"))

RESTRICTED: Final = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
"""What a namespace with restricted Pod Security asks for, and the read-only root that the manifests add."""


def run_command(*options: str) -> list[str]:
    """`run` with everything but the image."""
    # Podman's own --read-only leaves /tmp writable; Kubernetes does not.
    tmpfs = ["--read-only-tmpfs=false"] if "podman" in RUNNER[0] else []
    return [*RUNNER, "run", "--rm", *shlex.split(os.environ.get("RUN_FLAGS", "")), *RESTRICTED, *tmpfs, *options]


def run(*arguments: str, options: tuple[str, ...] = ()) -> str:
    """Run a container to its end; answers its output."""
    done = subprocess.run([*run_command(*options), IMAGE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(done.args)}\n{done.stdout}{done.stderr}"
    return done.stdout


def python(code: str) -> Any:
    """Run code in the image's environment; answers what it printed, as JSON."""
    return json.loads(run("-c", code, options=("--entrypoint=python3",)))


def inspected() -> dict[str, Any]:
    """What the image says of itself."""
    found: list[dict[str, Any]] = json.loads(
        subprocess.run([*RUNNER, "image", "inspect", IMAGE], capture_output=True, check=True).stdout
    )
    return found[0]


class OperatorContainer(Operator):
    """The operator out of the image, as in a Pod, but in this machine's network: the API server listens on loopback."""

    def __init__(self, log: Path, service_account: Path, server: str, agora_url: str, *flags: str) -> None:
        self.name = f"agora-transcription-test-{uuid.uuid4().hex[:8]}"
        host, _, port = server.removeprefix("https://").partition(":")
        self.program = (
            *run_command(
                f"--name={self.name}",
                "--network=host",
                f"--volume={service_account}:/var/run/secrets/kubernetes.io/serviceaccount:ro",
                f"--env=KUBERNETES_SERVICE_HOST={host}",
                f"--env=KUBERNETES_SERVICE_PORT={port}",
            ),
            IMAGE,
        )
        super().__init__(log, None, None, agora_url, *flags)

    def remove(self) -> None:
        """End the container, in whichever state it is; the process that started it ends with it."""
        subprocess.run([*RUNNER, "rm", "--force", self.name], capture_output=True, check=False)
        self.kill()
