"""Audio attached to a channel: what is taken, who hears it, and the words that a real engine understands."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import math
import struct
import wave
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agora_transcription.simulator import Account, SimulatorOptions, create_app, serving
from agora_transcription.simulator.captions import routes, stage, wav
from agora_transcription.simulator.captions.script import marked
from agora_transcription.stt.engines.base import EngineFault, Kind, Result
from simulator.conftest import APP_ID, Client, Wall
from support.captions import listening, until
from support.processes import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agora_transcription.simulator.captions.channel import Channel

OPTIONS = SimulatorOptions(accounts=(Account(app_id=APP_ID, customer_id="bare", customer_secret="bare-secret"),))
PARTIAL, COMMITTED = "it was", "It was."


def wav_file(*, seconds: float = 0.5, rate: int = 16000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((channels, width, rate, 0, "NONE", ""))
        writer.writeframes(bytes(width * channels * round(seconds * rate)))
    return file.getvalue()


class ScriptedRecognition:
    """Understands the same in the first and at the end of each audio."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine
        self.results_to_come: asyncio.Queue[Result | Exception | None] = asyncio.Queue()
        self.processed_seconds = self.busy_seconds = 0.0

    async def send(self, audio: bytes) -> None:
        if self.engine.fault is not None:
            fault, self.engine.fault = self.engine.fault, None
            raise fault
        self.engine.heard += audio
        self.results_to_come.put_nowait(Result(Kind.PARTIAL, {"text": PARTIAL}))

    async def finish(self) -> None:
        self.results_to_come.put_nowait(Result(Kind.PARTIAL, {"text": " "}))
        self.results_to_come.put_nowait(Result(Kind.COMMITTED, {"text": COMMITTED}))
        self.results_to_come.put_nowait(Result(Kind.TIMED, {"text": COMMITTED, "words": []}))
        self.results_to_come.put_nowait(None)

    async def results(self) -> AsyncIterator[Result]:
        while (result := await self.results_to_come.get()) is not None:
            assert isinstance(result, Result)
            yield result

    async def close(self) -> None:
        self.engine.open_sessions -= 1


class ScriptedEngine:
    model = "scripted"
    capacity = 8
    finish_seconds = 10.0

    def __init__(self) -> None:
        self.started = self.stopped = self.open_sessions = 0
        self.rates: list[int] = []
        self.heard = b""
        self.fault: EngineFault | None = None
        self.start_fault: EngineFault | None = None

    async def start(self) -> None:
        if self.start_fault is not None:
            raise self.start_fault
        self.started += 1

    async def open(self, sample_rate: int) -> ScriptedRecognition:
        self.rates.append(sample_rate)
        self.open_sessions += 1
        return ScriptedRecognition(self)

    def check(self) -> str | None:
        return None

    async def stop(self) -> None:
        self.stopped += 1


class Talking(Client):
    """A client of a real server, which can attach audio."""

    def __init__(self, http: httpx.AsyncClient, wall: Wall, channel: Channel | None = None) -> None:
        super().__init__(http, wall)
        self.channel = channel

    @property
    def last(self) -> int:
        """The number of the last message that was sent."""
        assert self.channel is not None
        return self.channel._last

    async def attach(self, content: bytes, query: str = "uid=17", channel: str = "standup") -> httpx.Response:
        return await self.http.put(f"/simulator/channels/{channel}/audio?{query}", content=content)

    async def attached(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.http.get("/simulator/channels/standup/audio")).json()
        return rows

    async def until_attached(self, holds: Callable[[list[dict[str, Any]]], bool]) -> None:
        async with asyncio.timeout(15):
            while not holds(await self.attached()):
                await asyncio.sleep(0.02)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def client(engine: ScriptedEngine, wall: Wall) -> AsyncIterator[Talking]:
    app = create_app(OPTIONS, wall=wall, make_engine=lambda: engine)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
        yield Talking(http, wall, app.state.stage.channel("standup"))
    assert engine.open_sessions == 0
    assert engine.stopped == engine.started


async def test_audio_becomes_captions_of_its_speaker(client: Talking, engine: ScriptedEngine) -> None:
    content = wav_file(rate=8000)
    answer = await client.attach(content)
    row = {"uid": 17, "seconds": 0.5, "played": 0.0, "loop": False, "ended": False}
    assert answer.json() == {**row, "waits": "nobody listens to the captions"}
    async with listening(client.http, "standup") as listener:
        await client.joined(translateConfig={"languages": [{"source": "en-US", "target": ["fr-FR"]}]})
        await until(lambda: listener.said("translate"))
    assert engine.rates == [8000]
    assert engine.heard == wav.samples_of(content)[1]
    assert {(event.bot, event.message.uid, event.message.culture) for event in listener.events} == {(1001, 17, "en-US")}
    assert [(event.text, event.final) for event in listener.said()] == [(PARTIAL, False)] * 5 + [(COMMITTED, True)]
    assert len({event.message.sentence_id for event in listener.events}) == 1
    (translation,) = listener.said("translate")[0].message.trans
    assert (list(translation.texts), translation.is_final) == ([marked(COMMITTED, "fr-FR")], True)


