"""The bills of materials have what is pinned, with its hashes."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from agora_transcription import __version__

ROOT = Path(__file__).parents[3]
IMAGES = {"sbom.cdx.json": "runtime", "sbom-stt.cdx.json": "stt"}


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the release makes them; what make has installed is not looked at again."""
    folder = tmp_path_factory.mktemp("bills")
    make = ["make", "--old-file=.venv/.installed", "sbom", f"SBOMS={folder}"]
    subprocess.run(make, cwd=ROOT, capture_output=True, check=True)
    return folder


@pytest.mark.parametrize(("name", "requirements"), IMAGES.items())
def test_an_images_has_every_pinned_package_with_version_and_hashes(bills: Path, name: str, requirements: str) -> None:
    bill = valid(bills / name, SchemaVersion.V1_6)
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("agora-transcription", __version__, "application")
    assert root["licenses"] == [{"license": {"acknowledgement": "declared", "id": "Apache-2.0"}}]
    listed = {
        (component["name"], component["version"]): {
            entry["content"] for reference in component["externalReferences"] for entry in reference["hashes"]
        }
        for component in bill["components"]
    }
    assert listed == pinned(requirements)
    assert len(listed) > 40


def test_the_pages_has_every_package_and_says_which_only_build_it(bills: Path) -> None:
    bill = valid(bills / "sbom-captions.cdx.json", SchemaVersion.V1_5)
    assert bill["metadata"]["component"]["version"] == __version__
    listed = {
        (component["name"], component["version"]): (
            {"name": "cdx:npm:package:development", "value": "true"} in component["properties"],
            [bytes.fromhex(entry["content"]) for entry in component["hashes"]],
        )
        for component in bill["components"]
    }
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    assert listed == {
        (path.rpartition("node_modules/")[2], entry["version"]): (
            entry.get("dev", False),
            [base64.b64decode(entry["integrity"].removeprefix("sha512-"))],
        )
        for path, entry in lock.items()
        if path
    }


def valid(path: Path, version: SchemaVersion) -> dict[str, Any]:
    assert JsonStrictValidator(version).validate_str(path.read_text()) is None
    bill: dict[str, Any] = json.loads(path.read_text())
    return bill


def pinned(requirements: str) -> dict[tuple[str, str], set[str]]:
    text = (ROOT / "requirements" / f"{requirements}.txt").read_text()
    blocks = re.findall(r"^([\w.-]+)==(\S+)(.*\n(?: .*\n)*)", text, re.MULTILINE)
    return {(name, version): set(re.findall(r"sha256:(\w{64})", hashes)) for name, version, hashes in blocks}
