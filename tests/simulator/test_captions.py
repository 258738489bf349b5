"""Captions of the scripted dialogue, as they come out of the stream; time goes as fast as each test moves it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agora_transcription.simulator import Account, SimulatorOptions, create_app, serving
from agora_transcription.simulator.captions import channel, stage
from agora_transcription.simulator.captions.dialogue import CAST
from agora_transcription.simulator.captions.script import LINES, line, marked
from simulator.conftest import APP_ID, Client, Wall
from support.captions import Listener, listening, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import FastAPI

PACKAGE = Path(stage.__file__).parent
TRANSLATED = {"languages": [{"source": "en-US", "target": ["fr-FR", "ja-JP"]}]}


class Listening(Client):
    """A client of a real server, and a clock that runs fast while it waits."""

    def __init__(self, http: httpx.AsyncClient, wall: Wall, app: FastAPI) -> None:
        super().__init__(http, wall)
        self.stage: stage.Stage = app.state.stage

    def busy(self) -> list[str]:
        """The channels in which something runs."""
        return [name for name, performance in self.stage._performances.items() if not performance.done()]

    @asynccontextmanager
    async def to(self, name: str = "standup", *, after: int | None = None) -> AsyncIterator[Listener]:
        async with listening(self.http, name, after=after) as listener:
            yield listener

    async def until(self, holds: Callable[[], object], pace: float = 1.0) -> None:
        await until(holds, step=lambda: self.wall.pass_(pace))

    async def quiet(self, name: str = "standup") -> None:
        """A long dialogue's time passes, and nothing comes of it."""
        channel = self.stage.channel(name)
        before = channel._last
        for _ in range(20):
            self.wall.pass_(5)
            await asyncio.sleep(stage.TICK_SECONDS)
        assert channel._last == before


@pytest.fixture
async def client(app: FastAPI, wall: Wall) -> AsyncIterator[Listening]:
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as http:
        yield Listening(http, wall, app)


async def test_an_utterance_grows_word_by_word_until_it_is_final(client: Listening) -> None:
    async with client.to() as listener:
        await client.joined()
        await client.until(listener.finals)
    assert listener.headers["content-type"].startswith("text/event-stream")
    assert listener.headers["access-control-allow-origin"] == "*"
    said = listener.events
    assert {event.bot for event in said} == {1001}
    assert [event.final for event in said] == [False] * (len(said) - 1) + [True]
    texts = [event.text for event in said]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert texts[-1] == line(0, "en-US")
    numbers = [event.id for event in said]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    final = said[-1].message
    assert (final.uid, final.culture, final.data_type) == (CAST[0], "en-US", "transcribe")
    assert {event.message.sentence_id for event in said} == {final.time}
    starts = [word.start_ms for word in final.words]
    ends = [word.start_ms + word.duration_ms for word in final.words]
    assert starts == [0, *ends[:-1]]
    assert ends[-1] == final.duration_ms
    assert all(word.is_final and 0 < word.confidence <= 1 for word in final.words)
    assert [event.message.text_ts for event in said] == sorted({event.message.text_ts for event in said})


async def test_captions_keep_the_time_of_the_wall(client: Listening) -> None:
    async with client.to() as listener:
        await client.joined()
        await asyncio.sleep(3 * stage.TICK_SECONDS)
        began = client.wall.time
        for number, seconds in enumerate((0.2, 0.65, 0.85)):  # the ends of "Good morning, can"
            client.wall.time = began + seconds - 0.02
            await asyncio.sleep(3 * stage.TICK_SECONDS)
            assert len(listener.events) == number
            client.wall.time = began + seconds + 0.02
            await until(partial(listener.has, number + 1))


async def test_the_whole_dialogue_goes_round_speakers_and_languages(client: Listening) -> None:
    async with client.to() as listener:
        await client.joined(languages=["en-US", "de-DE"])
        await client.until(lambda: len(listener.finals()) > LINES)
    finals = [event.message for event in listener.finals()]
    assert {message.uid for message in finals} == set(CAST)
    assert {message.culture for message in finals} == {"en-US", "de-DE"}
    for number, event in enumerate(listener.finals()):
        assert event.text == line(number, event.message.culture)


async def test_translations_follow_their_original(client: Listening) -> None:
    async with client.to() as listener:
        await client.joined(translateConfig=TRANSLATED)
        await client.until(lambda: any(event.message.trans[0].is_final for event in listener.said("translate")))
    early, final = listener.said("translate")
    original = listener.finals()[0].message
    assert [(each.lang, *each.texts, each.is_final) for each in final.message.trans] == [
        ("fr-FR", line(0, "fr-FR"), True),
        ("ja-JP", line(0, "ja-JP"), True),
    ]
    assert final.message.words == []
    assert (final.message.text_ts, final.message.sentence_id) == (original.text_ts, original.sentence_id)
    assert final.message.original_transcript.words == original.words
    assert [each.is_final for each in early.message.trans] == [False, False]
    assert line(0, "fr-FR").startswith(early.message.trans[0].texts[0])
    assert early.message.text_ts in {event.message.text_ts for event in listener.said() if not event.final}


