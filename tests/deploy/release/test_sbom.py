"""The bill of materials has what is pinned, with its hashes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from agora_transcription import __version__

ROOT = Path(__file__).parents[3]


def test_it_has_every_pinned_package_with_version_and_hashes(tmp_path: Path) -> None:
    written = tmp_path / "sbom.cdx.json"
    # As the release makes it; what make has installed is not looked at again.
    make = ["make", "--old-file=.venv/.installed", "sbom", f"SBOM={written}"]
    subprocess.run(make, cwd=ROOT, capture_output=True, check=True)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written.read_text()) is None
    bill = json.loads(written.read_text())

    root = bill["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("agora-transcription", __version__, "application")
    assert root["licenses"] == [{"license": {"acknowledgement": "declared", "id": "Apache-2.0"}}]
    listed = {
        (component["name"], component["version"]): {
            entry["content"] for reference in component["externalReferences"] for entry in reference["hashes"]
        }
        for component in bill["components"]
    }
    assert listed == pinned()
    assert len(listed) > 40


def pinned() -> dict[tuple[str, str], set[str]]:
    text = (ROOT / "requirements" / "runtime.txt").read_text()
    blocks = re.findall(r"^([\w.-]+)==(\S+)(.*\n(?: .*\n)*)", text, re.MULTILINE)
    return {(name, version): set(re.findall(r"sha256:(\w{64})", hashes)) for name, version, hashes in blocks}
