"""Child processes that end with this one, whatever ends it.

The control plane, the simulator and the operator of a demo run for minutes; a Ctrl-C, a failed test or a `kill -9` must
leave none of them behind. Each is started under `guard.py`, which ends it when this process does.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from agora_transcription.local import guard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["GuardedProcess", "ProcessEndedError"]


class ProcessEndedError(RuntimeError):
    """A process ended that should have run on, or ended in failure; the message carries the end of its log.

    Attributes:
        name: what the process is called in messages.
        returncode: its exit code, 128 + n for a process that ended by signal n.
    """

    def __init__(self, name: str, returncode: int, log_tail: str) -> None:
        self.name = name
        self.returncode = returncode
        super().__init__(f"{name} ended with exit code {returncode}; the end of its log:\n{log_tail}")


class GuardedProcess:
    """A running command, its log, and the promise that it ends with this process.

    It runs in a session of its own: a Ctrl-C in the terminal reaches only this process, which then stops its children
    in their order.

    Args:
        name: what to call it in messages.
        command: the program and its arguments.
        log: the file that takes its output, both streams.
        environment: its whole environment; absent: this process's.
        directory: where it runs; absent: where this process does.
        grace_seconds: how long it has between SIGTERM and SIGKILL; 0 kills at once, for what has nothing to lose.
        remove: a folder that goes when the process is stopped, be it because this process was killed.
    """

    def __init__(  # noqa: PLR0913 - keywords, named as subprocess.Popen names them, with two of its own
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        grace_seconds: float = 5.0,
        remove: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        guarded = [sys.executable, "-I", "-S", guard.__file__, str(grace_seconds), str(remove or "")]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*guarded, *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ProcessEndedError: it has ended, with whatever code.
        """
        code = self._process.poll()
        if code is not None:
            raise ProcessEndedError(self.name, code, self.log_tail())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Args:
            timeout: seconds; absent: as long as it takes.

        Returns:
            Its exit code, 128 + n when signal n ended it.

        Raises:
            TimeoutError: it still runs.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {timeout} s") from None

    def stop(self) -> None:
        """End it and what it started, and wait until it is gone. Harmless when it has ended already."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """The end of its log.

        Args:
            lines: how many, at most.
        """
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
