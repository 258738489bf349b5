"""Chromium for the tests of the captions page: the machine's, or else one that is got once.

`CHROMIUM` names one; then the PATH is searched. A machine without one gets it from its own package manager, where that
is apt and the tests run as root, or else from Playwright's download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.async_api import async_playwright

from agora_transcription.local.cache import cache_directory, locked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Browser

__all__ = ["a_browser", "find"]

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)

MISSING: Final = (
    "There is no Chromium, and none could be got: install one (Debian, Ubuntu: apt-get install chromium; Fedora: "
    "dnf install chromium; macOS: brew install --cask chromium), or name one in CHROMIUM."
)


class NoBrowserError(RuntimeError):
    """There is no Chromium, and no way to get one."""


def find(say: Callable[[str], None]) -> Path:
    """The browser's program; it is got where there is none, which takes a minute.

    Args:
        say: takes each line of progress.

    Raises:
        NoBrowserError: It could not be had; the message says what to install.
    """
    if named := os.environ.get("CHROMIUM"):
        if not shutil.which(named):
            raise NoBrowserError(f"CHROMIUM is {named}, which cannot be run")
        return Path(named)
    with locked(cache_directory("tools"), "a browser", say):
        found = _on_path() or _downloaded()
        for get in (_from_apt, _from_playwright):
            if found is None:
                found = get(say)
    if found is None:
        raise NoBrowserError(MISSING)
    return found


@asynccontextmanager
async def a_browser(*also: str) -> AsyncIterator[Browser]:
    """A headless one, with a microphone that beeps, and nothing of its own that calls out.

    Args:
        also: Further flags of Chromium.
    """
    program = find(lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201 - progress
    flags = [
        *FLAGS,
        *also,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]  # which Chromium refuses to run without as root
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


def _on_path() -> Path | None:
    return next((Path(found) for name in NAMES if (found := shutil.which(name))), None)


def _from_apt(say: Callable[[str], None]) -> Path | None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    say("Installing Chromium by apt-get: once, about a minute ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
    for command in (["apt-get", "update"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return _on_path()


def _from_playwright(say: Callable[[str], None]) -> Path | None:
    say("Downloading Playwright's Chromium: once, about a minute ...")
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"playwright install chromium failed: {done.stderr.strip()[-500:]}")
    return _downloaded()


def _downloaded() -> Path | None:
    """Where `playwright install` has put one; it says so without one, too."""
    code = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    path = Path(done.stdout.strip())
    return path if path.exists() else None
