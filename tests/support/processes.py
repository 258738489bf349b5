"""Operator, gateway, stt and simulator as processes, to be killed like any other, and all that run here."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from itertools import cycle, islice
from typing import TYPE_CHECKING, NamedTuple

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = cycle(range(12_000 + _WORKER % 10 * 2_000, 14_000 + _WORKER % 10 * 2_000))


def free_port() -> int:
    """Find a port that nobody listens on, and that nobody else finds until it is listened on.

    It is none of those that the kernel gives to whoever asks for any, and none of another worker's: a server that comes
    too late ends, and its test would go on with another test's.
    """
    for port in islice(_PORTS, 2_000):
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Listed(NamedTuple):
    """A living process of the machine."""

    pid: int
    parent: int
    group: int
    command: str


def living_processes() -> Iterator[Listed]:
    """All of the machine's."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,pgid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    for line in listed.splitlines():
        pid, parent, group, state, *command = line.split(maxsplit=4)
        if not state.startswith("Z"):
            yield Listed(int(pid), int(parent), int(group), "".join(command))


def wait_until(holds: Callable[[], bool], *, seconds: float = 15.0) -> None:
    """Wait for a condition where there is no event loop."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)


class Process:
    """A sub-command of `agora-transcription` and its log."""

    program: tuple[str, ...] = (sys.executable, "-m", "agora_transcription")

    def __init__(self, log: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.log = log
        self.arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self.program, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; answers the exit code."""
        return self._end(signal.SIGTERM)

    def suspend(self) -> None:
        """SIGSTOP: from here on it does nothing until it is resumed."""
        os.kill(self.pid, signal.SIGSTOP)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"{self.arguments[0]} has ended:\n{self.log.read_text()[-4000:]}"

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def wait_ended(self, timeout: float) -> int:
        """Wait until it ends by itself; answers the exit code."""
        assert self._process is not None
        async with asyncio.timeout(timeout):
            while self._process.poll() is None:
                await asyncio.sleep(0.02)
        return self._process.returncode

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.arguments[0]} does not end:\n{self.log.read_text()[-4000:]}") from None

    async def wait_for(self, url: str, timeout: float = 30, *, status: int = 200) -> None:
        """Wait until a page answers with a status."""
        async with httpx.AsyncClient() as client, asyncio.timeout(timeout):
            while True:
                assert self.running, f"{self.arguments[0]} has ended:\n{self.log.read_text()[-4000:]}"
                try:
                    if (await client.get(url)).status_code == status:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)


class Serving(Process):
    """One that works on a cluster, and serves /readyz and /metrics; without a kubeconfig it is as in a Pod."""

    def __init__(
        self,
        log: Path,
        command: str,
        kubeconfig: Path | None,
        namespace: str | None,
        *flags: str,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.health = f"http://127.0.0.1:{(health := free_port())}"
        self.metrics = f"http://127.0.0.1:{(metrics := free_port())}/metrics"
        super().__init__(
            log,
            command,
            *([f"--kubeconfig={kubeconfig}"] if kubeconfig else []),
            *([f"--namespace={namespace}"] if namespace else []),
            f"--health-address=127.0.0.1:{health}",
            f"--metrics-address=127.0.0.1:{metrics}",
            "--log-level=debug",
            *flags,
            environment=environment,
        )

    async def start_and_wait(self) -> None:
        self.start()
        await self.wait_for(f"{self.health}/readyz")


class Operator(Serving):
    """The operator, under a kubeconfig that the production roles hold for."""

    def __init__(self, log: Path, kubeconfig: Path | None, namespace: str | None, agora_url: str, *flags: str) -> None:
        super().__init__(log, "operator", kubeconfig, namespace, f"--agora-url={agora_url}", *flags)


class Stt(Serving):
    """The Socket.IO service, which needs no cluster."""

    def __init__(self, log: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        super().__init__(log, "stt", None, None, f"--listen=127.0.0.1:{port}", *flags, environment=environment)


class Simulator(Process):
    """An Agora."""

    def __init__(self, log: Path) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        super().__init__(log, "simulator", f"--listen=127.0.0.1:{port}")

    async def start_and_wait(self) -> None:
        self.start()
        await self.wait_for(f"{self.url}/healthz")


class Gateway(Serving):
    """The gateway, under a kubeconfig that the chart's Role holds for."""

    def __init__(self, log: Path, kubeconfig: Path, namespace: str, *flags: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        super().__init__(log, "gateway", kubeconfig, namespace, f"--listen=127.0.0.1:{port}", *flags)
