"""What the service loads: not what belongs to Kubernetes, which its image variant and its memory do without."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["agora_transcription.stt.server", "agora_transcription.stt.engines"])
def test_nothing_of_kubernetes_is_loaded(module: str) -> None:
    program = f"import sys, agora_transcription.cli, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert not {"kubernetes", "kopf", "fastapi", "moonshine_voice"} & set(loaded)
