"""The release archive of envtest: the Kubernetes project's own builds of etcd, kube-apiserver and kubectl.

Seconds instead of the minutes of a build, where the network gives it; a network that does not is noticed at once and is
no error. The archive has no kube-controller-manager.

The index, its fields and the archive's layout are those that controller-tools publishes and setup-envtest reads.
"""

from __future__ import annotations

import hashlib
import io
import platform
import re
import tarfile
from typing import TYPE_CHECKING

import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["INDEX_URL", "ArchiveCorruptError", "fetch_release", "newest_archive", "platform_name"]

INDEX_URL = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml"

_TIMEOUT = httpx.Timeout(60, connect=3)
"""Seconds: a closed network shows at the connect, an open one may take its time with 100 MB."""

_MEMBERS = ("etcd", "kube-apiserver", "kubectl")


class ArchiveCorruptError(RuntimeError):
    """An archive that is not what its index says."""


def fetch_release(kubernetes_version: str, directory: Path, index_url: str = INDEX_URL) -> str | None:
    """Fetch the newest archive of a minor release for this platform and unpack its binaries.

    Args:
        kubernetes_version: for example `v1.36.3`; of which the minor release counts.
        directory: where the binaries go; it exists.
        index_url: the list of archives.

    Returns:
        Absent when the binaries are there, else why not.

    Raises:
        ArchiveCorruptError: the archive's SHA-512 is not the index's, or a program is missing in it.
    """
    try:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
            index = yaml.safe_load(client.get(index_url).raise_for_status().content)
            found = newest_archive(index["releases"], kubernetes_version, platform_name())
            if found is None:
                return f"it lists none of {kubernetes_version}'s minor release for {platform_name()}"
            url, sha512 = found
            content = client.get(url).raise_for_status().content
    except httpx.HTTPError as error:
        return str(error)
    if hashlib.sha512(content).hexdigest() != sha512:
        raise ArchiveCorruptError(f"the SHA-512 of {url} is not the one that {index_url} has for it")
    _unpack(content, directory)
    return None


def newest_archive(
    releases: Mapping[str, Mapping[str, Mapping[str, str]]], kubernetes_version: str, platform_: str
) -> tuple[str, str] | None:
    """Choose from the index.

    Args:
        releases: the index's `releases`: version to archive name to `hash` and `selfLink`.
        kubernetes_version: for example `v1.36.3`; of which the minor release counts.
        platform_: for example `linux-amd64`.

    Returns:
        The URL and the SHA-512 of the newest patch release's archive; absent when there is none.
    """
    minor = kubernetes_version.rsplit(".", 1)[0]
    patches = sorted(int(found[1]) for name in releases if (found := re.fullmatch(rf"{re.escape(minor)}\.(\d+)", name)))
    for patch in reversed(patches):
        version = f"{minor}.{patch}"
        archive = releases[version].get(f"envtest-{version}-{platform_}.tar.gz")
        if archive:
            return archive["selfLink"], archive["hash"]
    return None


def platform_name() -> str:
    """This machine as Go names it, for example `linux-amd64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def _unpack(content: bytes, directory: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for name in _MEMBERS:
            try:
                member = archive.extractfile(f"controller-tools/envtest/{name}")
            except KeyError:
                member = None
            if member is None:
                raise ArchiveCorruptError(f"the archive holds no {name}")
            (directory / name).write_bytes(member.read())
            (directory / name).chmod(0o755)
