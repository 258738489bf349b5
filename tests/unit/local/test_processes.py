from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agora_transcription.local.processes import GuardedProcess, ProcessEndedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAYS_SO_AND_STAYS = "import time; print('up', flush=True); time.sleep(60)"
TIDIES_UP = """
import signal, sys, time
def tidy(*_):
    print('tidied', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, tidy)
print('up', flush=True)
time.sleep(60)
"""
WILL_NOT_GO = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
)


@pytest.mark.parametrize(
    ("code", "expected"), [("exit(0)", 0), ("exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_code_is_the_commands_own(tmp_path: Path, code: str, expected: int) -> None:
    process = python(tmp_path, code)
    assert process.wait(10) == expected
    with pytest.raises(ProcessEndedError) as raised:
        process.check()
    assert (raised.value.name, raised.value.returncode) == ("it", expected)
    process.stop()


def test_a_running_process_is_stopped_in_its_own_time(tmp_path: Path) -> None:
    process = python(tmp_path, TIDIES_UP)
    until(lambda: "up" in process.log_tail())
    process.check()
    process.stop()
    assert process.log_tail() == "up\ntidied"
    assert process.wait(0) == 0


def test_one_that_will_not_go_is_killed_after_its_grace(tmp_path: Path) -> None:
    process = python(tmp_path, WILL_NOT_GO, grace_seconds=0.2)
    until(lambda: "up" in process.log_tail())
    started = time.monotonic()
    process.stop()
    assert 0.2 <= time.monotonic() - started < 10
    assert process.wait(0) == 128 + signal.SIGKILL


def test_without_grace_it_is_killed_at_once(tmp_path: Path) -> None:
    process = python(tmp_path, TIDIES_UP, grace_seconds=0)
    until(lambda: "up" in process.log_tail())
    process.stop()
    assert "tidied" not in process.log_tail()


def test_the_folder_goes_with_a_stopped_process_and_stays_with_one_that_failed(tmp_path: Path) -> None:
    gone, kept = tmp_path / "gone", tmp_path / "kept"
    gone.mkdir()
    kept.mkdir()
    stopped = python(tmp_path, SAYS_SO_AND_STAYS, remove=gone)
    failed = python(tmp_path, "exit('out of luck')", remove=kept)
    assert failed.wait(10) == 1
    stopped.stop()
    failed.stop()
    assert not gone.exists()
    assert kept.exists()


def test_what_still_runs_says_so_when_waited_for(tmp_path: Path) -> None:
    process = python(tmp_path, SAYS_SO_AND_STAYS)
    with pytest.raises(TimeoutError, match="it still runs"):
        process.wait(0.01)
    process.stop()
    process.stop()


def test_the_log_tail_is_its_last_lines(tmp_path: Path) -> None:
    process = python(tmp_path, "for n in range(30): print(n)")
    process.wait(10)
    assert process.log_tail(2) == "28\n29"
    process.stop()


def python(folder: Path, code: str, *, grace_seconds: float = 5, remove: Path | None = None) -> GuardedProcess:
    log = folder / f"{abs(hash(code))}.log"
    return GuardedProcess("it", [sys.executable, "-c", code], log=log, grace_seconds=grace_seconds, remove=remove)


def until(holds: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)
