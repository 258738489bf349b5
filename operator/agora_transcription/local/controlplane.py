"""A real Kubernetes control plane on this machine, without containers and without root, in seconds.

etcd, kube-apiserver and kube-controller-manager as processes: what a fake API server gets wrong (resource versions,
admission, the status subresource, RBAC, finalizers, watches) is exactly what an operator stands on. There are no nodes,
so nothing that is scheduled runs.

It is closed to other users of the machine: etcd listens on a Unix socket in a private folder, the API server on
loopback with TLS, a bearer token and RBAC. It needs no certificate tool: kube-apiserver signs its own serving
certificate, and the key with which it signs ServiceAccount tokens is the one that etcd makes for its own peers.

`python -m agora_transcription.local.controlplane` runs one until Ctrl-C.
"""

from __future__ import annotations

import base64
import secrets
import shutil
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from agora_transcription.local.binaries import Binaries, BinariesNotFoundError, find_binaries
from agora_transcription.local.cluster import Cluster, write_kubeconfig
from agora_transcription.local.processes import GuardedProcess, ProcessEndedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["ControlPlane", "StartTimeoutError", "main"]

_START_TIMEOUT_SECONDS = 60.0
"""Twenty times what a start takes on two idle cores."""

_CONTROLLERS = (
    # Without these, foreground deletion (the way Argo CD prunes) and the deletion of a namespace never end.
    "garbage-collector-controller",
    "namespace-controller",
    # A namespace's `default` ServiceAccount, and the rules of `view`, `edit` and `admin` from aggregated ClusterRoles.
    "serviceaccount-controller",
    "clusterrole-aggregation-controller",
)


class StartTimeoutError(TimeoutError):
    """A part of the control plane runs but does not become ready; the message carries the end of its log."""


class ControlPlane(Cluster):
    """A control plane that lives from `start` to `stop` (or as long as the `with` block), and never longer than we do.

    Everything it writes is in one private folder. Made, it holds that folder and a port; `stop` gives both back.

    Attributes:
        kubeconfig: the administrator's (group `system:masters`).
        url: where the API server listens.
        has_controllers: whether kube-controller-manager runs; without it foreground deletion and the deletion of
            namespaces never end (the release archive of envtest has none).

    Args:
        binaries: what to run; absent: as `find_binaries` finds or builds them.
    """

    def __init__(self, binaries: Binaries | None = None) -> None:
        self._binaries = binaries or find_binaries()
        directory = Path(tempfile.mkdtemp(prefix="agora-transcription-"))
        super().__init__(directory / "admin.kubeconfig", self._binaries.kubectl, directory)
        self.has_controllers = self._binaries.kube_controller_manager is not None
        self._processes: list[GuardedProcess] = []
        self._port = _reserve_port()
        self.url = f"https://127.0.0.1:{self._port.getsockname()[1]}"

    def start(self) -> Self:
        """Start everything and wait until the API server says that it is ready.

        Raises:
            ProcessEndedError: a process ended at once.
            StartTimeoutError: one does not become ready.
        """
        try:
            self._start_etcd()
            self._start_apiserver()
            if self._binaries.kube_controller_manager:
                self._start_controller_manager(self._binaries.kube_controller_manager)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process and remove the folder. Harmless when it has been stopped already."""
        while self._processes:
            self._processes.pop().stop()
        self._port.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def check(self) -> None:
        """Make sure that every process still runs.

        Raises:
            ProcessEndedError: one has ended.
        """
        for process in self._processes:
            process.check()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_etcd(self) -> None:
        # Relative: a Unix socket's path is limited to about 100 characters. Each must look as if it had a port.
        etcd = self._run(
            self._binaries.etcd,
            "--name=local",
            "--data-dir=etcd",
            "--listen-client-urls=unix://etcd.sock:0",
            "--advertise-client-urls=unix://etcd.sock:0",
            "--listen-peer-urls=unixs://peer.sock:0",
            "--initial-advertise-peer-urls=unixs://peer.sock:0",
            "--initial-cluster=local=unixs://peer.sock:0",
            "--peer-auto-tls",  # makes the key that signs ServiceAccount tokens
            "--unsafe-no-fsync",  # the data goes with the process
            "--log-level=warn",
            remove=self.directory,
        )
        self._wait_until(etcd, (self.directory / "etcd.sock:0").exists)

    def _start_apiserver(self) -> None:
        token = secrets.token_urlsafe(32)
        tokens = self.directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f"{token},admin,admin,system:masters\n")
        signing_key = "etcd/fixtures/peer/key.pem"
        apiserver = self._run(
            self._binaries.kube_apiserver,
            "--etcd-servers=unix://etcd.sock:0",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port.getsockname()[1]}",
            "--permit-port-sharing",  # with the socket that reserves the port
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # a loopback address is no Endpoint
            "--cert-dir=certificates",
            f"--token-auth-file={tokens.name}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={signing_key}",
            f"--service-account-signing-key-file={signing_key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",  # mounts tokens into pods, and no pod runs here
            "--profiling=false",
        )
        certificate = self.directory / "certificates" / "apiserver.crt"
        self._wait_until(apiserver, lambda: _is_ready(self.url, token, certificate))
        authority = base64.b64encode(certificate.read_bytes()).decode()
        write_kubeconfig(self.kubeconfig, {"server": self.url, "certificate-authority-data": authority}, token)

    def _start_controller_manager(self, binary: Path) -> None:
        self._run(
            binary,
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(_CONTROLLERS)}",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def _run(self, binary: Path, *arguments: str, remove: Path | None = None) -> GuardedProcess:
        process = GuardedProcess(
            binary.name,
            [binary, *arguments],
            log=self.directory / f"{binary.name}.log",
            directory=self.directory,
            grace_seconds=0,  # nothing is kept, so there is nothing to finish
            remove=remove,
        )
        self._processes.append(process)
        return process

    def _wait_until(self, process: GuardedProcess, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not is_ready():
            process.check()
            if time.monotonic() > deadline:
                waited = f"{process.name} is not ready after {_START_TIMEOUT_SECONDS:.0f} s"
                raise StartTimeoutError(f"{waited}; the end of its log:\n{process.log_tail()}")
            time.sleep(0.1)


def main() -> None:
    """Run a control plane until Ctrl-C, and print how to use it."""
    try:
        with ControlPlane() as control_plane:
            print(f"export KUBECONFIG={control_plane.kubeconfig}", flush=True)
            print(f"Kubernetes at {control_plane.url}; Ctrl-C ends it and removes all it holds.", file=sys.stderr)
            while True:
                control_plane.check()
                time.sleep(1)
    except KeyboardInterrupt:
        return
    except (BinariesNotFoundError, ProcessEndedError, StartTimeoutError) as error:
        sys.exit(str(error))


def _reserve_port() -> socket.socket:
    """Bind a free loopback port without listening on it: nobody else gets it before the API server shares it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def _is_ready(url: str, token: str, certificate: Path) -> bool:
    try:
        trusted = ssl.create_default_context(cafile=certificate)
        answer = httpx.get(
            f"{url}/readyz", headers={"Authorization": f"Bearer {token}"}, verify=trusted, timeout=5, trust_env=False
        )
    except (OSError, ssl.SSLError, httpx.TransportError):
        return False
    return answer.status_code == httpx.codes.OK


if __name__ == "__main__":
    main()
