"""A thousand messages that no client means to send: afterwards everything is as before."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets

from stt.test_traps import START, STOP, audio, polling
from support.metrics import read_metrics
from support.stt import calling, raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stt.conftest import Run
    from support.stt import ScriptedStt

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGES = 1000
A_CONNECTION = 20
"""Messages that one is sent at most; many end after fewer."""

EVENTS = (
    "start-session",
    "audio-chunk",
    "stop-session",
    "connect",
    "disconnect",
    "session-closed",
    "*",
    "",
    "\0",
    "🙂",
)


def anything(chance: random.Random, depth: int = 0) -> Any:
    """Some JSON."""
    made: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.choice([True, False]),
        lambda: chance.choice([0, -1, 16000, 2**63, 10**50, -0.0, 1e300, 16000.5]),
        lambda: chance.choice(["", "\ud800", "\0", "x" * chance.randrange(200_000), "AAAA", "AAA=", "AA==\n"]),
        lambda: [anything(chance, depth + 1) for _ in range(chance.randrange(3))],
        lambda: {key: anything(chance, depth + 1) for key in chance.sample(KEYS, chance.randrange(len(KEYS)))},
    ]
    return chance.choice(made[: 4 if depth > 3 else None])()


RESTING = ["AsyncServer._service_task", "Event.wait", "Server.serve", "Wire.sweep", "run.<locals>.wrapper"]
"""The tasks of a service that nobody is connected to."""

KEYS = ("sampleRate", "audio_base_64", "sample_rate", "_placeholder", "num", "__proto__", "more")


def an_event(chance: random.Random) -> str:
    """A Socket.IO event, well formed, with what should not be in it."""
    body = [chance.choice(EVENTS), *(anything(chance) for _ in range(chance.randrange(3)))]
    return f"42{chance.choice(['', '7', '/other,'])}{json.dumps(body)}"


def noise(chance: random.Random) -> str:
    return "".join(chr(chance.randrange(1, 0x250)) for _ in range(chance.randrange(60)))


def cut(chance: random.Random) -> str:
    """A good packet, cut or with a letter changed."""
    text = chance.choice([START, STOP, audio(1), "40", "41"])
    at = chance.randrange(len(text))
    return text[:at] + chance.choice(["", chr(chance.randrange(32, 127)) + text[at + 1 :]])


def a_message(chance: random.Random) -> str | bytes:
    kind = chance.random()
    if kind < 0.5:
        return an_event(chance)
    if kind < 0.7:
        return cut(chance)
    if kind < 0.8:
        return f"{chance.randrange(10)}{chance.randrange(10)}{noise(chance)}"
    if kind < 0.9:
        deep = ["4" + "[" * 10_000, "42" + '{"a":' * 10_000]
        return chance.choice([*deep, noise(chance), "2probe", "5", "6", "b" + noise(chance)])
    if kind < 0.95:
        return chance.randbytes(chance.randrange(2000))
    return f'45{chance.randrange(3)}-["audio-chunk",{{"_placeholder":true,"num":{chance.randrange(3)}}}]'


def messages(chance: random.Random, count: int) -> Iterator[str | bytes]:
    return (a_message(chance) for _ in range(count))


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_thousand_messages_crash_nothing_and_leave_nothing(run: Run, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same again when it fails
    async with run(capacity=100) as service:
        sent = 0
        while sent < MESSAGES:
            batch = list(messages(chance, A_CONNECTION))
            sent += await (by_websocket if chance.random() < 0.7 else by_polling)(service, batch)
        await rest(service)
        async with calling(service.url) as caller:
            await caller.start()
            await caller.say(1, 2)
            await caller.sio.emit("stop-session")
            await caller.until_committed("w1 w2")


async def by_websocket(service: ScriptedStt, batch: list[str | bytes]) -> int:
    """Send until the connection ends; answers how many."""
    sent = 0
    async with raw(service.url) as client:
        with contextlib.suppress(websockets.ConnectionClosed):
            await client.send(START)
            for message in batch:
                await client.send(message)
                sent += 1
    return max(sent, 1)


async def by_polling(service: ScriptedStt, batch: list[str | bytes]) -> int:
    """Send them, some of them together."""
    sent = 0
    async with polling(service) as client:
        await client.post(START)
        for message in batch:
            sent += 1
            text = message.decode("latin-1") if isinstance(message, bytes) else message
            answer = await client.post(text, *["3"] * (sent % 2))
            assert answer.status_code in {200, 400, 413}
            if answer.status_code != 200:
                break
        with contextlib.suppress(httpx.HTTPError):
            await client.post("1")
    return sent


async def rest(service: ScriptedStt) -> None:
    """Wait until nothing is left of anybody."""
    deadline = asyncio.get_running_loop().time() + 20
    async with asyncio.timeout(21):
        while (await read_metrics(service.metrics))("agora_transcription_stt_connections"):
            await asyncio.sleep(0.05)
        # What has been cut still unwinds.
        while (counted := await service.counts()) != {"open": 0, "tasks": RESTING}:
            assert asyncio.get_running_loop().time() < deadline, counted
            await asyncio.sleep(0.1)