async def test_languages_without_lines_of_their_own_are_marked(client: Listening) -> None:
    pairs = {"languages": [{"source": "sw-KE", "target": ["zu-ZA"]}]}
    async with client.to() as listener:
        await client.joined(languages=["sw-KE"], translateConfig=pairs)
        await client.until(lambda: len(listener.said("translate")) == 2)
    assert listener.finals()[0].text == marked(line(0, "en-US"), "sw-KE")
    assert list(listener.said("translate")[-1].message.trans[0].texts) == [marked(line(0, "en-US"), "zu-ZA")]


async def test_json_is_sent_in_gzip_to_a_task_that_was_joined_for_it(client: Listening) -> None:
    async with client.to() as listener:
        await client.joined(rtcConfig__enableJsonProtocol=True, translateConfig=TRANSLATED)
        await client.until(lambda: any(json["translation"]["isFinal"] for json in translations(listener)))
    (final,) = [
        event.json["transcript"]
        for event in listener.events
        if "transcript" in event.json and event.json["transcript"]["isFinal"]
    ]
    result = {"text": line(0, "en-US"), "isFinal": True, "offset": final["sentenceId"], "duration": final["duration"]}
    assert final == {
        "uid": CAST[0],
        "language": "en-US",
        "textTs": final["textTs"],
        "sentenceId": final["sentenceId"],
        **result,
        "results": [result],
    }
    translation = translations(listener)[-1]["translation"]
    assert translation["textTs"] == final["textTs"]
    assert translation["original_transcript"]["text"] == final["text"]
    assert translation["results"] == [
        {"language": language, "texts": [line(0, language)], "isFinal": True} for language in ("fr-FR", "ja-JP")
    ]


def translations(listener: Listener) -> list[dict[str, Any]]:
    return [event.json for event in listener.events if "translation" in event.json]


async def test_tasks_of_v6_have_captions_too(client: Listening) -> None:
    async with client.to() as listener:
        task = await client.started(languages=["de-DE"])
        await client.until(listener.finals)
        assert listener.finals()[0].text == line(0, "de-DE")
        answer = await client.v6("DELETE", f"/tasks/{task[0]}?builderToken={task[1]}")
        assert answer.status_code == 200
        await client.quiet()


async def test_an_update_holds_from_the_next_utterance_on(client: Listening) -> None:
    async with client.to() as listener:
        agent_id = await client.joined()
        await client.until(
            lambda: client.wall.time > 1_800_000_006 and listener.events and not listener.events[-1].final
        )
        body = {"languages": ["es-ES"], "translateConfig": {"enable": True, "languages": [pair("es-ES", "de-DE")]}}
        answer = await client.update(agent_id, 1, "languages,translateConfig.enable,translateConfig.languages", body)
        assert answer.status_code == 200, answer.text
        begun = listener.events[-1].message.sentence_id
        await client.until(lambda: [event for event in listener.said("translate") if event.message.trans[0].is_final])
    for event in listener.events:
        assert event.message.culture == ("en-US" if event.message.sentence_id <= begun else "es-ES")
    assert listener.said("translate")[-1].message.trans[0].lang == "de-DE"


def pair(source: str, *target: str) -> dict[str, Any]:
    return {"source": source, "target": list(target)}


async def test_only_those_speak_whom_the_task_subscribes_to(client: Listening) -> None:
    uids = [{"uid": "555", "languages": ["ja-JP"]}]
    async with client.to() as listener:
        agent_id = await client.joined(rtcConfig__subscribeAudioUids=["555", "7"], uidLanguagesConfig=uids)
        await client.until(lambda: len(listener.finals()) >= 4)
        assert {(event.message.uid, event.message.culture) for event in listener.events} == {
            (555, "ja-JP"),
            (7, "en-US"),
        }
        answer = await client.update(
            agent_id, 1, "rtcConfig.subscribeAudioUids", {"rtcConfig": {"subscribeAudioUids": ["all"]}}
        )
        assert answer.status_code == 200, answer.text
        await client.until(lambda: {event.message.uid for event in listener.events} >= {555, *CAST})


async def test_those_do_not_speak_whom_the_task_does_not_want_to_hear(client: Listening) -> None:
    silent, *heard = CAST
    async with client.to() as listener:
        await client.joined(rtcConfig__unSubscribeAudioUids=[str(silent)])
        await client.until(lambda: len(listener.finals()) > len(CAST))
        assert {event.message.uid for event in listener.events} == set(heard)
    async with client.to("elsewhere") as listener:
        everybody = {
            "channelName": "elsewhere",
            "pubBotUid": "1001",
            "unSubscribeAudioUids": [str(uid) for uid in CAST],
        }
        await client.joined("tt-b-1", rtcConfig=everybody)
        await client.quiet("elsewhere")
        assert listener.events == []


