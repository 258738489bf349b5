"""What clients, by mistake or on purpose, do to a server of Socket.IO: nothing is lost in silence, nothing grows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets

from agora_transcription.stt.protocol import PATH
from agora_transcription.stt.session import MAX_WAITING_PARTIALS
from agora_transcription.stt.wire import MAX_WAITING
from support.metrics import read_metrics
from support.scripted import chunk, word
from support.stt import BOTH, KEY, calling, raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt.conftest import Run
    from support.stt import ScriptedStt

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = '42["start-session",{"sampleRate":16000}]'
STOP = '42["stop-session"]'


def audio(number: int) -> str:
    return "42" + json.dumps(["audio-chunk", chunk(word(number))])


class Polling:
    """A client by polling, whose requests are written by hand."""

    def __init__(self, client: httpx.AsyncClient, sid: str) -> None:
        self.client = client
        self.sid = sid
        self.empty = 0
        self.query = {"EIO": "4", "transport": "polling", "sid": sid}

    async def post(self, *packets: str) -> httpx.Response:
        return await self.client.post(f"{PATH}/", params=self.query, content="\x1e".join(packets))

    async def until(self, event: str) -> list[Any]:
        """Poll until an event comes; answers all."""
        events: list[Any] = []
        async with asyncio.timeout(15):
            while event not in [name for name, *_ in events]:
                text = (await self.client.get(f"{PATH}/", params=self.query)).text
                self.empty += text == "6"
                events += [json.loads(packet[2:]) for packet in text.split("\x1e") if packet.startswith("42")]
        return events


@asynccontextmanager
async def polling(service: ScriptedStt) -> AsyncIterator[Polling]:
    async with httpx.AsyncClient(base_url=service.url, headers={"x-api-key": KEY}, timeout=60) as client:
        opened = await client.get(f"{PATH}/", params={"EIO": "4", "transport": "polling"})
        made = Polling(client, json.loads(opened.text[1:])["sid"])
        assert (await made.post("40")).status_code == 200
        assert (await client.get(f"{PATH}/", params=made.query)).text.startswith("40{")
        yield made


async def test_a_hundred_packets_in_one_polling_request_are_all_heard(service: ScriptedStt) -> None:
    async with polling(service) as client:
        await client.post(START)
        await client.until("session-started")
        numbers = range(1, 101)
        assert (await client.post(*map(audio, numbers), STOP)).status_code == 200
        events = await client.until("session-closed")
        assert events[-1] == ["session-closed", {"code": 1000, "reason": ""}]
        assert ["transcript-message", committed(*numbers)] in events


async def test_more_packets_in_one_request_than_are_taken_end_the_session_with_an_error(service: ScriptedStt) -> None:
    async with polling(service) as client:
        await client.post(START)
        await client.until("session-started")
        assert (await client.post(*['42["audio-chunk",{}]'] * 257)).status_code == 200
        assert (await client.until("session-closed"))[-2:] == [
            ["session-error", {"error": "a request may have 256 packets", "code": 1009}],
            ["session-closed", {"code": 1009, "reason": "a request may have 256 packets"}],
        ]
        await client.post(START)
        await client.until("session-started")


async def test_a_polling_request_that_is_too_large_is_refused(service: ScriptedStt) -> None:
    async with polling(service) as client:
        target = f"{PATH}/?EIO=4&transport=polling&sid={client.sid}"
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000001\r\n\r\n"
        host, _, port = service.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode())
        answer = (await asyncio.wait_for(reader.read(), 10)).decode()
        writer.close()
        assert answer.startswith("HTTP/1.1 413 ")
        assert "connection: close" in answer

        async def parts() -> AsyncIterator[bytes]:
            for letter in START:
                yield letter.encode()

        unknown = await client.client.post(f"{PATH}/", params=client.query, content=parts())
        assert unknown.status_code == 200
        await client.until("session-started")


async def test_a_websocket_message_that_is_too_large_closes_the_connection_and_says_why(service: ScriptedStt) -> None:
    async with raw(service.url) as client:
        with contextlib.suppress(websockets.ConnectionClosed):  # before all of it is sent
            await client.send("42" + "2" * 2_100_000)
        await until_closed(client)
        assert client.close_code == 1009


@pytest.mark.parametrize("transport", BOTH)
async def test_a_chunk_that_is_too_large_for_its_message_is_said(service: ScriptedStt, transport: str) -> None:
    async with calling(service.url, transport=transport) as caller:
        await caller.start()
        await caller.sio.emit("audio-chunk", chunk(bytes(760_000)))
        assert (await caller.until("session-error")).payload["code"] == 1009
        closed = (await caller.until("session-closed")).payload
        assert (closed["code"], "1000000 bytes" in closed["reason"]) == (1009, True)
        await caller.sio.emit("audio-chunk", chunk(bytes(760_000)))
        assert (await caller.until("session-error")).payload["code"] == 1009
        await caller.start()


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize("payload", [{"audio_base_64": word(2)}, word(2)], ids=["in the payload", "as the payload"])
async def test_binary_is_not_taken_and_said_so(service: ScriptedStt, transport: str, payload: object) -> None:
    async with calling(service.url, transport=transport) as caller:
        await caller.start()
        await caller.say(1)
        await caller.sio.emit("audio-chunk", payload)
        error = (await caller.until("session-error")).payload
        assert error == {"error": "audio-chunk needs audio_base_64, a text; binary is not accepted", "code": 1008}
        await caller.say(3)
        await caller.sio.emit("stop-session")
        await caller.until_committed("w1 w3")


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "x",
        "4",
        "9",
        "2probe",
        "5",
        "6",
        "b!!!",
        "4" + "[" * 100_000,
        "42" + "[" * 100_000,
        "42",
        "42{}",
        "42[]",
        "42[5]",
        '42["connect"]',
        '42["disconnect","x"]',
        "43[]",
        "44",
        "46",
        "49",
        '42["start-session"',
        b"audio",
    ],
    ids=lambda packet: repr(packet[:24]),
)
async def test_what_no_client_sends_ends_the_connection(service: ScriptedStt, packet: str | bytes) -> None:
    async with raw(service.url) as client:
        await client.send(START)
        await client.send(packet)
        await until_closed(client)


@pytest.mark.parametrize("packet", ["x", "2probe", "9", "4" + "[" * 100_000, "b!"])
async def test_the_same_by_polling(service: ScriptedStt, packet: str) -> None:
    async with polling(service) as client:
        assert (await client.post(packet)).status_code == 400
        async with asyncio.timeout(5):
            while (await client.post("3")).status_code != 400:
                await asyncio.sleep(0.05)


async def test_a_client_that_reads_nothing_is_told_less_and_then_left(run: Run) -> None:
    async with run(noise=20_000) as service, calling(service.url) as healthy, stalled(service) as client:
        await healthy.start()
        most, value = 0.0, await read_metrics(service.metrics)
        async with asyncio.timeout(60):
            # Partial texts fill what the kernel buffers, then they are left out.
            while not value("agora_transcription_stt_dropped_packets_total", where="partial"):
                client.send(audio(1))
                await asyncio.sleep(0.1)
                value = await read_metrics(service.metrics)
                most = max(most, value("agora_transcription_stt_out_queue") or 0)
            assert most <= MAX_WAITING_PARTIALS + 2
            # Acknowledgements cannot be.
            number = 0
            while value("agora_transcription_stt_connections") != 1:
                client.send(f'42{number}["stop-session"]')
                number += 1
                if number % 50 == 0:
                    await asyncio.sleep(0.01)
                    value = await read_metrics(service.metrics)
                    most = max(most, value("agora_transcription_stt_out_queue") or 0)
        assert most <= MAX_WAITING + 10
        await healthy.say(0, 0)
        await healthy.stop()


class Stalled:
    """A client that sends and never reads."""

    def __init__(self, plain: socket.socket) -> None:
        self.plain = plain

    def send(self, packet: str) -> None:
        body = packet.encode()
        size = bytes([0x80 | len(body)]) if len(body) <= 125 else b"\xfe" + len(body).to_bytes(2, "big")
        with contextlib.suppress(OSError):  # it has been left
            self.plain.sendall(b"\x81" + size + bytes(4) + body)


@asynccontextmanager
async def stalled(service: ScriptedStt) -> AsyncIterator[Stalled]:
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect((host, int(port)))
    request = (
        f"GET {PATH}/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"x-api-key: {KEY}\r\n\r\n"
    )
    plain.sendall(request.encode())
    while not plain.recv(4096).startswith(b"HTTP/1.1 101"):
        pass
    client = Stalled(plain)
    client.send("40")
    client.send(START)
    try:
        yield client
    finally:
        plain.close()


async def test_a_connection_without_a_session_is_closed(run: Run) -> None:
    async with (
        run(alone=1.0) as service,
        calling(service.url) as busy,
        calling(service.url) as lonely,
        raw(service.url) as silent,
    ):
        await busy.start()
        async with asyncio.timeout(10):
            await lonely.gone.wait()
            await until_closed(silent)
        assert not busy.gone.is_set()
        await busy.stop()
        async with asyncio.timeout(10):
            await busy.gone.wait()


@pytest.mark.parametrize("end", ["41", "1"], ids=["the namespace", "the connection"])
async def test_who_starts_and_leaves_in_one_request_takes_no_room(run: Run, end: str) -> None:
    async with run(capacity=1) as service:
        for _ in range(3):
            async with polling(service) as client:
                await client.post(START, end)
        async with calling(service.url) as caller:
            await caller.start()


async def test_who_comes_back_on_the_same_connection_is_not_alone(run: Run) -> None:
    async with run(alone=0.5) as service, polling(service) as client:
        await client.post(START)
        await client.until("session-started")
        await client.post("41", "40", START)
        await client.until("session-started")
        began = time.monotonic()
        while time.monotonic() - began < 2:  # four times what a connection may be alone
            assert (await client.post(audio(1))).status_code == 200
            await asyncio.sleep(0.1)
        await client.post("41")
        async with asyncio.timeout(10):
            while (await client.post("3")).status_code == 200:
                await asyncio.sleep(0.1)


async def test_a_fault_of_the_engine_is_said_and_logged(run: Run) -> None:
    async with run(expect_errors=True, bug=9) as service, calling(service.url) as caller:
        await caller.start()
        await caller.say(9)
        assert (await caller.until("session-error")).payload == {"error": "the service has failed", "code": 1011}
        assert (await caller.until("session-closed")).payload == {"code": 1011, "reason": "failed"}
        assert "ZeroDivisionError" in service.log.read_text()


async def until_closed(client: websockets.ClientConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await client.recv()


def committed(*numbers: int) -> dict[str, str]:
    return {"message_type": "committed_transcript", "text": " ".join(f"w{number}" for number in numbers)}
