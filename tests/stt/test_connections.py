"""However many requests and WebSockets somebody opens: those that count are bounded, and all of them end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest
import websockets

from agora_transcription.stt.protocol import PATH
from stt.test_sessions import connected
from stt.test_traps import START, Stalled, audio, polling, until_closed
from support.stt import calling

if TYPE_CHECKING:
    from stt.conftest import Run
    from support.stt import ScriptedStt

pytestmark = pytest.mark.asyncio(loop_scope="module")


def address(service: ScriptedStt, sid: str) -> str:
    return f"{service.url.replace('http', 'ws')}{PATH}/?EIO=4&transport=websocket&sid={sid}"


async def test_a_connection_becomes_one_websocket(service: ScriptedStt) -> None:
    async with polling(service) as client, websockets.connect(address(service, client.sid)) as first:
        for _ in range(3):
            with pytest.raises(websockets.InvalidStatus, match="400"):
                await websockets.connect(address(service, client.sid))
        await first.send("2probe")
        assert await first.recv() == "3probe"
        await first.send("5")
        await first.send(START)
        with pytest.raises(websockets.InvalidStatus, match="400"):
            await websockets.connect(address(service, client.sid))
        assert await first.recv() == "6"
        assert await first.recv() == '42["session-started"]'


async def test_a_websocket_that_does_not_become_one_leaves_the_polling_as_it_was(service: ScriptedStt) -> None:
    async with polling(service) as client:
        await client.post(START)
        for packets in ((), ("2probe",)):
            async with websockets.connect(address(service, client.sid)) as tried:
                for packet in packets:
                    await tried.send(packet)
                    await tried.recv()
        await client.until("session-started")
        assert not client.empty


async def test_a_websocket_that_is_slow_to_become_one_is_cut(run: Run) -> None:
    async with run(upgrading=0.5) as service, polling(service) as client:
        for packets in ((), ("2probe",)):
            async with websockets.connect(address(service, client.sid)) as slow:
                for packet in packets:
                    await slow.send(packet)
                await until_closed(slow)
        async with websockets.connect(address(service, client.sid)) as quick:
            await quick.send("2probe")
            await quick.recv()
            await quick.send("5")
            await quick.send(START)
            async with asyncio.timeout(10):
                while "session-started" not in str(await quick.recv()):
                    pass
            await asyncio.sleep(1)  # twice what it may take
            await quick.send(audio(1))
            async with asyncio.timeout(10):
                while "w1" not in str(await quick.recv()):
                    pass


async def test_the_end_of_a_connection_is_that_of_its_websocket(run: Run) -> None:
    async with run(noise=20_000) as service, polling(service) as client:
        await client.post(START)
        host, _, port = service.url.removeprefix("http://").rpartition(":")
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect((host, int(port)))
            head = (
                f"GET {PATH}/?EIO=4&transport=websocket&sid={client.sid} HTTP/1.1\r\nHost: {host}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            plain.sendall(head.encode())
            while not plain.recv(4096).startswith(b"HTTP/1.1 101"):
                pass
            stalled = Stalled(plain)
            stalled.send("2probe")
            assert await asyncio.to_thread(plain.recv, 4096)
            stalled.send("5")
            plain.settimeout(0.2)
            number = 0
            async with asyncio.timeout(60):
                while await connected(service):
                    for _ in range(30):
                        stalled.send(audio(1) if number < 60 else f'42{number}["stop-session"]')
                        number += 1
                    await asyncio.sleep(0.05)
                while not cut(plain):
                    await asyncio.sleep(0.05)


def cut(plain: socket.socket) -> bool:
    """Whether the other end has cut it; read what is there."""
    try:
        return not plain.recv(1_000_000)
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_polling_requests_come_one_after_the_other(service: ScriptedStt, method: str) -> None:
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    async with polling(service) as client, AsyncExitStack() as stack:
        head = (
            f"{method} {PATH}/?EIO=4&transport=polling&sid={client.sid} HTTP/1.1\r\nHost: {host}\r\n"
            f"Content-Length: {len(START) if method == 'POST' else 0}\r\n\r\n"
        )
        streams = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            writer.write(head.encode())
            streams.append((reader, writer))
        answers = [asyncio.ensure_future(reader.readline()) for reader, _ in streams]
        async with asyncio.timeout(10):
            while sum(answer.done() for answer in answers) < 4:
                await asyncio.sleep(0.01)
        left = next(number for number, answer in enumerate(answers) if not answer.done())
        assert {answer.result() for answer in answers if answer.done()} == {b"HTTP/1.1 400 Bad Request\r\n"}
        if method == "POST":
            streams[left][1].write(START.encode())
        else:
            await client.post(START)
        assert await asyncio.wait_for(answers[left], 10) == b"HTTP/1.1 200 OK\r\n"
        if method == "POST":
            await client.until("session-started")


async def test_connections_that_ask_for_nothing_make_room_for_those_that_do(run: Run) -> None:
    async with run(capacity=1, connections=2) as service, AsyncExitStack() as stack:
        host, _, port = service.url.removeprefix("http://").rpartition(":")
        async with calling(service.url) as caller:
            silent = []
            for _ in range(30):
                silent.append(await asyncio.open_connection(host, int(port)))
                stack.callback(silent[-1][1].close)
            silent[-1][1].write(b"GET / HTTP/1.1\r\n")
            for reader, _ in silent[:-4]:  # a GET and a POST of two clients
                with suppress(ConnectionError):
                    assert await asyncio.wait_for(reader.read(), 10) == b""
            await caller.start()
            silent[-1][1].write(b"Host: x\r\n\r\n")
            assert await asyncio.wait_for(silent[-1][0].readline(), 10) == b"HTTP/1.1 404 Not Found\r\n"
            async with calling(service.url, transport="polling"):
                pass


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_the_head_of_a_request_has_to_come(run: Run, sent: bytes) -> None:
    async with run(head=0.5) as service:
        host, _, port = service.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        whole = f"OPTIONS {PATH}/?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        writer.write(sent)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(2):
            writer.write(whole)
            assert await asyncio.wait_for(reader.readuntil(b"OK"), 10)
            await asyncio.sleep(1)  # twice what a head may take: between two requests a connection may rest
        if sent:
            writer.write(sent)
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_a_connection_begins_with_a_get(service: ScriptedStt) -> None:
    async with polling(service) as client:
        del client.query["sid"]
        assert (await client.post("40")).status_code == 400
