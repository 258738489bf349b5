"""The clients that are printed, the protocol's in Socket.IO's own JavaScript and ours in Python; the real engine."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import jiwer
import numpy as np
import pytest
import pytest_asyncio
import soxr

from support.metrics import read_metrics
from support.processes import Stt
from support.stt import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt.conftest import Run
    from support.stt import ScriptedStt

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLDER = Path(__file__).parent / "node"
PROGRAMS = Path(sys.executable).parent

PAGE = Path(__file__).parents[2] / "docs" / "stt.md"
SPEECH = Path(sysconfig.get_path("purelib")) / "moonshine_voice" / "assets" / "beckett.wav"
SAID = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
"""What beckett.wav says, 10 seconds of speech that come with the engine."""

MOST_WRONG = 0.35
"""Word error rate: sentences of two words are hard, and this is no test of the engine."""


@pytest.fixture(scope="module")
def modules() -> Path:
    """socket.io-client, as package-lock.json pins it."""
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    if not (FOLDER / "node_modules" / ".package-lock.json").exists():
        npm = shutil.which("npm", path=environment["PATH"])
        assert npm, "npm is missing: make .venv/.installed"
        subprocess.run([npm, "ci", "--loglevel=error"], cwd=FOLDER, env=environment, check=True)
    return FOLDER / "node_modules"


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Speech at two sample rates."""
    with wave.open(str(SPEECH)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)
    folder, made = tmp_path_factory.mktemp("audio"), {}
    for wanted in (16000, 48000):
        made[wanted] = folder / str(wanted)
        made[wanted].write_bytes(soxr.resample(samples, rate, wanted).astype("<i2").tobytes())
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def moonshine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stt]:
    folder = tmp_path_factory.mktemp("moonshine")
    (folder / "apiKeys").write_text(KEY)
    service = Stt(folder / "stt.log", f"--api-keys-file={folder / 'apiKeys'}", "--workers=1")
    try:
        await service.start_and_wait()
        yield service
    finally:
        service.kill()
    assert "Traceback" not in service.log.read_text()


async def play(
    url: str, modules: Path, folder: Path, rate: int = 16000, key: str = KEY, **settings: str
) -> tuple[str, str]:
    """Run the printed client with its three placeholders filled in; answers what it prints, and what feed.js does."""
    text = (FOLDER / "client.js").read_text()
    for placeholder, value in (
        ('"YOUR_API_KEY"', f'"{key}"'),
        ('"https://cantonese.ai"', f'"{url}"'),
        ("{ sampleRate: 16000 }", f"{{ sampleRate: {rate} }}"),
    ):
        assert text.count(placeholder) == 1
        text = text.replace(placeholder, value)
    (folder / "client.js").write_text(text)
    process = await asyncio.create_subprocess_exec(
        PROGRAMS / "node",
        "--require",
        FOLDER / "feed.js",
        folder / "client.js",
        env={**os.environ, "NODE_PATH": str(modules), "RATE": str(rate), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode(), err.decode()


@pytest.mark.parametrize("rate", [16000, 48000])
async def test_the_printed_client_gets_what_was_said(
    moonshine: Stt, modules: Path, audio: dict[int, Path], tmp_path: Path, rate: int
) -> None:
    out, err = await play(moonshine.url, modules, tmp_path, rate, AUDIO=str(audio[rate]))
    assert "Connected to real-time STT\nSession started, ready to receive audio\n" in out
    assert "\rPartial: " in out
    said = " ".join(re.findall(r"^Final: (.*)$", out, re.MULTILINE))
    assert jiwer.wer(plain(SAID), plain(said)) <= MOST_WRONG, said
    assert out.endswith("Session closed: 1000 \n")
    assert "Session error" not in err
    assert err.splitlines() == ["transport polling", "transport websocket"]


async def test_a_browser_sends_its_key_by_polling_only_and_still_gets_a_websocket(
    service: ScriptedStt, modules: Path, tmp_path: Path
) -> None:
    silence = tmp_path / "silence"
    silence.write_bytes(bytes(16000))
    out, err = await play(service.url, modules, tmp_path, AUDIO=str(silence), BROWSER="1")
    assert out.endswith("Session closed: 1000 \n")
    assert err.splitlines() == ["transport polling", "transport websocket"]


async def test_it_comes_back_by_itself_when_the_service_was_replaced(run: Run, modules: Path, tmp_path: Path) -> None:
    silence = tmp_path / "silence"
    silence.write_bytes(bytes(96000))
    async with run() as service:
        playing = asyncio.create_task(play(service.url, modules, tmp_path, AUDIO=str(silence)))
        async with asyncio.timeout(20):
            while not (await read_metrics(service.metrics))("agora_transcription_stt_audio_seconds_total"):
                await asyncio.sleep(0.05)
        assert await asyncio.to_thread(service.stop) == 0
        await service.start_and_wait()
        out, _ = await playing
    assert "Session closed: 1001 the service stops\n" in out
    assert out.count("Session started") == 2
    assert out.endswith("Session closed: 1000 \n")


@pytest.mark.parametrize(
    ("transport", "said"), [("polling", "refused 401"), ("websocket", "refused Unexpected server response: 401")]
)
async def test_a_wrong_key_is_seen_as_401(
    service: ScriptedStt, modules: Path, tmp_path: Path, transport: str, said: str
) -> None:
    out, err = await play(service.url, modules, tmp_path, key="a-wrong-key-of-the-tests", TRANSPORTS=f'["{transport}"]')
    assert (out, err.splitlines()) == ("", [said])


async def test_the_client_that_the_page_prints(moonshine: Stt) -> None:
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        SPEECH,
        moonshine.url,
        KEY,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out = (await process.communicate())[0].decode()
    assert process.returncode == 0
    assert out.startswith("session_started \npartial_transcript ")
    assert out.endswith("closed: 1000 \n")
    said = " ".join(re.findall(r"^committed_transcript (.*)$", out, re.MULTILINE))
    assert jiwer.wer(plain(SAID), plain(said)) <= MOST_WRONG, said


def plain(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower())
