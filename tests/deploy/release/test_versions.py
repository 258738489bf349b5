"""One version everywhere: the release workflow's own check, and that it notices."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from agora_transcription import __version__

ROOT = Path(__file__).parents[3]
RELEASE = ROOT / "deploy" / "release"


SCRIPT = runpy.run_path(str(RELEASE / "versions.py"))
PLACES, problems = SCRIPT["PLACES"], SCRIPT["problems"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What names the version, ready for its release."""
    for place in (*PLACES, "CHANGELOG.md"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / place, tmp_path / place)
    changelog = tmp_path / "CHANGELOG.md"
    released = f"## [{__version__}] - 2026-11-21"
    changelog.write_text(
        re.sub(r"^## \[Unreleased\]\n\nWhat is .*$", released, changelog.read_text(), flags=re.MULTILINE)
    )
    return tmp_path


def test_all_of_them_are_the_same_here() -> None:
    assert problems(ROOT, None) == []


def test_a_tag_of_this_version_passes_and_another_does_not(copy: Path) -> None:
    assert problems(copy, f"v{__version__}") == []
    assert problems(copy, "v9.9.9") == [f"the tag is v9.9.9 instead of v{__version__}"]


@pytest.mark.parametrize("place", PLACES)
def test_another_version_anywhere_is_noticed(copy: Path, place: str) -> None:
    text = (copy / place).read_text()
    versions = list(re.finditer(PLACES[place], text, re.MULTILINE))
    assert versions
    for match in versions:
        (copy / place).write_text(text[: match.start(1)] + "9.9.9" + text[match.end(1) :])
        assert problems(copy, None), match
    (copy / place).write_text(text.replace(__version__, ""))
    assert problems(copy, None)


def test_a_release_without_a_section_of_the_changelog_is_noticed(copy: Path) -> None:
    changelog = copy / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(f"[{__version__}]", "[0.0.9]"))
    assert f"CHANGELOG.md: 0.0.9 instead of {__version__}" in problems(copy, f"v{__version__}")


def test_the_notes_are_the_changelogs_section_and_what_was_published(copy: Path) -> None:
    (copy / "deploy" / "release").mkdir(parents=True)
    notes = shutil.copy(RELEASE / "notes.sh", copy / "deploy" / "release")
    with (copy / "CHANGELOG.md").open("a") as changelog:
        changelog.write("\n## [0.0.9] - 2026-01-01\n\n- Something older.\n")
    environment = {
        **os.environ,
        "IMAGE_DIGEST": "sha256:image",
        "STT_DIGEST": "sha256:stt",
        "CHART_DIGEST": "sha256:chart",
    }
    written = subprocess.run([notes, __version__], env=environment, capture_output=True, text=True, check=True).stdout
    assert "- The operator: starts one Agora task" in written
    assert "Something older" not in written
    assert "## [" not in written
    assert f"agora-transcription:{__version__}` | `sha256:image` |" in written
    assert f"agora-transcription:{__version__}-stt` | `sha256:stt` |" in written
    missing = subprocess.run([notes, "9.9.9"], env=environment, capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stderr) == (1, "CHANGELOG.md has no section [9.9.9].\n")
