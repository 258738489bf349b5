"""`make image` says what is missing, and gives each builder what it knows; `make image-test` builds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH with what make needs, and no builder."""
    for command in ("find", "git", "make", "sed", "sh"):
        found = shutil.which(command)
        assert found
        (tmp_path / command).symlink_to(found)
    return tmp_path


def build(commands: Path, *variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        ["make", "image", *variables],
        cwd=ROOT,
        env={"PATH": str(commands)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def a_command(commands: Path, name: str, script: str) -> None:
    (commands / name).write_text(f"#!/bin/sh\n{script}\n")
    (commands / name).chmod(0o755)


def test_no_builder_is_said_with_what_to_install(commands: Path) -> None:
    # Docker's command without its engine is none.
    a_command(commands, "docker", "exit 1")
    code, _, said = build(commands)
    assert code
    assert said.startswith("make image needs Docker with its engine running, Podman, or Buildah.\n")


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_the_builder_that_is_there_gets_base_flags_and_what_the_labels_say(commands: Path, builder: str) -> None:
    a_command(commands, builder, 'printf "<%s>" "$@"')
    code, said, _ = build(commands, "IMAGE=localhost/built:1", "BASE=localhost/base", "BUILD_FLAGS=-v /a:/a:ro")
    assert code == 0
    builds = re.findall(r"<--tag><(.*?)><--build-arg><REQUIREMENTS=(.*?)><--build-arg><BASE=localhost/base>", said)
    assert builds == [("localhost/built:1", "runtime"), ("localhost/built:1-stt", "stt")]
    assert "<CREATED=20" in said
    # The commit's time on every file, where the builder's command can do that.
    assert ("<--timestamp>" in said) == (builder != "docker")
    assert said.count("<-v></a:/a:ro><.>") == len(builds)
