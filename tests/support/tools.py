"""What the tests use of other projects: programs, built from `deploy/tools/NAME/go.mod`, and files of Go modules.

`python -m support.tools` in `tests/` builds and fetches all of it, and gets a browser where there is none; `find` and
`module` do so with what is asked for.
Programs are kept in the user's cache under the hash of what pins them, so another version is another program.
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
from support import browser

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find", "module"]

_MODULES = Path(__file__).parents[2] / "deploy" / "tools"

_FLAGS = {"promtool": ("-tags=remove_all_sd",)}
"""Flags of `go build`. Prometheus finds its targets in thirty clouds, whose clients promtool does not need here."""

_CHECKSUMS = {
    "github.com/argoproj/argo-cd/v3@v3.2.6": "h1:nDCjBnHyxUf6JFuCKjuuXHS23LFj6/TjuO/APrS1ku4=",  # 82 MB
    "github.com/fluxcd/helm-controller@v1.6.3": "h1:MSiDP/s8xRSkO3g11vBiDStxfmJ5ZVdwDEpW7BSE/UA=",
    "github.com/fluxcd/kustomize-controller@v1.9.6": "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
    "github.com/fluxcd/source-controller@v1.9.6": "h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc=",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
}
"""The Go modules of which the tests use files: the CRDs that these projects release."""


def find(name: str, say: Callable[[str], None] | None = None) -> Path:
    """The program of that folder of `deploy/tools/`: built the first time, which takes minutes for the large ones."""
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


def module(path: str) -> Path:
    """The files of a Go module, for example `example.com/module@v1.2.3`, if they are what its checksum says."""
    go = find_go(_MODULES / "helm4", cache_directory("controlplane"), _to_standard_error)
    command: list[str | Path] = [go, "mod", "download", "-json", path]
    environment = os.environ | {"GOWORK": "off", "GOFLAGS": ""}
    done = subprocess.run(command, cwd=_MODULES, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if found["Sum"] != _CHECKSUMS[path]:
        raise ValueError(f"{path} is not what it was: {found['Sum']} instead of {_CHECKSUMS[path]}")
    return Path(found["Dir"])


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress


if __name__ == "__main__":
    for program in sorted(path.parent.name for path in _MODULES.glob("*/go.mod")):
        find(program)
    for path in _CHECKSUMS:
        module(path)
    browser.find(_to_standard_error)
