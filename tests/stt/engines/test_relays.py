"""The relays, with other ends that are stricter than the real ones."""

from __future__ import annotations

import asyncio
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription.settings import SttSettings
from agora_transcription.stt.engines import create, local, relays
from agora_transcription.stt.engines import elevenlabs as elevenlabs_relay
from agora_transcription.stt.engines.base import EngineClosed, EngineFault, Kind
from support.relays import KEY, FakeElevenLabs, FakeSocketIo
from support.speech import sentences

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.stt.engines.base import Engine, Recognition, Result

Fake = FakeElevenLabs | FakeSocketIo

PATIENCE = elevenlabs_relay.QUIET_SECONDS

PARTIAL = {"message_type": "partial_transcript", "text": "not all of"}
COMMIT = {"message_type": "committed_transcript", "text": "earlier"}


@pytest.fixture
async def elevenlabs() -> AsyncIterator[FakeElevenLabs]:
    async with FakeElevenLabs().serving() as fake:
        yield fake


@pytest.fixture
async def socketio() -> AsyncIterator[FakeSocketIo]:
    async with FakeSocketIo().serving() as fake:
        yield fake


@pytest.fixture(params=["elevenlabs", "socketio"])
def fake(request: pytest.FixtureRequest) -> Fake:
    found: Fake = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    return file


def write(file: Path, content: str | None) -> None:
    """Have this in the file, or no file."""
    if content is None:
        file.unlink()
    else:
        file.write_text(content)


