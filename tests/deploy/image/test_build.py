"""`make image` says what is missing; `make image-test` builds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy" / "image" / "build.sh"


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH with what the script needs, and no builder."""
    for command in ("bash", "dirname", "env", "git"):
        found = shutil.which(command)
        assert found
        (tmp_path / command).symlink_to(found)
    return tmp_path


def build(commands: Path, **environment: str) -> tuple[int, str]:
    bound = {"PATH": str(commands), "IMAGE": "localhost/built:1", "VERSION": "1"} | environment
    done = subprocess.run([SCRIPT], env=bound, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def a_command(commands: Path, name: str, script: str) -> None:
    (commands / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
    (commands / name).chmod(0o755)


def test_no_builder_is_said_with_what_to_install(commands: Path) -> None:
    said = "make image: no builder: it needs Docker with its engine running, Podman, or Buildah.\n"
    assert build(commands) == (1, said)
    # Docker's command without its engine is none.
    a_command(commands, "docker", '[[ $1 != info ]] || exit 1; echo "it was used all the same"')
    assert build(commands) == (1, said)


def test_a_builder_that_is_named_has_to_be_there_and_known(commands: Path) -> None:
    known = "docker, podman and buildah"
    assert build(commands, BUILDER="img") == (1, f"make image: there is no command BUILDER=img: {known} are known.\n")
    a_command(commands, "img", "echo used")
    assert build(commands, BUILDER="img") == (1, f"make image: BUILDER=img is not known: {known} are.\n")


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_the_builder_gets_base_flags_and_what_the_labels_say(commands: Path, builder: str) -> None:
    a_command(commands, builder, 'printf "%s\\n" "$@"')
    code, said = build(commands, BASE="localhost/base", BUILD_FLAGS="--network=host -v /a:/a:ro")
    assert code == 0
    arguments = said.splitlines()
    assert {"BASE=localhost/base", "VERSION=1", "localhost/built:1", "--network=host", "/a:/a:ro"} <= set(arguments)
    assert arguments[-1] == "."
    assert any(line.startswith("CREATED=20") for line in arguments)
    # The commit's time on every file, where the builder's command can do that.
    assert ("--timestamp" in arguments) == (builder != "docker")
