"""SIGTERM: nobody new, last words for everybody, and an end in time whoever holds on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from agora_transcription.stt.protocol import PATH
from stt.test_traps import audio, stalled
from support.stt import BOTH, KEY, ScriptedStt, calling

if TYPE_CHECKING:
    from pathlib import Path

    from stt.conftest import Run

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_each_session_gets_its_last_words(run: Run) -> None:
    async with run(capacity=40, finishing=0.5) as service, AsyncExitStack() as stack:
        callers = [
            await stack.enter_async_context(calling(service.url, transport=BOTH[number % 2])) for number in range(30)
        ]
        for number, caller in enumerate(callers, 1):
            await caller.start()
            await caller.say(number)
            await caller.until("transcript-message", lambda payload: "text" in payload)
        began = terminate(service)
        for number, caller in enumerate(callers, 1):
            await caller.until_committed(f"w{number}")
            assert (await caller.until("session-closed")).payload == {"code": 1001, "reason": "the service stops"}
            assert not [told for told in caller.told if told.event == "session-error"]
            async with asyncio.timeout(10):
                await caller.gone.wait()
        assert await service.wait_ended(10) == 0
        assert time.monotonic() - began < 8


async def test_nobody_is_let_in_any_more(run: Run) -> None:
    async with run(finishing=3.0) as service, calling(service.url) as one, calling(service.url) as two:
        await one.start()
        await one.say(1)
        await one.until("transcript-message", lambda payload: payload.get("text") == "w1")
        terminate(service)
        async with httpx.AsyncClient() as client, asyncio.timeout(5):
            while (await client.get(f"{service.health}/readyz")).status_code != 503:
                await asyncio.sleep(0.02)
            query = {"EIO": "4", "transport": "polling"}
            refused = await client.get(f"{service.url}{PATH}/", params=query, headers={"x-api-key": KEY})
            assert (refused.status_code, refused.text) == (503, "the service stops")
        await two.sio.emit("start-session", {"sampleRate": 16000})
        assert (await two.until("session-error")).payload == {"error": "the service stops", "code": 1013}
        assert (await two.until("session-closed")).payload == {"code": 1013, "reason": "the service stops"}
        await one.until_committed("w1")
        assert await service.wait_ended(10) == 0


async def test_last_words_that_do_not_come_are_not_waited_for(run: Run) -> None:
    async with run("--drain-timeout=1", finishing=60.0) as service, calling(service.url) as caller:
        await caller.start()
        await caller.say(1)
        await caller.until("transcript-message", lambda payload: payload.get("text") == "w1")
        began = terminate(service)
        assert "have not come in 1 s" in (await caller.until("session-error")).payload["error"]
        assert (await caller.until("session-closed")).payload == {"code": 1001, "reason": "the service stops"}
        assert await service.wait_ended(10) == 0
        assert time.monotonic() - began < 6


async def test_a_body_that_does_not_come_and_a_peer_that_does_not_read_hold_nothing_up(run: Run) -> None:
    async with run(noise=1000) as service, stalled(service) as slow:
        for _ in range(20):
            slow.send(audio(1))
        host, _, port = service.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port))) as half, socket.create_connection((host, int(port))) as silent:
            silent.sendall(b"GET")
            head = f"POST {PATH}/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n42"
            half.sendall(head.encode())
            async with calling(service.url) as caller:
                await caller.start()
                began = terminate(service)
                await caller.until("session-closed")
            assert await service.wait_ended(15) == 0
            assert time.monotonic() - began < 10


async def test_an_engine_that_is_still_starting_is_not_waited_for(tmp_path: Path) -> None:
    service = ScriptedStt(tmp_path, script={"starting": 60})
    service.start()
    try:
        host, _, port = service.url.removeprefix("http://").rpartition(":")
        async with asyncio.timeout(20):
            while True:
                with suppress(ConnectionError):  # it listens before the engine starts
                    (await asyncio.open_connection(host, int(port)))[1].close()
                    break
                await asyncio.sleep(0.02)
        terminate(service)
        assert await service.wait_ended(10) == 0
    finally:
        service.kill()


def terminate(service: ScriptedStt) -> float:
    os.kill(service.pid, signal.SIGTERM)
    return time.monotonic()
