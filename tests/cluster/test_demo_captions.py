"""The demo of captions as a user runs it: from a spoken file to sentences, and to the page that shows them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from agora_transcription.local.captions import VERBS
from support.demo import ROOT, acted
from support.helm import template
from support.processes import living_processes, wait_until

DEMO = [sys.executable, "-m", "agora_transcription", "demo", "--captions"]
PAGE = ROOT / "operator" / "agora_transcription" / "gateway" / "page" / "index.html"

STORY = (
    "$ agora-transcription simulator ",
    "$ agora-transcription operator ",
    "$ kubectl create namespace ",
    "$ kubectl apply -f deploy/samples/credentials.yaml",
    "$ kubectl create serviceaccount gateway",
    "$ kubectl create role gateway ",
    "$ kubectl create rolebinding gateway ",
    "$ agora-transcription stt --anonymous ",
    "$ agora-transcription gateway --anonymous ",
    "$ curl --upload-file ",
    '{"uid":17,',
    '$ curl --json \'{"channel": "demo"}\' ',
    '{"taskId":"',
    "$ kubectl get ttask",
    "17 en-US~ ",
    "17 en-US  ",
    "17 en-US  ",
    "# They are on the page too: http://127.0.0.1:",
    "$ curl --json ",
    "{}",
    "$ curl 'http://127.0.0.1:",
    "[]",
    "$ kubectl get ttask",
    "No resources found in agora-transcription-demo namespace.",
    "Each step was seen to happen, in ",
)
"""How its lines begin, in their order; others may stand between them."""


@pytest.fixture(autouse=True)
def _page() -> None:
    assert PAGE.is_file(), "run make page"


def test_the_demo_hears_what_is_spoken_and_leaves_nothing() -> None:
    assert "best of times" in acted(DEMO, STORY, timeout=240).lower()


def test_it_can_be_kept_until_ctrl_c_with_its_page_and_its_stream() -> None:
    with subprocess.Popen(
        [*DEMO, "--keep"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout
        try:
            said = ""
            for line in demo.stdout:
                said += line
                if line.startswith("    tail -f "):
                    break
            page = re.search(r"^The captions, in a browser: (\S+) \(open it and press Start\)$", said, re.MULTILINE)
            assert page, said
            shown = httpx.get(page[1], trust_env=False)
            assert shown.status_code == 200
            assert shown.headers["content-type"].startswith("text/html")
            config = httpx.get(re.sub(r"/captions/.*", "/captions/config.json", page[1]), trust_env=False).json()
            assert config["source"] == "local"
            assert config["captionsUrl"] in said
            logs = said.splitlines()[-1].split()[2:]
            assert [Path(log).name for log in logs] == ["simulator.log", "operator.log", "stt.log", "gateway.log"]
            groups = {seen.group for seen in living_processes() if seen.parent == demo.pid}
            demo.send_signal(signal.SIGINT)
            _, errors = demo.communicate(timeout=120)
        finally:
            demo.kill()
    assert (demo.returncode, errors) == (0, "")
    wait_until(lambda: not any(seen.group in groups for seen in living_processes()))


def test_a_file_that_cannot_be_heard_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    wav = tmp_path / "speech.wav"
    wav.write_bytes(b"no speech")
    done = subprocess.run(
        [*DEMO, f"--wav={wav}"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {wav}: no WAV file with PCM")


def test_the_gateway_may_do_there_what_it_may_do_by_the_chart() -> None:
    values = ("operator.enabled=false", "crds.enabled=false", "gateway.enabled=true", "gateway.keysSecret=keys")
    (role,) = [body for body in template(*(f"--set={value}" for value in values)) if body["kind"] == "Role"]
    assert role["rules"] == [
        {"apiGroups": ["transcription.dev"], "resources": ["transcriptiontasks"], "verbs": list(VERBS)}
    ]
