"""The programs of other projects that the tests run: helm and the like, built from `deploy/tools/NAME/go.mod`.

`python -m support.tools` in `tests/` builds all of them; `find` builds the one that is asked for. They are kept in the
user's cache under the hash of what pins them, so another version is another program.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agora_transcription.local.cache import appearing, cache_directory, locked
from agora_transcription.local.gobuild import build_tools, find_go

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find", "module", "names"]

_MODULES = Path(__file__).parents[2] / "deploy" / "tools"

_FLAGS = {"promtool": ("-tags=remove_all_sd",)}
"""Flags of `go build`. Prometheus finds its targets in thirty clouds, whose clients promtool does not need here."""


def names() -> list[str]:
    """The programs that there are."""
    return sorted(path.parent.name for path in _MODULES.glob("*/go.mod"))


def find(name: str, say: Callable[[str], None] | None = None) -> Path:
    """The program of that folder of `deploy/tools/`: built the first time, which takes a minute or two."""
    module, say = _MODULES / name, say or _to_standard_error
    flags = _FLAGS.get(name, ())
    pins = b"".join((module / file).read_bytes() for file in ("go.mod", "go.sum")) + " ".join(flags).encode()
    cache = cache_directory("tools")
    directory = cache / f"{name}-{hashlib.sha256(pins).hexdigest()[:12]}"
    if not directory.exists():
        with locked(cache, "a tool of the tests", say):
            if not directory.exists():
                with appearing(directory) as partial:
                    what = f"{name} from its Go modules: once"
                    build_tools(module, partial, cache_directory("controlplane"), say, what=what, flags=flags)
    (program,) = directory.iterdir()
    return program


def module(path: str, checksum: str) -> Path:
    """The files of a Go module, for example `example.com/module@v1.2.3`, if they are what the checksum says."""
    go = find_go(_MODULES / "helm4", cache_directory("controlplane"), _to_standard_error)
    command: list[str | Path] = [go, "mod", "download", "-json", path]
    environment = os.environ | {"GOWORK": "off", "GOFLAGS": ""}
    done = subprocess.run(command, cwd=_MODULES, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["Sum"] != checksum:
        raise ValueError(f"{path} is not what it was: {found['Sum']} instead of {checksum}")
    return Path(found["Dir"])


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    for each in names():
        find(each)