def engine_of(fake: Fake, key_file: Path | None, query: str = "", **settings: Any) -> Engine:
    name = "elevenlabs" if isinstance(fake, FakeElevenLabs) else "socketio"
    return create(
        SttSettings(engine=name, anonymous=True, relay_url=fake.url + query, relay_key_file=key_file, **settings)
    )


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests know which commit is the last one."""
    monkeypatch.setattr(elevenlabs_relay, "QUIET_SECONDS", 0.2)


async def heard(recognition: Recognition) -> list[Result]:
    async with asyncio.timeout(15):
        return [result async for result in recognition.results()]


async def fault_at_open(engine: Engine) -> EngineFault:
    with pytest.raises(EngineFault) as caught:
        await engine.open(16000)
    return caught.value


async def end_of(engine: Engine) -> EngineFault | EngineClosed:
    """How a session ends that the other end ends after the first chunk."""
    recognition = await engine.open(16000)
    await recognition.send(bytes(3200))
    with pytest.raises((EngineFault, EngineClosed)) as caught:
        await heard(recognition)
    with pytest.raises((EngineFault, EngineClosed)):
        await recognition.send(bytes(3200))
    await recognition.close()
    assert isinstance(caught.value, EngineFault | EngineClosed)
    return caught.value


# Both ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
async def test_all_audio_goes_there_and_the_last_commit_comes_back(fake: Fake, key_file: Path, rate: int) -> None:
    engine = engine_of(fake, key_file)
    await engine.start()
    assert engine.check() is None
    speech = sentences()[0].at(rate)
    recognition = await engine.open(rate)
    for chunk in speech.chunks():
        await recognition.send(chunk)
    assert recognition.processed_seconds == pytest.approx(speech.seconds)
    await recognition.finish()
    results = await heard(recognition)
    await recognition.close()
    await recognition.close()
    await engine.stop()
    assert fake.refusals == []
    assert fake.audio == speech.audio
    [commit] = [result for result in results if result.kind == Kind.COMMITTED]
    assert commit.payload["text"] == f"{speech.seconds:.2f}"
    assert "message_type" not in commit.payload
    assert commit.heard_at is None


async def test_long_audio_goes_in_pieces(fake: Fake, key_file: Path) -> None:
    engine = engine_of(fake, key_file)
    recognition = await engine.open(48000)
    await recognition.send(bytes(2 * 48000 * 5))
    await recognition.finish()
    await heard(recognition)
    await recognition.close()
    assert len(fake.audio) == 2 * 48000 * 5
    assert fake.refusals == []


async def test_nobody_there_is_said_without_an_address(fake: Fake, key_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        fake.url = f"http://127.0.0.1:{server.getsockname()[1]}"
    fault = await fault_at_open(engine_of(fake, key_file, "/?token=secret"))
    assert str(fault) == "what --relay-url names cannot be reached"
    assert fault.code == 1011


async def test_somebody_who_does_not_answer_is_given_up(
    fake: Fake, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        fake.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        fault = await fault_at_open(engine_of(fake, key_file))
    assert str(fault) == "what --relay-url names cannot be reached"


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, 1011, "the relay's other end refuses the key of --relay-key-file"),
        (403, 1011, "the relay's other end refuses the key of --relay-key-file"),
        (429, 1013, "the relay's other end has no room now"),
        (503, 1013, "the relay's other end has no room now"),
        (404, 1011, "what --relay-url names answers with HTTP 404"),
    ],
)
async def test_a_refused_connection_says_which_setting_is_wrong(
    fake: Fake, key_file: Path, status: int, code: int, message: str
) -> None:
    fake.status = HTTPStatus(status)
    fault = await fault_at_open(engine_of(fake, key_file))
    assert (fault.code, str(fault)) == (code, message)


async def test_the_key_is_read_anew_for_each_session(fake: Fake, key_file: Path) -> None:
    write(key_file, "the-key-before")
    engine = engine_of(fake, key_file)
    assert "--relay-key-file" in str(await fault_at_open(engine))
    write(key_file, KEY)
    await (await engine.open(16000)).close()


@pytest.mark.parametrize("content", [None, "", "\n", "two\nlines", "sch\N{LATIN SMALL LETTER U WITH DIAERESIS}ssel"])
async def test_a_file_without_a_key_is_said_at_the_start(fake: Fake, key_file: Path, content: str | None) -> None:
    write(key_file, content)
    with pytest.raises(EngineFault, match="--relay-key-file") as caught:
        await engine_of(fake, key_file).start()
    assert content is None or not content.strip() or content not in str(caught.value)


async def test_a_session_that_is_closed_midway_says_nothing_more(fake: Fake, key_file: Path) -> None:
    recognition = await engine_of(fake, key_file).open(16000)
    await recognition.send(bytes(64000))
    await recognition.close()
    assert await heard(recognition) == []
    with pytest.raises(EngineFault):
        await recognition.send(bytes(3200))
    await recognition.finish()


async def test_whoever_sends_faster_than_the_other_end_reads_waits(fake: Fake, key_file: Path) -> None:
    fake.deaf = True
    recognition = await engine_of(fake, key_file).open(48000)
    sending = asyncio.create_task(recognition.send(bytes(200 * 96000)))
    before = -1.0
    async with asyncio.timeout(20):
        while recognition.processed_seconds > before:
            before = recognition.processed_seconds
            await asyncio.sleep(0.3)
    assert not sending.done()
    began = time.monotonic()
    await recognition.close()
    with pytest.raises(EngineFault):
        await sending
    assert time.monotonic() - began < relays.CLOSE_SECONDS + 1


async def test_last_words_that_do_not_come_are_said_to_be_missing(
    fake: Fake, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "FINISH_SECONDS", 0.3)
    fake.deaf = True
    recognition = await engine_of(fake, key_file).open(16000)
    await recognition.send(bytes(3200))
    await recognition.finish()
    with pytest.raises(EngineFault, match=relays.LATE) as caught:
        await heard(recognition)
    assert caught.value.code == 1011
    fake.over.set()
    await recognition.close()


async def test_last_words_get_longer_than_another_service_of_this_kind_takes(fake: Fake, key_file: Path) -> None:
    engine = engine_of(fake, key_file)
    assert local.FINISH_SECONDS < relays.FINISH_SECONDS < engine.finish_seconds


# ElevenLabs ----------------------------------------------------------------------------------------------------------


async def test_what_elevenlabs_says_goes_on_as_it_came(elevenlabs: FakeElevenLabs, key_file: Path) -> None:
    recognition = await engine_of(elevenlabs, key_file).open(16000)
    for _ in range(12):
        await recognition.send(bytes(3200))
    partial = await anext(recognition.results())
    await recognition.finish()
    commit, timed = await heard(recognition)
    await recognition.close()
    assert (partial.kind, partial.payload) == (Kind.PARTIAL, {"text": "spok"})
    assert (commit.kind, commit.payload) == (Kind.COMMITTED, {"text": "1.20"})
    assert timed.kind == Kind.TIMED
    assert timed.payload["words"][0]["speaker_id"] == "speaker_0"
    assert elevenlabs.query == {
        "model_id": "scribe_v2_realtime",
        "audio_format": "pcm_16000",
        "commit_strategy": "vad",
        "include_timestamps": "true",
    }
    await asyncio.wait_for(elevenlabs.over.wait(), 5)
    assert (elevenlabs.commits, elevenlabs.closed_with) == (1, 1000)


async def test_the_url_has_the_last_word(elevenlabs: FakeElevenLabs, key_file: Path) -> None:
    query = "/v1/speech-to-text/realtime?audio_format=pcm_8000&language_code=yue&include_timestamps=false"
    recognition = await engine_of(elevenlabs, key_file, query).open(16000)
    await recognition.send(sentences()[0].audio)
    await recognition.finish()
    assert Kind.TIMED not in {result.kind for result in await heard(recognition)}
    await recognition.close()
    assert elevenlabs.query["language_code"] == "yue"
    assert elevenlabs.refusals == []
    assert len(elevenlabs.audio) == pytest.approx(len(sentences()[0].audio) / 2, rel=0.01)
    assert elevenlabs.loudness() > 100


async def test_a_rate_that_elevenlabs_does_not_know_becomes_one_that_it_does(
    elevenlabs: FakeElevenLabs, key_file: Path
) -> None:
    speech = sentences()[0].at(32000)
    recognition = await engine_of(elevenlabs, key_file, timestamps="none").open(32000)
    await recognition.send(speech.audio)
    await recognition.finish()
    await heard(recognition)
    await recognition.close()
    assert elevenlabs.query["audio_format"] == "pcm_44100"
    assert elevenlabs.query["include_timestamps"] == "false"
    assert len(elevenlabs.audio) / 2 / 44100 == pytest.approx(speech.seconds, abs=0.01)
    assert elevenlabs.refusals == []


@pytest.mark.parametrize(
    ("says", "code", "message"),
    [
        ({"message_type": "rate_limited", "error": "slow down, KEY"}, 1013, "rate_limited"),
        ({"message_type": "error", "error": "queue_overflow"}, 1013, "queue_overflow"),
        ({"message_type": "chunk_size_exceeded"}, 1008, "chunk_size_exceeded"),
        ({"message_type": "quota_exceeded", "message": "account 17"}, 1011, "quota_exceeded"),
        ({"message_type": "error", "error": "account 17 has a problem"}, 1011, "error"),
        ({"message_type": "error", "error": {"message": "account 17"}}, 1011, "error"),
    ],
)
async def test_an_error_of_elevenlabs_is_a_fault_in_our_words(
    elevenlabs: FakeElevenLabs, key_file: Path, says: dict[str, Any], code: int, message: str
) -> None:
    elevenlabs.says = [says]
    elevenlabs.hangs_up = (1000, "")
    end = await end_of(engine_of(elevenlabs, key_file))
    assert isinstance(end, EngineFault)
    assert (end.code, str(end)) == (code, f"the relay's other end reports {message}")


async def test_an_error_in_place_of_the_greeting_is_a_fault(elevenlabs: FakeElevenLabs, key_file: Path) -> None:
    elevenlabs.greeting = {"message_type": "auth_error", "error": "You must be authenticated"}
    fault = await fault_at_open(engine_of(elevenlabs, key_file))
    assert (fault.code, str(fault)) == (1011, "the relay's other end reports auth_error")


async def test_elevenlabs_without_a_greeting_is_given_up_and_left(
    elevenlabs: FakeElevenLabs, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "CONNECT_SECONDS", 0.3)
    elevenlabs.greeting = None
    assert "cannot be reached" in str(await fault_at_open(engine_of(elevenlabs, key_file)))
    await asyncio.wait_for(elevenlabs.over.wait(), 5)
    assert elevenlabs.closed_with == 1000


async def test_what_is_no_message_of_the_protocol_is_passed_over(elevenlabs: FakeElevenLabs, key_file: Path) -> None:
    elevenlabs.says = [
        "{",
        "[]",
        b"\x00\xff",
        {"message_type": "committed_transcript_entities", "entities": []},
        {"message_type": ["error"]},
        {"message_type": "partial_transcript", "text": 1},
        {"message_type": "partial_transcript", "text": "good"},
    ]
    recognition = await engine_of(elevenlabs, key_file).open(16000)
    await recognition.send(bytes(3200))
    results = recognition.results()
    assert (await anext(results)).payload == {"text": "good"}
    await recognition.close()


@pytest.mark.parametrize(
    ("hangs_up", "expected"),
    [
        ((1000, "no audio"), EngineClosed(1000, "no audio")),
        ((1011, "oops at 10.0.0.1"), EngineFault(relays.LOST, 1011)),
        ((1013, ""), EngineFault(relays.LOST, 1013)),
        ((4000, ""), EngineFault(relays.LOST, 1011)),
    ],
)
async def test_a_close_of_elevenlabs_is_told_from_a_failure(
    elevenlabs: FakeElevenLabs, key_file: Path, hangs_up: tuple[int, str], expected: EngineFault | EngineClosed
) -> None:
    elevenlabs.hangs_up = hangs_up
    end = await end_of(engine_of(elevenlabs, key_file))
    assert (type(end), end.args, end.code) == (type(expected), expected.args, expected.code)


@pytest.mark.parametrize("says", ["commit_throttled", "insufficient_audio_activity"])
async def test_with_nothing_left_to_commit_the_end_is_no_fault(
    elevenlabs: FakeElevenLabs, key_file: Path, says: str
) -> None:
    recognition = await engine_of(elevenlabs, key_file).open(16000)
    elevenlabs.says = [{"message_type": says, "error": "less than 0.3 s of audio"}]
    await recognition.finish()
    assert await heard(recognition) == []
    await recognition.close()


async def test_too_little_to_commit_is_a_fault_where_nobody_asked(elevenlabs: FakeElevenLabs, key_file: Path) -> None:
    elevenlabs.says = [{"message_type": "insufficient_audio_activity"}]
    end = await end_of(engine_of(elevenlabs, key_file))
    assert isinstance(end, EngineFault)
    assert end.code == 1008


@pytest.mark.parametrize(
    ("says", "hangs_up", "message"),
    [
        ([{"message_type": "quota_exceeded"}], None, "the relay's other end reports quota_exceeded"),
        ([{"message_type": "error", "error": "transcriber_error"}], None, "reports transcriber_error"),
        ([], (1011, ""), relays.LOST),
        ([], (4000, ""), relays.LOST),
        ([PARTIAL], (1000, ""), relays.LATE),
    ],
)
async def test_a_failure_of_elevenlabs_at_the_end_is_said(
    elevenlabs: FakeElevenLabs, key_file: Path, says: list[Any], hangs_up: tuple[int, str] | None, message: str
) -> None:
    recognition = await engine_of(elevenlabs, key_file).open(16000)
    await recognition.send(sentences()[0].audio[:16000])
    await elevenlabs.heard(16000)
    elevenlabs.says, elevenlabs.hangs_up = says, hangs_up
    await recognition.finish()
    with pytest.raises(EngineFault, match=message):
        await heard(recognition)
    await recognition.close()


@pytest.mark.parametrize("code", [1000, 1001])
async def test_elevenlabs_may_hang_up_after_its_last_words(
    elevenlabs: FakeElevenLabs, key_file: Path, code: int
) -> None:
    recognition = await engine_of(elevenlabs, key_file).open(16000)
    elevenlabs.says, elevenlabs.hangs_up = [PARTIAL, COMMIT], (code, "")
    await recognition.finish()
    assert (await heard(recognition))[-1].kind == Kind.COMMITTED
    await recognition.close()


async def test_a_commit_of_an_earlier_pause_is_not_taken_for_the_last_one(
    elevenlabs: FakeElevenLabs, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elevenlabs_relay, "QUIET_SECONDS", PATIENCE)
    recognition = await engine_of(elevenlabs, key_file).open(16000)
    elevenlabs.says, elevenlabs.thinks = [COMMIT], 1.5
    await recognition.send(bytes(3200))
    assert (await anext(recognition.results())).payload == {"text": "earlier"}
    elevenlabs.says_first = [COMMIT]
    await recognition.finish()
    assert [result.payload["text"] for result in await heard(recognition)] == ["earlier", "0.10", "0.10"]
    await recognition.close()


async def test_a_commit_before_the_last_one_was_asked_for_does_not_count(
    elevenlabs: FakeElevenLabs, key_file: Path
) -> None:
    recognition = await engine_of(elevenlabs, key_file, timestamps="none").open(16000)
    elevenlabs.says, elevenlabs.thinks = [COMMIT], 5 * elevenlabs_relay.QUIET_SECONDS
    await recognition.send(bytes(3200))
    assert (await anext(recognition.results())).payload == {"text": "earlier"}
    await recognition.finish()
    assert [result.payload["text"] for result in await heard(recognition)] == ["0.10"]
    await recognition.close()


async def test_what_stands_without_a_commit_is_waited_for(elevenlabs: FakeElevenLabs, key_file: Path) -> None:
    recognition = await engine_of(elevenlabs, key_file, timestamps="none").open(16000)
    await recognition.send(bytes(3200))
    elevenlabs.says_first, elevenlabs.thinks = [COMMIT, PARTIAL], 5 * elevenlabs_relay.QUIET_SECONDS
    await recognition.finish()
    texts = [result.payload["text"] for result in await heard(recognition) if result.kind == Kind.COMMITTED]
    assert texts == ["earlier", "0.10"]
    await recognition.close()


def test_a_format_that_is_no_pcm_is_refused_at_the_start(elevenlabs: FakeElevenLabs, key_file: Path) -> None:
    engine = engine_of(elevenlabs, key_file, "/?audio_format=ulaw_8000")
    with pytest.raises(EngineFault, match="audio_format"):
        asyncio.run(engine.start())


# Socket.IO -----------------------------------------------------------------------------------------------------------


async def test_what_another_service_says_goes_on_as_it_came(socketio: FakeSocketIo, key_file: Path) -> None:
    words = [{"text": "\N{CJK UNIFIED IDEOGRAPH-597D}", "start": 0, "end": 1}]
    socketio.then = [
        ("transcript-message", {"message_type": "partial_transcript", "text": "p"}),
        ("transcript-message", {"message_type": "committed_transcript", "text": "c", "language": "yue"}),
        ("transcript-message", {"message_type": "committed_transcript_with_timestamps", "text": "c", "words": words}),
        ("transcript-message", {"message_type": "speaker_changed"}),
        ("transcript-message", None),
        ("session-closed", {"code": 1000, "reason": "enough"}),
    ]
    recognition = await engine_of(socketio, key_file).open(16000)
    await recognition.send(bytes(3200))
    results = recognition.results()
    first = await anext(results)
    committed = await anext(results) if first.kind == Kind.PARTIAL else first
    assert (committed.kind, committed.payload) == (Kind.COMMITTED, {"text": "c", "language": "yue"})
    timed = await anext(results)
    assert (timed.kind, timed.payload["words"]) == (Kind.TIMED, words)
    with pytest.raises(EngineClosed) as caught:
        await anext(results)
    assert (caught.value.code, caught.value.reason) == (1000, "enough")
    await recognition.close()


@pytest.mark.parametrize(
    ("then", "code", "message"),
    [
        (("session-error", {"error": "at capacity", "code": 1013}), 1013, "at capacity"),
        (("session-error", {"error": "no"}), 1011, "no"),
        (("session-error", {"error": "x" * 1000, "code": True}), 1011, "x" * 200),
        (("session-error", "odd"), 1011, "the relay's other end reports an error"),
        (("session-error", {"error": {"no": "text"}, "code": [1008]}), 1011, "the relay's other end reports an error"),
        (("session-error", {"error": "bye", "code": 1000}), 1011, "bye"),
        (("session-error", {"error": "odd", "code": 4711}), 1011, "odd"),
        (("disconnect", None), 1011, relays.LOST),
    ],
)
async def test_an_error_of_another_service_is_a_fault(
    socketio: FakeSocketIo, key_file: Path, then: tuple[str, Any], code: int, message: str
) -> None:
    socketio.then = [then]
    end = await end_of(engine_of(socketio, key_file))
    assert isinstance(end, EngineFault)
    assert (end.code, str(end)) == (code, message)


async def test_another_service_that_does_not_begin_is_given_up_and_left(
    socketio: FakeSocketIo, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "CONNECT_SECONDS", 0.5)
    socketio.starts = False
    assert "cannot be reached" in str(await fault_at_open(engine_of(socketio, key_file)))
    async with asyncio.timeout(5):
        while socketio.open:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, 1000),
        ({"code": 1013}, 1013),
        ({"code": 4711}, 4711),
        ({"code": 5000}, 1011),
        ({"code": True}, 1011),
        ({"code": "1000"}, 1011),
        ({"code": [1000]}, 1011),
    ],
)
async def test_the_code_goes_on_where_it_is_one(
    socketio: FakeSocketIo, key_file: Path, said: dict[str, Any], code: int
) -> None:
    socketio.then = [("session-closed", said)]
    end = await end_of(engine_of(socketio, key_file))
    assert isinstance(end, EngineClosed)
    assert end.code == code


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ([("session-closed", {"code": 1011, "reason": "failed"})], EngineClosed(1011, "failed")),
        ([("session-error", {"error": "no", "code": 1013})], EngineFault("no", 1013)),
        ([("disconnect", None)], EngineFault(relays.LOST)),
        ([("session-closed", {"code": 1001, "reason": "the service stops"})], None),
    ],
)
async def test_a_failure_of_another_service_at_the_end_is_said(
    socketio: FakeSocketIo, key_file: Path, last: list[tuple[str, Any]], reason: EngineFault | EngineClosed | None
) -> None:
    socketio.last = last
    recognition = await engine_of(socketio, key_file).open(16000)
    await recognition.send(bytes(3200))
    await recognition.finish()
    if reason is None:
        assert await heard(recognition) == []
    else:
        with pytest.raises((EngineFault, EngineClosed)) as caught:
            await heard(recognition)
        assert (type(caught.value), caught.value.args) == (type(reason), reason.args)
    await recognition.close()


async def test_a_session_is_asked_for_below_the_path_of_the_url(key_file: Path) -> None:
    async with FakeSocketIo("/speech/prefix").serving() as socketio:
        for path in ("/speech/prefix", "/speech/prefix/", "/speech/prefix/api/stt-realtime-socket"):
            await (await engine_of(socketio, key_file, f"{path}?tenant=1").open(16000)).close()
            assert socketio.query["tenant"] == "1"
