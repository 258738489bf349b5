"""The demo as a user runs it, from its first line to its last."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def acted(command: list[str], story: tuple[str, ...], timeout: float) -> str:
    """Run a demo to its end; answers its output, whose lines begin so, in this order; others may stand between them."""
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = iter(done.stdout.splitlines())
    for expected in story:
        assert any(line.startswith(expected) for line in lines), f"{expected!r} is missing in\n{done.stdout}"
    assert done.stderr == ""
    return done.stdout
