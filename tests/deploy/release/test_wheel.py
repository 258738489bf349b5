"""The wheel by itself, as the image has it: without the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from agora_transcription import __version__

ROOT = Path(__file__).parents[3]
PAGE = Path("operator", "agora_transcription", "gateway", "page", "index.html")


def test_the_wheel_has_the_command_its_manifests_and_the_captions_page(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    [wheel] = tmp_path.iterdir()
    assert wheel.name == f"agora_transcription-{__version__}-py3-none-any.whl"

    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True)
    # What it depends on is taken from where the tests run; the project itself is there in the checkout's form only.
    [packages] = environment.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    told = run(environment / "bin" / "agora-transcription", "--version")
    assert told == f"agora-transcription, version {__version__}"
    code = "from agora_transcription.local.manifests import find_manifests; print(find_manifests().crds)"
    assert Path(run(python, "-c", code)) == packages / "agora_transcription" / "local" / "manifests" / "crds"

    assert (ROOT / PAGE).exists(), "run `make page`"
    assert (packages / PAGE.relative_to("operator")).read_text() == (ROOT / PAGE).read_text()


def run(*command: Path | str) -> str:
    # Isolated from the checkout: not in its folder, and without its PYTHONPATH.
    done = subprocess.run(command, cwd="/", env={"PATH": ""}, capture_output=True, text=True, check=True)
    return done.stdout.strip()