async def test_audio_is_played_once_in_real_time_and_then_there_is_silence(client: Talking) -> None:
    await client.attach(wav_file(seconds=0.6))
    clock = asyncio.get_running_loop().time
    async with listening(client.http, "standup") as listener:
        began = clock()
        await client.joined()
        await until(listener.finals)
        assert clock() - began >= 0.5
        await client.until_attached(lambda rows: rows[0]["ended"])
        last = client.last
        for _ in range(10):
            client.wall.pass_(5)
            await asyncio.sleep(stage.TICK_SECONDS)
        assert client.last == last
        removed = await client.http.delete("/simulator/channels/standup/audio")
        assert removed.json() == {"removed": 1}
        await until(lambda: listener.events[-1].id > last, step=lambda: client.wall.pass_(1))
        assert listener.events[-1].message.uid != 17


async def test_audio_can_go_round(client: Talking, engine: ScriptedEngine) -> None:
    await client.attach(wav_file(seconds=0.1), "uid=17&loop=true")
    async with listening(client.http, "standup"):
        await client.joined()
        await until(lambda: len(engine.heard) >= 3 * 3200)
        assert not (await client.attached())[0]["ended"]


async def test_speakers_have_audio_of_their_own_and_it_can_be_changed_and_taken_away(
    client: Talking, engine: ScriptedEngine
) -> None:
    await client.attach(wav_file(), "uid=17&loop=true")
    await client.attach(wav_file(), "uid=4294967295&loop=true")
    await client.attach(wav_file(seconds=0.2), "uid=17&loop=true")
    assert [(row["uid"], row["seconds"]) for row in await client.attached()] == [(17, 0.2), (4294967295, 0.5)]
    async with listening(client.http, "standup") as listener:
        await client.joined()
        await until(lambda: {event.message.uid for event in listener.events} == {17, 4294967295})
        assert (await client.http.delete("/simulator/channels/standup/audio?uid=17")).json() == {"removed": 1}
        await until(lambda: engine.open_sessions == 1)
        last = client.last
        await until(lambda: listener.events[-1].id > last + 2)
        assert {event.message.uid for event in listener.events if event.id > last} == {4294967295}
    assert (await client.http.delete("/simulator/state")).status_code == 200
    assert await client.attached() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"languages": ["de-DE"]},
        {"rtcConfig__subscribeAudioUids": ["18"]},
        {"rtcConfig__unSubscribeAudioUids": ["17"]},
        {"uidLanguagesConfig": [{"uid": "17", "languages": ["de-DE"]}]},
    ],
)
async def test_audio_waits_for_a_task_that_listens_to_the_speaker_in_english(
    client: Talking, engine: ScriptedEngine, changes: dict[str, Any]
) -> None:
    await client.attach(wav_file())
    async with listening(client.http, "standup") as listener:
        await client.joined("tt-a-1", **changes)
        await asyncio.sleep(5 * stage.TICK_SECONDS)
        assert (engine.heard, listener.events) == (b"", [])
        assert [row["waits"] for row in await client.attached()] == ["no task hears 17 in English"]
        await client.join("tt-b-1", rtcConfig__pubBotUid="1002", languages=["fr-FR", "en-GB"])
        await until(listener.finals)
        assert {(event.bot, event.message.culture) for event in listener.events} == {(1002, "en-GB")}


async def test_audio_waits_for_somebody_who_listens_and_goes_on_where_it_was(
    client: Talking, engine: ScriptedEngine
) -> None:
    content = wav_file(seconds=1)
    await client.attach(content)
    first = await client.joined()
    await asyncio.sleep(5 * stage.TICK_SECONDS)
    assert engine.heard == b""
    assert [row["waits"] for row in await client.attached()] == ["nobody listens to the captions"]
    async with listening(client.http, "standup") as listener:
        await until(lambda: len(engine.heard) > 6400)
        assert [row["waits"] for row in await client.attached()] == [None]
        assert (await client.v7("POST", f"/agents/{first}/leave")).status_code == 200
        await until(lambda: engine.open_sessions == 0)
        seen = len(engine.heard)
        nobody = "no task runs in the channel, or it has no hosts"
        assert [row["waits"] for row in await client.attached()] == [nobody]
        assert not listener.finals()
        await client.joined("tt-a-2")
        await until(listener.finals)
    assert engine.rates == [16000, 16000]
    # The piece that was on its way when the task was stopped is played again.
    assert len(engine.heard) - len(wav.samples_of(content)[1]) in {0, 3200}
    assert seen < len(engine.heard)


