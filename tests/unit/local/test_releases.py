from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import yaml

from agora_transcription.local.releases import ArchiveCorruptError, fetch_release, newest_archive, platform_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = {"etcd": b"one", "kube-apiserver": b"two", "kubectl": b"three"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL under which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_archive_is_checked_and_unpacked(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site, archive(PROGRAMS))
    assert fetch_release("v1.36.3", tmp_path, f"{site[1]}/index.yaml") is None
    for name, content in PROGRAMS.items():
        assert (tmp_path / name).read_bytes() == content
        assert (tmp_path / name).stat().st_mode & 0o111


def test_an_archive_with_another_checksum_is_refused(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site, archive(PROGRAMS), sha512="0" * 128)
    with pytest.raises(ArchiveCorruptError, match="SHA-512"):
        fetch_release("v1.36.3", tmp_path, f"{site[1]}/index.yaml")
    assert not (tmp_path / "etcd").exists()


def test_an_archive_without_a_program_is_refused(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site, archive({"etcd": b"one"}))
    with pytest.raises(ArchiveCorruptError, match="kube-apiserver"):
        fetch_release("v1.36.3", tmp_path, f"{site[1]}/index.yaml")


def test_a_missing_page_is_no_error(site: tuple[Path, str], tmp_path: Path) -> None:
    problem = fetch_release("v1.36.3", tmp_path, f"{site[1]}/index.yaml")
    assert problem
    assert "404" in problem


def test_another_minor_release_is_none(site: tuple[Path, str], tmp_path: Path) -> None:
    publish(site, archive(PROGRAMS))
    problem = fetch_release("v1.37.0", tmp_path, f"{site[1]}/index.yaml")
    assert problem == f"it lists none of v1.37.0's minor release for {platform_name()}"


def test_a_closed_network_is_noticed_at_once(tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        started = time.monotonic()
        assert fetch_release("v1.36.3", tmp_path, f"http://127.0.0.1:{unheard.getsockname()[1]}/index.yaml")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("wanted", "platform", "expected"),
    [
        ("v1.36.3", "linux-amd64", ("36.10", "a")),
        ("v1.36.3", "darwin-arm64", ("36.2", "b")),
        ("v1.36.3", "plan9-amd64", None),
        ("v1.3.0", "linux-amd64", None),
    ],
)
def test_the_newest_patch_release_of_the_minor_one_is_chosen(
    wanted: str, platform: str, expected: tuple[str, str] | None
) -> None:
    releases = {
        "v1.36.2": {
            "envtest-v1.36.2-linux-amd64.tar.gz": {"selfLink": "36.2", "hash": "c"},
            "envtest-v1.36.2-darwin-arm64.tar.gz": {"selfLink": "36.2", "hash": "b"},
        },
        "v1.36.10": {"envtest-v1.36.10-linux-amd64.tar.gz": {"selfLink": "36.10", "hash": "a"}},
        "v1.36.11-rc.1": {"envtest-v1.36.11-rc.1-linux-amd64.tar.gz": {"selfLink": "rc", "hash": "d"}},
        "v1.37.0": {"envtest-v1.37.0-linux-amd64.tar.gz": {"selfLink": "37", "hash": "e"}},
    }
    assert newest_archive(releases, wanted, platform) == expected


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def archive(programs: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as written:
        for name, program in programs.items():
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size = len(program)
            written.addfile(member, io.BytesIO(program))
    return content.getvalue()


def publish(site: tuple[Path, str], content: bytes, sha512: str | None = None) -> None:
    folder, url = site
    name = f"envtest-v1.36.2-{platform_name()}.tar.gz"
    (folder / name).write_bytes(content)
    entry = {"selfLink": f"{url}/{name}", "hash": sha512 or hashlib.sha512(content).hexdigest()}
    (folder / "index.yaml").write_text(yaml.safe_dump({"releases": {"v1.36.2": {name: entry}}}))
