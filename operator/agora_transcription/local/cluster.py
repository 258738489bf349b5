"""A cluster as a kubectl user sees it: one kubeconfig, and what is asked of it.

The demo runs on the control plane of this package or on a cluster that is there already (kind, say); both are a
`Cluster` to it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from agora_transcription.local.binaries import find_binaries

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Cluster", "KubectlError", "write_kubeconfig"]

_TOKEN_LIFETIME = "24h"  # noqa: S105 - a duration: longer than any demo or test run


class KubectlError(RuntimeError):
    """kubectl ended in failure; the message is the command and what it said, never what it was given to read.

    Attributes:
        returncode: kubectl's exit code.
        stderr: what it wrote to standard error.
    """

    def __init__(self, arguments: tuple[str, ...], returncode: int, stderr: str) -> None:
        self.returncode = returncode
        self.stderr = stderr
        super().__init__(f"kubectl {' '.join(arguments)} ended with exit code {returncode}: {stderr.strip()}")


class Cluster:
    """A cluster behind one kubeconfig.

    Args:
        kubeconfig: whose current context is used, by path.
        kubectl: the kubectl binary.
        directory: where kubectl's cache and the kubeconfigs made here go; they hold tokens, so it should be private.
    """

    def __init__(self, kubeconfig: Path, kubectl: Path, directory: Path) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl_binary = kubectl
        self.directory = directory

    @staticmethod
    def of_context(context: str | None, directory: Path, kubeconfig: str | None = None) -> Cluster:
        """A cluster that is there already, by a kubeconfig that knows this context and no other.

        Args:
            context: by name; None for the kubeconfig's current one.
            directory: where the kubeconfig goes, and what is said of `directory` above.
            kubeconfig: which has the context, by path; None for where kubectl looks for it.

        Raises:
            KubectlError: there is no such context.
        """
        kubectl = Path(shutil.which("kubectl") or find_binaries().kubectl)
        given = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
        chosen = [f"--context={context}"] if context else []
        one = _run([kubectl, *given], (*chosen, "config", "view", "--raw", "--minify", "--flatten"))
        path = directory / "kubeconfig"
        _write_private(path, one)
        return Cluster(path, kubectl, directory)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl against this cluster.

        Args:
            arguments: what stands behind `kubectl`, for example `"get", "ttask", "-o", "name"`.
            stdin: what it reads with `-f -`.

        Returns:
            What it wrote to standard output.

        Raises:
            KubectlError: it ended in failure.
        """
        # A cache of its own: the default one is keyed by host and port, and ports are used again.
        bound = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.directory / 'kubectl-cache'}"]
        return _run([self.kubectl_binary, *bound], arguments, stdin)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Make a kubeconfig that is this ServiceAccount, by a token of the TokenRequest API, good for 24 hours.

        Args:
            namespace: the ServiceAccount's namespace, and the context's default.
            name: the ServiceAccount's name.

        Returns:
            The kubeconfig's path, readable by this user only.

        Raises:
            KubectlError: there is no such ServiceAccount.
        """
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", f"--duration={_TOKEN_LIFETIME}")
        admin = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        path = self.directory / f"{namespace}.{name}.kubeconfig"
        write_kubeconfig(path, admin["clusters"][0]["cluster"], token.strip(), namespace=namespace)
        return path


def write_kubeconfig(path: Path, cluster: dict[str, str], token: str, *, namespace: str = "default") -> None:
    """Write a kubeconfig of one context, readable by this user only.

    Args:
        path: where to.
        cluster: the kubeconfig's cluster: `server` and `certificate-authority-data`.
        token: the user's bearer token.
        namespace: the context's default namespace.
    """
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "local", "user": {"token": token}}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local", "namespace": namespace}}],
        "current-context": "local",
    }
    _write_private(path, yaml.safe_dump(config, sort_keys=False))


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read at any time."""
    path.touch(mode=0o600)
    path.write_text(text)


def _run(kubectl: Sequence[str | Path], arguments: tuple[str, ...], stdin: str | None = None) -> str:
    done = subprocess.run([*kubectl, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KubectlError(arguments, done.returncode, done.stderr)
    return done.stdout
