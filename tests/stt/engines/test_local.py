"""The engines here, with their models and real worker processes, on real speech."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jiwer
import pytest

from agora_transcription.stt.engines import processes
from agora_transcription.stt.engines.base import EngineFault, Kind
from agora_transcription.stt.engines.local import WINDOW_SECONDS, LocalEngine
from support.processes import living_processes, wait_until
from support.speech import Speech, beckett, dickens, sentences, words_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agora_transcription.stt.engines.base import Result
    from agora_transcription.stt.engines.local import LocalRecognition

ENGINES = {"moonshine": 0.1, "pocketsphinx": 0.2}
"""Each with the word error rate that it must not reach, with the ten sentences."""

READ = {"moonshine": 0.1, "pocketsphinx": 0.4}
"""The same, with a book that is read aloud."""


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(request.param, 1)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def two_workers() -> AsyncIterator[LocalEngine]:
    engine = LocalEngine("moonshine", 2, hang_seconds=3)
    await engine.start()
    yield engine
    await engine.stop()


async def heard(recognition: LocalRecognition) -> list[Result]:
    """All that is said until the results end."""
    async with asyncio.timeout(60):
        return [result async for result in recognition.results()]


async def recognize(engine: LocalEngine, speech: Speech) -> list[Result]:
    """Send speech, as fast as it is taken, and answer all that is heard."""
    recognition = await engine.open(speech.rate)
    reading = asyncio.create_task(heard(recognition))
    for chunk in speech.chunks():
        await recognition.send(chunk)
    await recognition.finish()
    results = await reading
    assert recognition.processed_seconds == pytest.approx(speech.seconds)
    assert recognition.busy_seconds > 0
    return results


def committed(results: list[Result]) -> str:
    return " ".join(result.payload["text"] for result in results if result.kind == Kind.COMMITTED)


async def until(holds: Callable[[], bool], timeout: float = 30) -> None:
    async with asyncio.timeout(timeout):
        while not holds():
            await asyncio.sleep(0.02)


# What is heard -------------------------------------------------------------------------------------------------------


async def test_what_is_said_is_heard(engine: LocalEngine, request: pytest.FixtureRequest) -> None:
    said = sentences()
    texts = [committed(await recognize(engine, speech)) for speech in said]
    rate = jiwer.wer([" ".join(words_of(speech.text)) for speech in said], [" ".join(words_of(text)) for text in texts])
    assert rate < ENGINES[request.node.callspec.params["engine"]], texts


async def test_what_a_person_reads_is_heard(engine: LocalEngine, request: pytest.FixtureRequest) -> None:
    speech = dickens()
    heard_there = committed(await recognize(engine, speech))
    rate = jiwer.wer(" ".join(words_of(speech.text)), " ".join(words_of(heard_there)))
    assert rate < READ[request.node.callspec.params["engine"]], heard_there


@pytest.mark.parametrize(
    ("engine", "rate"),
    # Of a telephone's 8000 Hz PocketSphinx makes nonsense: its model has never heard any.
    [("moonshine", 8000), ("moonshine", 44100), ("moonshine", 48000), ("pocketsphinx", 44100), ("pocketsphinx", 48000)],
    indirect=["engine"],
)
async def test_it_is_heard_at_other_rates(engine: LocalEngine, rate: int) -> None:
    text = committed(await recognize(engine, sentences()[6].at(rate)))
    assert {"opened", "the", "window"} <= set(words_of(text)), text


async def test_the_last_word_is_heard_though_no_silence_follows(engine: LocalEngine) -> None:
    speech = sentences()[7]
    # Flite ends with 85 ms of silence: cut where the word does.
    cut = speech._replace(audio=speech.audio[: -2 * 1356])
    assert words_of(committed(await recognize(engine, cut)))[-1] == "once"


async def test_partials_come_before_the_commit_and_never_twice_the_same(engine: LocalEngine) -> None:
    recognition = await engine.open(16000)
    reading = asyncio.create_task(heard(recognition))
    for chunk in sentences()[6].then_silence(1.0).chunks():
        await recognition.send(chunk)
        await until(lambda: recognition.processed_seconds * 32000 >= recognition._sent)
    await recognition.finish()
    results = await reading
    kinds = [result.kind for result in results]
    assert kinds.count(Kind.COMMITTED) == 1
    partials = [result.payload["text"] for result in results[: kinds.index(Kind.COMMITTED)]]
    assert partials
    assert all(one != next_ for one, next_ in itertools.pairwise(partials))


async def test_a_commit_says_when_the_speech_ended(engine: LocalEngine) -> None:
    speech = sentences()[1].then_silence(2.0)
    [commit] = [result for result in await recognize(engine, speech) if result.kind == Kind.COMMITTED]
    assert commit.heard_at is not None
    assert speech.seconds - 2.6 < commit.heard_at < speech.seconds - 1.9


async def test_each_word_has_its_time(engine: LocalEngine) -> None:
    speech = sentences()[6]
    silence = bytes(32000 * 3)
    results = await recognize(engine, speech._replace(audio=silence + speech.audio))
    [commit] = [result for result in results if result.kind == Kind.COMMITTED]
    [timed] = [result for result in results if result.kind == Kind.TIMED]
    assert timed.payload["text"] == commit.payload["text"]
    words = timed.payload["words"]
    assert " ".join(word["text"] for word in words) == commit.payload["text"]
    assert {word["type"] for word in words} == {"word"}
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    # As its spectrogram shows it.
    [window] = [word for word in words if word["text"] == "window"]
    assert (window["start"], window["end"]) == (pytest.approx(3.87, abs=0.15), pytest.approx(4.27, abs=0.15))


async def test_nobody_who_wants_no_times_gets_them() -> None:
    engine = LocalEngine("pocketsphinx", 1, timestamps=False)
    await engine.start()
    results = await recognize(engine, sentences()[6])
    await engine.stop()
    assert {result.kind for result in results} >= {Kind.COMMITTED}
    assert not [result for result in results if result.kind == Kind.TIMED]


async def test_in_silence_nothing_is_heard(engine: LocalEngine) -> None:
    assert await recognize(engine, Speech(bytes(32000 * 5), 16000, "")) == []


async def test_in_silence_nothing_is_heard_beside_somebody_who_speaks(engine: LocalEngine) -> None:
    said, silent = await asyncio.gather(
        recognize(engine, beckett()), recognize(engine, Speech(bytes(32000 * 10), 16000, ""))
    )
    assert committed(said)
    assert silent == []


async def test_a_session_without_audio_ends(engine: LocalEngine) -> None:
    recognition = await engine.open(16000)
    await recognition.finish()
    assert await heard(recognition) == []


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
async def test_a_worker_has_one_thread(engine: LocalEngine) -> None:
    await recognize(engine, sentences()[6])
    assert len(list(Path(f"/proc/{engine._workers[0].pid}/task").iterdir())) == 1  # noqa: ASYNC240 - of the kernel


# Pressure ------------------------------------------------------------------------------------------------------------


async def test_whoever_sends_faster_than_it_is_recognized_waits(engine: LocalEngine) -> None:
    recognition = await engine.open(16000)
    audio = b"".join(speech.audio for speech in sentences()[:4])
    sending = asyncio.create_task(recognition.send(audio))
    ahead = 0.0
    while not sending.done():
        ahead = max(ahead, recognition._sent / 32000 - recognition.processed_seconds)
        await asyncio.sleep(0.01)
    assert 0 < ahead < WINDOW_SECONDS + 0.51
    await recognition.finish()
    assert len(words_of(committed(await heard(recognition)))) > 25


async def test_of_partials_that_nobody_reads_only_the_newest_is_kept(engine: LocalEngine) -> None:
    recognition = await engine.open(16000)
    for speech in sentences()[:3]:
        await recognition.send(speech.then_silence(1.0).audio)
    await recognition.finish()
    await until(lambda: recognition._results.ended)
    kinds = [result.kind for result in await heard(recognition)]
    assert kinds.count(Kind.COMMITTED) >= 3
    assert kinds.count(Kind.PARTIAL) == 0


async def test_one_who_sends_all_at_once_does_not_starve_another(engine: LocalEngine) -> None:
    greedy = await engine.open(16000)
    flood = b"".join(speech.audio for speech in sentences())
    sending = asyncio.create_task(greedy.send(flood * 3))
    text = committed(await recognize(engine, sentences()[6]))
    assert "window" in words_of(text)
    assert not sending.done()
    await greedy.close()
    with pytest.raises(EngineFault):
        await sending


async def test_a_session_that_is_closed_midway_says_nothing_more(engine: LocalEngine) -> None:
    recognition = await engine.open(16000)
    await recognition.send(sentences()[0].audio[:32000])
    await recognition.close()
    await recognition.close()
    await recognition.finish()
    assert await heard(recognition) == []
    with pytest.raises(EngineFault):
        await recognition.send(bytes(3200))
    assert "window" in words_of(committed(await recognize(engine, sentences()[6])))


# Failure -------------------------------------------------------------------------------------------------------------


async def test_a_worker_that_dies_fails_its_own_sessions_and_is_started_again(two_workers: LocalEngine) -> None:
    first, second = await two_workers.open(16000), await two_workers.open(16000)
    victim = first._worker.pid
    assert victim
    assert victim != second._worker.pid
    await first.send(sentences()[0].audio[:32000])
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(EngineFault) as caught:
        await heard(first)
    assert caught.value.code == 1011
    with pytest.raises(EngineFault):
        await first.send(bytes(3200))
    assert two_workers.check() is None
    await second.send(sentences()[6].audio)
    await second.finish()
    assert "window" in words_of(committed(await heard(second)))
    await until(lambda: first._worker.ready)
    assert first._worker.pid != victim
    assert "window" in words_of(committed(await recognize(two_workers, sentences()[6])))


async def test_a_worker_that_is_left_alone_takes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_PAUSE", 600)  # none comes back while this test looks
    engine = LocalEngine("pocketsphinx", 2, sessions=3)
    await engine.start()
    try:
        sessions = [await engine.open(16000) for _ in range(3)]
        victim, left = sorted(engine._workers, key=lambda worker: len(worker.sessions))
        assert (len(victim.sessions), len(left.sessions)) == (1, 2)
        assert victim.pid
        os.kill(victim.pid, signal.SIGKILL)
        await until(lambda: not victim.sessions)
        with pytest.raises(EngineFault, match="no room") as caught:
            await engine.open(16000)
        assert caught.value.code == 1013
        assert engine.check() is None
        await next(session for session in sessions if session._worker is left).close()
        assert (await engine.open(16000))._worker is left
    finally:
        await engine.stop()


async def test_a_worker_is_started_again_whatever_kept_it_from_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LocalEngine("pocketsphinx", 1)
    await engine.start()
    try:
        monkeypatch.setitem(processes.ENVIRONMENT, "IMPOSSIBLE", "\0")
        [worker] = engine._workers
        assert worker.pid
        os.kill(worker.pid, signal.SIGKILL)
        await until(lambda: "ValueError: embedded null byte" in caplog.text)
        monkeypatch.delitem(processes.ENVIRONMENT, "IMPOSSIBLE")
        await until(lambda: worker.ready)
    finally:
        await engine.stop()


async def test_a_worker_that_hangs_is_ended_and_started_again(two_workers: LocalEngine) -> None:
    first, second = await two_workers.open(16000), await two_workers.open(16000)
    pids = [worker.pid for worker in two_workers._workers]
    for pid in pids:
        assert pid
        os.kill(pid, signal.SIGSTOP)
    for recognition in (first, second):
        with pytest.raises(EngineFault) as caught:
            await heard(recognition)
        assert caught.value.code == 1011
    if two_workers.check() is not None:
        with pytest.raises(EngineFault) as caught:
            await two_workers.open(16000)
        assert caught.value.code == 1013
    await until(lambda: all(worker.ready for worker in two_workers._workers))
    assert not {process.pid for process in living_processes()} & set(pids)


async def test_stopping_fails_what_is_open_and_leaves_no_process() -> None:
    engine = LocalEngine("moonshine", 2)
    await engine.start()
    pids = {worker.pid for worker in engine._workers}
    recognition = await engine.open(16000)
    async with asyncio.timeout(10):
        await engine.stop()
    with pytest.raises(EngineFault):
        await heard(recognition)
    assert engine.check() == "no worker of the engine is ready"
    assert not {process.pid for process in living_processes()} & pids


PARENT = """
import asyncio, sys
from agora_transcription.stt.engines.local import LocalEngine
async def main():
    engine = LocalEngine("moonshine", 2)
    await engine.start()
    print(*(worker.pid for worker in engine._workers), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_workers_end_when_their_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = {int(pid) for pid in parent.stdout.readline().split()}
        assert len(pids) == 2
        parent.kill()
    wait_until(lambda: not {process.pid for process in living_processes()} & pids)


async def test_workers_that_cannot_be_loaded_say_so_and_leave_no_process(tmp_path: Path) -> None:
    # Moonshine's package is there, and its model is not.
    (tmp_path / "moonshine_voice").mkdir()
    (tmp_path / "moonshine_voice" / "__init__.py").touch()
    engine = LocalEngine("moonshine", 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(EngineFault, match="the engine moonshine cannot be loaded: ModuleNotFoundError"):
            await engine.start()
    assert engine.check()
    assert not [each for each in living_processes() if each.parent == os.getpid() and "engines.worker" in each.command]


async def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agora_transcription.stt.engines.recognizers.find_spec", lambda _: None)
    with pytest.raises(EngineFault, match=r"moonshine_voice: pip install 'agora-transcription\[stt\]'"):
        await LocalEngine("moonshine", 1).start()


async def test_a_session_that_fails_in_its_worker_leaves_the_others_alone(
    engine: LocalEngine, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await engine.open(48000), await engine.open(16000)
    await bad.send(bytes(3))  # half a sample: the service lets none pass
    with pytest.raises(EngineFault, match="the engine failed"):
        await heard(bad)
    await bad.close()
    await good.send(sentences()[6].audio)
    await good.finish()
    assert "window" in words_of(committed(await heard(good)))
    assert "a session cannot go on: ValueError in resampling.py, line" in caplog.text
