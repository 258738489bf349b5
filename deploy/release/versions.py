"""Checks that everything which names the project's version names the same one; with a tag, that it is the tag's.

    python3 deploy/release/versions.py [vX.Y.Z]

It needs nothing but Python, so that it can run before anything else does. A release's changelog has its version as a
heading; until then the version stands under "Unreleased".
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

IMAGE: Final = r'image: "?ghcr\.io/agora-transcription/agora-transcription:([^\s"]+)"?$'
COMMANDS: Final = r"(?:--version[ =]|/releases/download/v|\?ref=v|/agora-transcription:)(\d[\w.+-]*\w)"
"""How the pages' commands name a release."""

PLACES: Final = {
    "pyproject.toml": r'^version = "(.+)"$',
    "operator/agora_transcription/__init__.py": r'^__version__ = "(.+)"$',
    "web/package.json": r'^  "version": "(.+)",$',
    "web/package-lock.json": r'^  "version": "(.+)",$',
    "deploy/chart/Chart.yaml": r"^(?:version|appVersion): (\S+)$",
    "deploy/install.yaml": IMAGE,
    "deploy/simulator/simulator.yaml": IMAGE,
    "deploy/argocd/apps/operator.yaml": r"^ +targetRevision: (\S+)$",
    "deploy/flux/operator/source.yaml": r"^ +tag: (\S+)$",
    "README.md": COMMANDS,
    "docs/install.md": COMMANDS,
    "docs/releasing.md": r"^\$ VERSION=(\S+)$",
}
"""What a version stands behind, by its file. The first file's counts."""

HEADING: Final = r"## \[(\d\S*)\] - \d{4}-\d\d-\d\d"
UNRELEASED: Final = r"What is to become (\S+)\."


def problems(root: Path, tag: str | None) -> list[str]:
    """Compare all versions; what is wrong, one line each."""
    texts = {place: (root / place).read_text(encoding="utf-8") for place in (*PLACES, "CHANGELOG.md")}
    found = [
        (place, version)
        for place, behind in PLACES.items()
        for version in re.findall(behind, texts[place], re.MULTILINE) or [None]
    ]
    headings = re.findall(rf"^(?:{HEADING}|{UNRELEASED})$", texts["CHANGELOG.md"], re.MULTILINE)
    found.append(("CHANGELOG.md", "".join(headings[0]) if headings else None))
    wanted = found[0][1]
    wrong = [f"{place}: {version or 'no version'} instead of {wanted}" for place, version in found if version != wanted]
    if tag is not None and tag != f"v{wanted}":
        wrong.append(f"the tag is {tag} instead of v{wanted}")
    if tag is not None and not re.search(rf"^{HEADING}$", texts["CHANGELOG.md"], re.MULTILINE):
        wrong.append(f"CHANGELOG.md: no heading '## [{wanted}] - YYYY-MM-DD'")
    return wrong


if __name__ == "__main__":
    wrong = problems(ROOT, sys.argv[1] if len(sys.argv) > 1 else None)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))