async def test_a_stop_ends_the_captions_in_the_middle_of_an_utterance(client: Listening) -> None:
    async with client.to() as listener:
        agent_id = await client.joined()
        await client.until(lambda: len(listener.events) >= 2, pace=0.1)
        assert (await client.v7("POST", f"/agents/{agent_id}/leave")).status_code == 200
        await client.quiet()
        assert not listener.finals()
        await client.joined("tt-a-2")
        await client.until(listener.finals)


async def test_nothing_comes_of_tasks_that_do_not_run_and_of_empty_channels(client: Listening) -> None:
    await client.options(startDelay=1000)
    async with client.to() as listener:
        await client.joined(maxIdleTime=0)
        await client.quiet()
        await client.until(listener.finals, pace=100)
        assert (await client.http.put("/simulator/channels/standup", json={"hosts": 0})).status_code == 200
        await client.quiet()


async def test_channels_do_not_hear_each_other(client: Listening) -> None:
    async with client.to("standup") as standup, client.to("elsewhere") as elsewhere:
        await client.joined()
        await client.until(standup.finals)
        assert elsewhere.events == []


async def test_who_comes_back_is_told_what_was_missed(client: Listening) -> None:
    async with client.to() as first:
        await client.joined()
        await client.until(lambda: len(first.finals()) == 2)
        async with client.to(after=first.events[2].id) as second:
            await until(lambda: len(second.events) >= len(first.events) - 3)
            assert second.events[: len(first.events) - 3] == first.events[3:]
        async with client.to(after=first.events[-1].id + 10**6) as ahead, client.to() as new:
            await client.until(ahead.finals)
            await client.until(new.finals)
            assert min(ahead.events[0].id, new.events[0].id) > first.events[2].id


@pytest.mark.parametrize("number", ["", "-1", "x", "9" * 5000])
async def test_who_comes_back_with_a_number_of_somebody_else_gets_what_is_new(client: Listening, number: str) -> None:
    await client.joined()
    stream = client.http.stream("GET", "/simulator/channels/standup/captions", headers={"Last-Event-ID": number})
    async with client.to() as first:
        await client.until(first.finals)
        async with stream as answer, asyncio.timeout(10):
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            moving = asyncio.create_task(client.until(lambda: len(first.finals()) == 2))
            async for line_ in lines:
                if line_.startswith("id: "):
                    assert int(line_.removeprefix("id: ")) > first.finals()[0].id
                    break
            await moving


async def test_what_can_be_caught_up_on_is_bounded(client: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "KEPT", 5)
    async with client.to() as first:
        await client.joined()
        await client.until(lambda: len(first.finals()) == 2)
        async with client.to(after=0) as second:
            await until(lambda: second.events)
            assert second.events[0].id >= first.events[-5].id


async def test_numbers_rise_across_restarts(wall: Wall) -> None:
    numbers: list[int] = []
    options = SimulatorOptions(accounts=(Account(app_id=APP_ID, customer_id="bare", customer_secret="bare-secret"),))
    for _ in range(2):
        app = create_app(options, wall=wall)
        async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
            client = Listening(http, wall, app)
            async with client.to() as listener:
                await client.joined()
                await client.until(listener.finals)
            numbers += [event.id for event in listener.events]
    assert numbers == sorted(set(numbers))


async def test_where_nobody_listens_nothing_runs(client: Listening) -> None:
    client.stage._linger = 0.2
    await client.joined()
    for _ in range(10):
        client.wall.pass_(5)
        await asyncio.sleep(stage.TICK_SECONDS)
    assert client.busy() == []
    async with client.to() as listener:
        await client.until(listener.finals)
        assert client.busy() == ["standup"]
    await until(lambda: client.busy() == [])


async def test_a_quiet_stream_shows_that_it_lives(client: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "HEARTBEAT", 0.05)
    async with client.to() as listener:
        await until(lambda: listener.comments >= 3)
        assert listener.events == []


async def test_a_reset_ends_the_captions_and_leaves_the_stream_open(client: Listening) -> None:
    async with client.to() as listener:
        await client.joined()
        await client.until(listener.finals)
        assert (await client.http.delete("/simulator/state")).status_code == 200
        await client.quiet()
        before = listener.events[-1].id
        async with client.to(after=0) as later:
            await client.joined()
            await client.until(later.finals)
            assert later.events[0].id > before


def test_the_compiled_message_is_that_of_the_proto_file(tmp_path: Path) -> None:
    root = PACKAGE.parents[2]
    proto = (PACKAGE / "captions.proto").relative_to(root)
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", proto],
        cwd=root,
        check=True,
    )
    for name in ("captions_pb2.py", "captions_pb2.pyi"):
        assert (PACKAGE / name).read_text() == (tmp_path / proto).with_name(name).read_text(), "run make captions-proto"
