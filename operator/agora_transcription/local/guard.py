"""Runs one command that must not outlive whoever started it.

A killed parent cannot clean up, and only Linux can tie a child's life to its parent's (and there to the parent's
*thread*). A pipe works everywhere: the guard holds the reading end as its standard input, the kernel closes the
writing end however the parent ends, and the guard then ends the command. Stopping in an orderly way is the same thing:
the parent closes the pipe. So there is one way to the end, and each stop exercises what a crash relies on.

It is run as a script of its own, not imported: `python guard.py GRACE REMOVE COMMAND...`. It needs the standard library
only, so that it starts in milliseconds.
"""

import os
import select
import shutil
import signal
import subprocess
import sys

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run a command until it ends, or until standard input does; then leave with the command's exit code.

    Must be the leader of its process group: what the command started and left behind ends with it.

    Args:
        arguments: the seconds between SIGTERM and SIGKILL (0: SIGKILL at once), a folder to remove once the command
            was ended from outside (empty: none; the log of one that failed may be in it), then the command.
    """
    grace, remove, *command = arguments
    wake, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        readable, _, _ = select.select([sys.stdin.fileno(), wake], [], [])
        if sys.stdin.fileno() in readable or set(os.read(wake, 64)) != {signal.SIGCHLD}:
            _end(child, float(grace))
            if remove:
                shutil.rmtree(remove, ignore_errors=True)
    code = child.returncode

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    sys.exit(code if code >= 0 else 128 - code)


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    if grace:
        child.terminate()
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        else:
            return
    child.kill()
    child.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