async def test_audio_goes_on_after_a_fault_of_the_engine(
    client: Talking, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stage, "ENGINE_PAUSE", 0.05)
    await client.attach(wav_file())
    engine.fault = EngineFault("the worker has died")
    async with listening(client.http, "standup") as listener:
        await client.joined()
        await until(listener.finals)
    assert engine.rates == [16000, 16000]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("agora_transcription")] == [
        "The speech engine failed, and is tried again: the worker has died"
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no WAV file with PCM"),
        (b"RIFF", "no WAV file with PCM"),
        (b"ID3" + bytes(1000), "no WAV file with PCM"),
        (wav_file()[:40], "no WAV file with PCM"),
        (wav_file(seconds=0), "it holds no samples"),
        (wav_file(width=1), "8 bit samples: 16 bit are needed"),
        (wav_file(width=3), "24 bit samples: 16 bit are needed"),
        (wav_file(channels=3), "3 channels: one or two are needed"),
        (wav_file(rate=7999), "7999 Hz: 8000 to 48000 are needed"),
        (wav_file(rate=96000), "96000 Hz: 8000 to 48000 are needed"),
    ],
)
async def test_what_is_no_speech_is_refused(client: Talking, content: bytes, problem: str) -> None:
    answer = await client.attach(content)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(problem)
    assert await client.attached() == []


@pytest.mark.parametrize("query", ["", "uid=0", "uid=4294967296", "uid=ada", "uid=17&loop=perhaps"])
async def test_a_speaker_is_an_rtc_uid(client: Talking, query: str) -> None:
    assert (await client.attach(wav_file(), query)).status_code == 422


async def test_audio_has_a_greatest_size(client: Talking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_BYTES", 2**20)
    answer = await client.attach(wav_file(seconds=40))
    assert (answer.status_code, answer.json()["detail"]) == (413, "at most 1 MiB")


def test_stereo_becomes_the_mean_of_both_sides() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 16000, 0, "NONE", ""))
        writer.writeframes(struct.pack("<8h", 32767, 32767, -32768, -32768, 100, 300, -32768, 32767))
    assert wav.samples_of(file.getvalue()) == (16000, struct.pack("<4h", 32767, -32768, 200, -1))


@pytest.mark.parametrize(("installed", "code"), [(False, 501), (True, 503)])
async def test_without_an_engine_it_is_said_what_to_install(
    client: Talking, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, *, installed: bool, code: int
) -> None:
    engine.start_fault = EngineFault("pip install 'agora-transcription[stt]'")
    monkeypatch.setattr(routes, "find_spec", importlib.util.find_spec if installed else lambda _: None)
    answer = await client.attach(wav_file())
    assert (answer.status_code, answer.json()["detail"]) == (code, "pip install 'agora-transcription[stt]'")
    assert await client.attached() == []
    engine.start_fault = None
    assert (await client.attach(wav_file())).status_code == 200


def test_the_engine_is_none_of_the_socket_io_services_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGORA_TRANSCRIPTION_STT_IDLE_TIMEOUT", "30s")
    monkeypatch.setenv("AGORA_TRANSCRIPTION_STT_ENGINE", "elevenlabs")
    assert "moonshine" in routes.moonshine().model


async def test_words_of_real_speech_are_understood(tmp_path: Path) -> None:
    with wave.open(str(files("moonshine_voice") / "assets" / "two_cities.wav")) as whole:
        rate = whole.getframerate()
        samples = whole.readframes(math.floor(7 * rate))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples)
    # A process, as it is run: on uvloop.
    simulator = Simulator(tmp_path / "simulator.log")
    try:
        await simulator.start_and_wait()
        async with httpx.AsyncClient(base_url=simulator.url, timeout=60) as http:
            client = Talking(http, Wall())
            await client.options(accounts=[{"appId": APP_ID, "customerId": "bare", "customerSecret": "bare-secret"}])
            assert (await client.attach(file.getvalue())).status_code == 200
            async with listening(http, "standup") as listener:
                await client.joined()
                await client.until_attached(lambda rows: rows[0]["ended"])
    finally:
        assert simulator.stop() == 0
    said = " ".join(event.text for event in listener.finals()).lower()
    assert "the best of times" in said
    assert "the worst of times" in said
    first = [event for event in listener.events if event.message.sentence_id == listener.events[0].message.sentence_id]
    assert len(first) >= 2
    assert [event.final for event in first] == [False] * (len(first) - 1) + [True]
