"""A terminal that types by itself: commands are shown as a user would type them, run as they are shown, and checked.

What is printed behind a `$` is what ran, and what stands under it is what it said. A step whose outcome was not the
expected one ends the demo.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from agora_transcription.local.processes import GuardedProcess, ProcessEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["StepFailed", "Terminal", "relative"]

_START_TIMEOUT_SECONDS: Final = 30.0
"""Ten times what the simulator or the operator takes to start on two idle cores."""

_COMMAND_TIMEOUT_SECONDS: Final = 90.0
"""More than any `--timeout` that the demo gives kubectl."""

_CALL_SECONDS: Final = 30.0
"""More than the gateway takes to start or to stop a transcription."""

_PAUSE_SECONDS: Final = 0.1

_EXCERPT: Final = 2000
"""Characters of an answer that are shown when it is not the expected one."""


class StepFailed(Exception):
    """A step was not seen to happen; the message names it, what was expected, and what was seen instead."""

    def __init__(self, step: str, expected: str, seen: str) -> None:
        excerpt = seen if len(seen) <= _EXCERPT else f"{seen[:_EXCERPT]} ..."
        super().__init__(f"The step failed: {step}\nExpected: {expected}.\nSeen: {excerpt or 'nothing'}")


class Terminal:
    """Types commands, one after the other, and keeps the processes that run in the background.

    Args:
        directory: where the logs of the processes go, and what a command says; it goes with the first process that is
            ended from outside, be it because this one was killed.
        environment: of every command.
        check: raises ProcessEndedError when something beneath has ended, the control plane say.

    Attributes:
        background: the processes by name, in the order of their start.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], check: Callable[[], None]) -> None:
        self._directory = directory
        self._environment = environment
        self._check_beneath = check
        self.background: dict[str, GuardedProcess] = {}

    def say(self, text: str) -> None:
        """Tell what comes next, as a comment between the commands."""
        print(f"\n# {text}", flush=True)

    def run(self, *command: str, expect: str, seen: Callable[[str], bool] = bool) -> str:
        """Type a command and wait for its end.

        Args:
            command: the program and its arguments.
            expect: the outcome, as a clause: "the task becomes Ready".
            seen: whether what the command said is that outcome; absent: that it said anything.

        Returns:
            What it said, standard error included.

        Raises:
            StepFailed: it ended in failure or said something else, or a process in the background ended meanwhile.
        """
        typed = shlex.join(command)
        print(f"$ {typed}", flush=True)
        log = self._directory / "command.log"
        log.unlink(missing_ok=True)
        process = GuardedProcess(command[0], command, log=log, environment=self._environment, grace_seconds=1)
        try:
            code = self._wait(process, typed, expect)
        finally:
            process.stop()
        output = log.read_text(errors="replace").rstrip("\n")
        print(output, flush=True)
        if code or not seen(output):
            raise StepFailed(typed, expect, f"{output}\n(exit code {code})" if code else output)
        return output

    def curl(
        self,
        url: str,
        *,
        content: object = None,
        upload: Path | None = None,
        expect: str,
        seen: Callable[[Any], bool],
    ) -> Any:  # noqa: ANN401 - any JSON
        """Type a curl command and show the answer; curl itself need not be there.

        Args:
            url: answers JSON.
            content: what is posted, as JSON.
            upload: a file that is put there.
            expect: the outcome, as a clause.
            seen: whether the answer is that outcome.

        Returns:
            The answer.

        Raises:
            StepFailed: there is no answer, or another one.
        """
        method, options, body = "GET", [], b""
        headers = {}
        if content is not None:
            body, headers = json.dumps(content).encode(), {"Content-Type": "application/json"}
            method, options = "POST", ["--json", body.decode()]
        elif upload is not None:
            method, options, body = "PUT", ["--upload-file", relative(upload)], upload.read_bytes()
        typed = shlex.join(["curl", *options, url])
        print(f"$ {typed}", flush=True)
        try:
            answer = httpx.request(method, url, content=body, headers=headers, timeout=_CALL_SECONDS, trust_env=False)
        except httpx.TransportError as error:
            raise StepFailed(typed, expect, f"no answer: {error}") from None
        print(answer.text, flush=True)
        if answer.is_error or not seen(answer.json()):
            raise StepFailed(typed, expect, f"{answer.status_code} {answer.text}")
        return answer.json()

    def start(self, name: str, *arguments: str, ready: Callable[[GuardedProcess], bool]) -> GuardedProcess:
        """Start a sub-command of `agora-transcription` in the background and wait until it is ready.

        Args:
            name: the sub-command.
            arguments: its flags.
            ready: whether it is; asked again and again.

        Raises:
            StepFailed: it ends, or is not ready in time.
        """
        typed = f"{shlex.join(('agora-transcription', name, *arguments))} &"
        print(f"$ {typed}", flush=True)
        expect = f"the {name} becomes ready within {_START_TIMEOUT_SECONDS:.0f} s"
        process = self.background[name] = GuardedProcess(
            name,
            [sys.executable, "-m", "agora_transcription", name, *arguments],
            log=self._directory / f"{name}.log",
            environment=self._environment,
            remove=self._directory,
        )
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not ready(process):
            self._check(typed, expect)
            if time.monotonic() > deadline:
                raise StepFailed(typed, expect, "it runs and is not ready")
            time.sleep(_PAUSE_SECONDS)
        return process

    def check(self) -> None:
        """Make sure that everything in the background still runs.

        Raises:
            ProcessEndedError: something has ended.
        """
        self._check_beneath()
        for process in self.background.values():
            process.check()

    def close(self) -> None:
        """End what runs in the background, the last first."""
        while self.background:
            self.background.popitem()[1].stop()

    def _wait(self, process: GuardedProcess, typed: str, expect: str) -> int:
        deadline = time.monotonic() + _COMMAND_TIMEOUT_SECONDS
        while True:
            try:
                return process.wait(_PAUSE_SECONDS)
            except TimeoutError:
                self._check(typed, expect)
            if time.monotonic() > deadline:
                raise StepFailed(typed, expect, f"no end of it in {_COMMAND_TIMEOUT_SECONDS:.0f} s")

    def _check(self, typed: str, expect: str) -> None:
        try:
            self.check()
        except ProcessEndedError as error:
            raise StepFailed(typed, expect, f"{error.name} ended with exit code {error.returncode}") from None


def relative(path: Path) -> str:
    """A path as one would type it here: below the current folder without the way there, else in full."""
    return os.fspath(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
