"""Containers of the image.

From the environment, as make sets it: IMAGE; RUNNER, which runs containers (`docker`, or `podman --runtime runc`);
RUN_FLAGS, which are given to every `run`. The variant that has the speech engines is called as IMAGE is, with -stt.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import uuid
from typing import TYPE_CHECKING, Any, Final

from agora_transcription import __version__
from support.processes import Operator, Stt

if TYPE_CHECKING:
    from pathlib import Path

IMAGE: Final = os.environ.get("IMAGE", f"localhost/agora-transcription:{__version__}")

STT_IMAGE: Final = f"{IMAGE}-stt"
"""The variant with the speech engines."""

RUNNER: Final = shlex.split(os.environ.get("RUNNER", "docker"))

RESTRICTED: Final = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
"""What a namespace with restricted Pod Security asks for, and the read-only root that the manifests add."""


def run_command(*options: str) -> list[str]:
    """`run` with everything but the image."""
    # Podman's own --read-only leaves /tmp writable; Kubernetes does not.
    tmpfs = ["--read-only-tmpfs=false"] if "podman" in RUNNER[0] else []
    return [*RUNNER, "run", "--rm", *shlex.split(os.environ.get("RUN_FLAGS", "")), *RESTRICTED, *tmpfs, *options]


def run(*arguments: str, image: str = IMAGE, options: tuple[str, ...] = (), code: int = 0) -> str:
    """Run a container to its end, with an exit code; answers its output, or what went wrong."""
    done = subprocess.run([*run_command(*options), image, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{shlex.join(done.args)}\n{done.stdout}{done.stderr}"
    return done.stderr if code else done.stdout


def python(code: str, image: str = IMAGE) -> Any:
    """Run code in the image's environment; answers what it printed, as JSON."""
    return json.loads(run("-c", code, image=image, options=("--entrypoint=python3",)))


def inspected(image: str) -> dict[str, Any]:
    """What the image says of itself."""
    found: list[dict[str, Any]] = json.loads(
        subprocess.run([*RUNNER, "image", "inspect", image], capture_output=True, check=True).stdout
    )
    return found[0]


class Container:
    """A name for a container, by which it is found again."""

    def __init__(self) -> None:
        self.name = f"agora-transcription-test-{uuid.uuid4().hex[:8]}"

    def command(self, image: str, *options: str) -> tuple[str, ...]:
        """What starts it, in this machine's network."""
        return *run_command(f"--name={self.name}", "--network=host", *options), image

    def python(self, code: str) -> Any:
        """Run code beside what runs in it; answers what it printed, as JSON."""
        command = [*RUNNER, "exec", self.name, "python3", "-c", code]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    def remove(self) -> None:
        """End it, in whichever state it is; the process that started it ends with it."""
        subprocess.run([*RUNNER, "rm", "--force", self.name], capture_output=True, check=False)


class OperatorContainer(Operator):
    """The operator out of the image, as in a Pod, but in this machine's network: the API server listens on loopback."""

    def __init__(self, log: Path, service_account: Path, server: str, agora_url: str, *flags: str) -> None:
        self.container = Container()
        host, _, port = server.removeprefix("https://").partition(":")
        self.program = self.container.command(
            IMAGE,
            f"--volume={service_account}:/var/run/secrets/kubernetes.io/serviceaccount:ro",
            f"--env=KUBERNETES_SERVICE_HOST={host}",
            f"--env=KUBERNETES_SERVICE_PORT={port}",
        )
        super().__init__(log, None, None, agora_url, *flags)

    def remove(self) -> None:
        """End the container, in whichever state it is."""
        self.container.remove()
        self.kill()


class SttContainer(Stt):
    """The Socket.IO service out of its image, with a folder that has its keys."""

    def __init__(self, log: Path, keys: Path, *flags: str) -> None:
        self.container = Container()
        self.program = self.container.command(STT_IMAGE, f"--volume={keys}:/etc/stt/keys:ro")
        super().__init__(log, "--api-keys-file=/etc/stt/keys/apiKeys", *flags)

    def remove(self) -> None:
        """End the container, in whichever state it is."""
        self.container.remove()
        self.kill()
