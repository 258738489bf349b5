from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from agora_transcription.local import manifests
from agora_transcription.local.processes import ProcessEndedError
from agora_transcription.local.terminal import StepFailed, Terminal, relative

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, os.environ, check=lambda: None)


def test_a_command_is_shown_as_it_could_be_typed_with_what_it_said(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    output = terminal.run("sh", "-c", "echo out; echo err >&2", expect="it speaks")
    assert output == "out\nerr"
    assert capsys.readouterr().out == "$ sh -c 'echo out; echo err >&2'\nout\nerr\n"


def test_an_unexpected_outcome_names_the_step_what_was_expected_and_what_was_seen(terminal: Terminal) -> None:
    with pytest.raises(StepFailed) as failed:
        terminal.run("echo", "Pending", expect="the task is Running", seen=lambda output: "Running" in output)
    assert str(failed.value) == "The step failed: echo Pending\nExpected: the task is Running.\nSeen: Pending"


def test_a_command_that_ends_in_failure_is_no_outcome_whatever_it_said(terminal: Terminal) -> None:
    with pytest.raises(StepFailed, match=r"Seen: Running\n\(exit code 3\)"):
        terminal.run("sh", "-c", "echo Running; exit 3", expect="the task is Running", seen=lambda _: True)


def test_a_process_that_ends_beneath_a_command_ends_the_command(tmp_path: Path) -> None:
    def check() -> None:
        raise ProcessEndedError("etcd", 137, "the end of its log")

    began = time.monotonic()
    with pytest.raises(StepFailed, match=r"The step failed: sleep 60\n.*\nSeen: etcd ended with exit code 137"):
        Terminal(tmp_path, os.environ, check).run("sleep", "60", expect="it sleeps")
    assert time.monotonic() - began < 30


def test_an_answer_that_does_not_come_fails_the_step(terminal: Terminal) -> None:
    with pytest.raises(StepFailed, match=r"Expected: Agora answers\.\nSeen: no answer: "):
        terminal.curl("http://127.0.0.1:1/simulator/tasks", expect="Agora answers", seen=lambda _: True)


def test_a_path_is_short_only_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "deploy" / "samples") == "deploy/samples"
    assert relative(tmp_path.parent) == str(tmp_path.parent)


def test_the_manifests_of_a_wheel_stand_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = tmp_path / "manifests"
    names = ("crds", "rbac", "admission", "samples")
    for name in names:
        (packaged / name).mkdir(parents=True)
    monkeypatch.setattr(manifests, "_PACKAGED", packaged)
    found = manifests.find_manifests()
    folders = (found.crds, found.rbac, found.admission, found.samples)
    assert folders == tuple(packaged / name for name in names)


def test_a_missing_folder_of_manifests_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "_CHECKOUT", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"the folder .*crds is missing"):
        manifests.find_manifests()
