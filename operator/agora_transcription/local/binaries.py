"""Finds the programs of a Kubernetes control plane, or gets them.

In this order: the folder that KUBEBUILDER_ASSETS names (the convention of envtest), what an earlier run has cached, the
release archive of envtest, a build from the Go modules.

`python -m agora_transcription.local.binaries` makes sure that they are there, and prints the folder.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agora_transcription.local import gobuild, releases
from agora_transcription.local.cache import appearing, cache_directory, locked
from agora_transcription.local.processes import ProcessEndedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Binaries", "BinariesNotFoundError", "find_binaries", "main"]


class BinariesNotFoundError(RuntimeError):
    """There is no control plane to run, and no way to get one; the message says what was tried."""


@dataclass(frozen=True)
class Binaries:
    """The programs of a control plane, by path.

    Attributes:
        etcd: the store.
        kube_apiserver: the API server.
        kubectl: the client of the same version.
        kube_controller_manager: absent where the set has none (the release archive of envtest).
    """

    etcd: Path
    kube_apiserver: Path
    kubectl: Path
    kube_controller_manager: Path | None

    @classmethod
    def in_directory(cls, directory: Path) -> Self | None:
        """The set in a folder; absent when one of the three that must be there is not."""
        etcd, apiserver, kubectl, manager = (
            directory / name for name in ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")
        )
        if not all(os.access(path, os.X_OK) for path in (etcd, apiserver, kubectl)):
            return None
        return cls(etcd, apiserver, kubectl, manager if os.access(manager, os.X_OK) else None)


def find_binaries(say: Callable[[str], None] | None = None) -> Binaries:
    """Find the programs, or fetch or build them: minutes the first time, nothing after that.

    Args:
        say: takes each line of progress; absent: standard error does.

    Raises:
        BinariesNotFoundError: there are none and none can be had, or KUBEBUILDER_ASSETS names a folder without them.
    """
    say = say or _to_standard_error
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        found = Binaries.in_directory(Path(assets))
        if found is None:
            raise BinariesNotFoundError(
                f"KUBEBUILDER_ASSETS={assets}: etcd, kube-apiserver and kubectl are not all there"
            )
        return found

    cache = cache_directory("controlplane")
    built, released = cache / gobuild.kubernetes_version(), cache / f"{gobuild.kubernetes_version()}-envtest"
    cached = Binaries.in_directory(built) or Binaries.in_directory(released)
    if cached:
        return cached
    with locked(cache, "the control plane", say):
        cached = Binaries.in_directory(built) or Binaries.in_directory(released)
        return cached or _fetch(released, say) or _build(built, say)


def main() -> None:
    """Make sure that the programs are there, and print the folder that holds them."""
    try:
        print(find_binaries().etcd.parent)
    except BinariesNotFoundError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next attempt begins where Go's own cache ends.")


def _fetch(directory: Path, say: Callable[[str], None]) -> Binaries | None:
    say("Fetching the release archive of envtest ...")
    with appearing(directory) as partial:
        try:
            problem = releases.fetch_release(gobuild.kubernetes_version(), partial)
        except releases.ArchiveCorruptError as error:
            raise BinariesNotFoundError(str(error)) from error
        if problem is not None:
            say(f"  not to be had: {problem}")
            shutil.rmtree(partial)
            return None
    return Binaries.in_directory(directory)


def _build(directory: Path, say: Callable[[str], None]) -> Binaries:
    with appearing(directory) as partial:
        try:
            gobuild.build_control_plane(partial, directory.parent, say)
        except (gobuild.NoToolchainError, ProcessEndedError) as error:
            raise BinariesNotFoundError(str(error)) from error
    found = Binaries.in_directory(directory)
    if found is None:
        raise BinariesNotFoundError(f"the build left {directory} without a program that it should have made")
    return found


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
