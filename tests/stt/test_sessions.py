"""A session from its start to its end, on both transports, as the protocol has it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from agora_transcription.stt.metrics import STATES
from support.metrics import read_metrics
from support.scripted import chunk, word
from support.stt import BOTH, calling

if TYPE_CHECKING:
    from stt.conftest import Run
    from support.stt import ScriptedStt

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("transport", BOTH)
async def test_a_session(service: ScriptedStt, transport: str) -> None:
    async with calling(service.url, transport=transport) as caller:
        await caller.sio.emit("start-session", {"sampleRate": 16000})
        await caller.until("session-started")
        started = await caller.until("transcript-message")
        assert started.payload["message_type"] == "session_started"
        assert len(started.payload["session_id"]) == 32
        assert started.payload["config"] == {
            "sample_rate": 16000,
            "audio_format": "pcm_16000",
            "model_id": "scripted",
        }
        await caller.say(1, 2, 3)
        partial = await caller.until("transcript-message", lambda payload: payload["text"] == "w1 w2 w3")
        assert partial.payload == {"message_type": "partial_transcript", "text": "w1 w2 w3"}
        await caller.say(0, 0, 0, 0, 0)
        await caller.until_committed("w1 w2 w3")
        await caller.say(4, 5)
        assert await caller.stop() == {"code": 1000, "reason": ""}


@pytest.mark.parametrize("transport", BOTH)
async def test_a_stop_commits_what_is_pending(service: ScriptedStt, transport: str) -> None:
    async with calling(service.url, transport=transport) as caller:
        await caller.start()
        await caller.say(*range(1, 30))
        await caller.sio.emit("stop-session")
        await caller.until_committed(" ".join(f"w{number}" for number in range(1, 30)))
        closed = await caller.until("session-closed")
        assert closed.payload == {"code": 1000, "reason": ""}


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
async def test_other_rates(service: ScriptedStt, rate: int) -> None:
    async with calling(service.url) as caller:
        await caller.start(rate)
        await caller.say(1, 2, rate=rate)
        await caller.sio.emit("stop-session")
        await caller.until_committed("w1 w2")


async def test_one_connection_can_have_one_session_after_the_other(service: ScriptedStt) -> None:
    async with calling(service.url) as caller:
        identifiers = set()
        for _ in range(3):
            await caller.start()
            identifiers.add((await caller.until("transcript-message")).payload["session_id"])
            await caller.say(7)
            await caller.sio.emit("stop-session")
            await caller.until_committed("w7")
            await caller.until("session-closed")
        assert len(identifiers) == 3


async def test_a_second_start_is_refused_and_the_first_session_goes_on(service: ScriptedStt) -> None:
    async with calling(service.url) as caller:
        await caller.start()
        await caller.say(1)
        await caller.sio.emit("start-session", {"sampleRate": 8000})
        error = await caller.until("session-error")
        assert error.payload == {"error": "a session is running", "code": 1008}
        await caller.say(2)
        await caller.sio.emit("stop-session")
        await caller.until_committed("w1 w2")


async def test_audio_and_stop_without_a_session_are_errors_said_once(service: ScriptedStt) -> None:
    async with calling(service.url) as caller:
        await caller.say(1, 2, 3)
        await caller.sio.emit("stop-session")
        await caller.until("session-error", lambda payload: payload["error"] == "no session is running")
        await caller.start()
        assert not [told for told in caller.told if told.event == "session-error"]
        await caller.stop()


@pytest.mark.parametrize("payload", [None, {}, {"sampleRate": "16000"}, {"sampleRate": 7999}, {"sampleRate": True}, []])
async def test_a_start_without_a_rate_is_refused(service: ScriptedStt, payload: object) -> None:
    async with calling(service.url) as caller:
        await caller.sio.emit("start-session", payload)
        error = await caller.until("session-error")
        assert "sampleRate" in error.payload["error"]
        await caller.start()


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize(
    ("payload", "said", "code"),
    [
        (chunk(b"\1\2\3"), "whole samples", 1008),
        ({"audio_base_64": "no base64!", "sample_rate": 16000}, "not base64", 1008),
        ({"audio_base_64": 5, "sample_rate": 16000}, "a text", 1008),
        (chunk(word(1, 8000), 8000), "16000", 1008),
        (chunk(b"\0" * 32002), "longer than 1 s", 1009),
        (chunk(b"\0" * 300_000), "longer than 1 s", 1009),
    ],
    ids=["half a sample", "no base64", "a number", "another rate", "too long", "far too long"],
)
async def test_a_bad_chunk_is_said_and_the_session_goes_on(
    service: ScriptedStt, transport: str, payload: dict[str, object], said: str, code: int
) -> None:
    async with calling(service.url, transport=transport) as caller:
        await caller.start()
        await caller.say(1)
        await caller.sio.emit("audio-chunk", payload)
        error = await caller.until("session-error")
        assert said in error.payload["error"]
        assert error.payload["code"] == code
        await caller.say(2)
        await caller.sio.emit("stop-session")
        await caller.until_committed("w1 w2")


async def test_many_bad_chunks_end_the_session(service: ScriptedStt) -> None:
    async with calling(service.url) as caller:
        await caller.start()
        for _ in range(12):
            await caller.sio.emit("audio-chunk", {"audio_base_64": "!"})
        for _ in range(10):
            await caller.until("session-error")
        closed = await caller.until("session-closed")
        assert closed.payload == {"code": 1008, "reason": "too many bad chunks"}
        await caller.start()


async def test_audio_that_comes_before_the_session_has_started_is_kept(run: Run) -> None:
    async with run(opening=1.0) as service, calling(service.url) as caller:
        await caller.sio.emit("start-session", {"sampleRate": 16000})
        await caller.say(*range(1, 21))
        await caller.say(21)
        early = await caller.until("session-error")
        assert "2 s of audio came before session-started" in early.payload["error"]
        await caller.until("session-started")
        await caller.say(22)
        await caller.sio.emit("stop-session")
        await caller.until_committed(" ".join(f"w{number}" for number in [*range(1, 21), 22]))


async def test_audio_faster_than_it_was_spoken_is_refused(run: Run) -> None:
    async with run(speed=1.0) as service, calling(service.url) as caller:
        await caller.start()
        await caller.say(*range(1, 120))
        error = await caller.until("session-error")
        assert error.payload == {"error": "audio comes faster than it was spoken", "code": 1008}
        assert (await caller.until("session-closed")).payload == {"code": 1008, "reason": "too fast"}


async def test_a_service_that_cannot_keep_up_says_that_it_is_its_fault(run: Run) -> None:
    async with run(speed=50.0) as service, calling(service.url) as caller:
        await caller.start()
        began = time.monotonic()
        for number in range(1, 101):  # a second of audio each tenth of the rest of 8 seconds: not faster than spoken
            await caller.say(number)
            await asyncio.sleep(max(0.0, began + number * 0.06 - time.monotonic()))
        await caller.say(*range(1, 10))
        error = await caller.until("session-error")
        assert error.payload == {"error": "the service cannot keep up", "code": 1013}
        assert (await caller.until("session-closed")).payload == {"code": 1013, "reason": "overloaded"}


async def test_a_session_without_audio_is_closed_with_its_last_words(run: Run) -> None:
    async with run("--idle-timeout=1") as service, calling(service.url) as caller:
        await caller.start()
        await caller.say(1)
        await caller.until_committed("w1")
        assert (await caller.until("session-error")).payload == {"error": "no audio has come for 1 s", "code": 1008}
        assert (await caller.until("session-closed")).payload == {"code": 1008, "reason": "idle"}


async def test_a_session_lasts_as_long_as_it_may(run: Run) -> None:
    async with run("--session-limit=1") as service, calling(service.url) as caller:
        await caller.start()
        await caller.say(1)
        await caller.until_committed("w1")
        assert (await caller.until("session-error")).payload == {"error": "a session may last 1 s", "code": 1008}
        assert (await caller.until("session-closed")).payload == {"code": 1008, "reason": "session limit"}


@pytest.mark.parametrize("flags", [(), ("--max-sessions=2",)], ids=["the engine's", "the setting's"])
async def test_a_session_too_many_is_refused_and_the_others_go_on(run: Run, flags: tuple[str, ...]) -> None:
    async with run(*flags, capacity=7 if flags else 2) as service:
        async with calling(service.url) as one, calling(service.url) as two, calling(service.url) as three:
            await one.start()
            await two.start()
            await three.sio.emit("start-session", {"sampleRate": 16000})
            error = await three.until("session-error")
            assert error.payload == {"error": "no room: 2 sessions are running", "code": 1013}
            closed = await three.until("session-closed")
            assert closed.payload == {"code": 1013, "reason": "no room: 2 sessions are running"}
            await one.say(1)
            await one.stop()
            await three.start()
        assert (await read_metrics(service.metrics))(
            "agora_transcription_stt_admission_rejected_total", reason="capacity"
        ) == 1


async def test_an_engine_that_fails_is_said(run: Run) -> None:
    async with run(fault=9, closed=8) as service, calling(service.url) as caller:
        await caller.start()
        await caller.say(1, 9)
        assert (await caller.until("session-error")).payload == {"error": "the engine has had enough", "code": 1011}
        assert (await caller.until("session-closed")).payload["code"] == 1011
        await caller.start()
        await caller.say(8)
        closed = await caller.until("session-closed")
        assert closed.payload == {"code": 1000, "reason": "the other end has had enough"}


async def test_an_engine_that_is_not_ready_gets_no_sessions(run: Run) -> None:
    async with run(unready="no model") as service, calling(service.url) as caller:
        await caller.sio.emit("start-session", {"sampleRate": 16000})
        assert (await caller.until("session-error")).payload == {"error": "the engine is not ready", "code": 1013}
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"{service.health}/readyz")
        assert (ready.status_code, "[-] engine: no model" in ready.text) == (503, True)


@pytest.mark.parametrize("transport", BOTH)
async def test_who_goes_in_the_middle_of_a_session_leaves_nothing_behind(run: Run, transport: str) -> None:
    async with run() as service:
        async with calling(service.url, transport=transport) as caller:
            await caller.start()
            await caller.say(1)
            assert await running(service) == 1
        async with asyncio.timeout(10):
            while await running(service) or (await read_metrics(service.metrics))(
                "agora_transcription_stt_connections"
            ):
                await asyncio.sleep(0.05)
        assert (await read_metrics(service.metrics))("agora_transcription_stt_sessions_closed_total", code="0") == 1


async def test_a_client_that_waits_for_acknowledgements_gets_them(service: ScriptedStt) -> None:
    async with calling(service.url) as caller:
        await caller.sio.call("start-session", {"sampleRate": 16000}, timeout=5)
        await caller.sio.call("audio-chunk", chunk(word(1)), timeout=5)
        await caller.sio.call("stop-session", timeout=5)
        await caller.until_committed("w1")


async def running(service: ScriptedStt) -> float:
    value = await read_metrics(service.metrics)
    return sum(value("agora_transcription_stt_sessions", state=state) or 0 for state in STATES)


async def connected(service: ScriptedStt) -> float | None:
    return (await read_metrics(service.metrics))("agora_transcription_stt_connections")
