"""The address for Agora's notifications, over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from agora_transcription.controller import webhook
from agora_transcription.controller.notifications import Receiver
from agora_transcription.controller.webhook import MAX_BODY, PATH, WebhookServer
from unit.controller.test_notifications import Tenants, body_of, signature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Stage:
    """A server on a port of its own."""

    def __init__(self) -> None:
        self.tenants = Tenants()
        self.ready = True
        self.counted: list[str] = []
        self.server = WebhookServer(self.tenants.receiver, lambda: self.ready, self.counted.append)
        self.port = 0

    async def post(self, data: Any, path: str = PATH, **headers: str) -> tuple[int, str]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{self.port}{path}", data=data, headers=names) as answer,
        ):
            return answer.status, await answer.text()

    async def send(self, body: bytes) -> tuple[int, str]:
        return await self.post(body, Agora_Signature_V2=signature(body))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    stage.port = await stage.server.start("127.0.0.1", 0)
    yield stage
    await stage.server.stop()


async def test_a_signed_notification_is_answered_with_json_and_wakes(stage: Stage) -> None:
    assert await stage.send(body_of()) == (200, '{"status": "ok"}')
    assert [uid for uid, _ in stage.tenants.woken] == ["uid-a"]
    assert stage.counted == ["accepted"]


async def test_whether_a_task_exists_cannot_be_told_from_outside(stage: Stage) -> None:
    """Known or not, with or without a secret, signed or not, new or not: the answer is the same."""
    bodies = [body_of(task_id=task_id) for task_id in ("agent-a", "agent-b", "agent-c", "agent-x", "")]
    answers = [await stage.post(body, Agora_Signature_V2=sent) for body in bodies for sent in ("", "0" * 64)]
    answers += [await stage.send(body_of()) for _ in range(2)]
    assert set(answers) == {(200, '{"status": "ok"}')}
    assert set(stage.counted) == {"bad_signature", "no_secret", "unknown", "accepted", "duplicate"}


async def test_agoras_console_gets_its_200(stage: Stage) -> None:
    body = json.dumps({"noticeId": "n", "payload": {"channelName": "test_webhook", "uid": 12121212}})
    assert (await stage.post(body.encode()))[0] == 200
    assert stage.counted == ["test"]


async def test_the_older_signature_alone_is_none(stage: Stage) -> None:
    await stage.post(body_of(), Agora_Signature=signature(body_of()))
    assert stage.tenants.woken == []


async def test_what_is_no_json_object_is_refused(stage: Stage) -> None:
    assert (await stage.send(b"hello"))[0] == 400
    assert (await stage.send(b""))[0] == 400
    assert stage.counted == ["malformed", "malformed"]


async def test_a_standby_asks_agora_to_try_again(stage: Stage) -> None:
    stage.ready = False
    assert (await stage.send(body_of()))[0] == 503
    assert stage.tenants.woken == []
    stage.ready = True
    assert (await stage.send(body_of()))[0] == 200
    assert stage.counted == ["standby", "accepted"]


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 1024):
        yield b" " * 1024


async def test_a_body_of_8_kib_is_taken_and_no_more(stage: Stage) -> None:
    body = body_of() + b" " * (MAX_BODY - 1 - len(body_of()))
    assert (await stage.send(body))[0] == 200
    assert len(stage.tenants.woken) == 1
    assert (await stage.send(body + b"  "))[0] == 413
    assert (await stage.post(chunks(MAX_BODY - 1024)))[0] == 400
    assert (await stage.post(chunks(MAX_BODY + 1024)))[0] == 413


async def test_nothing_is_decompressed(stage: Stage) -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    assert (await stage.post(bomb, Content_Encoding="gzip"))[0] == 400


async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However steadily it trickles."""
    monkeypatch.setattr(webhook, "HEAD_SECONDS", 0.1)
    stage = Stage()
    stage.port = await stage.server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    ended = asyncio.ensure_future(reader.read())
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode())
    async with asyncio.timeout(10):
        while not ended.done():
            writer.write(b"X-Slow: yes\r\n")
            await asyncio.wait({ended}, timeout=0.02)
    writer.close()
    await stage.server.stop()


async def test_a_connection_too_many_ends_the_oldest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "MAX_CONNECTIONS", 3)
    opened = [await asyncio.open_connection("127.0.0.1", stage.port) for _ in range(4)]
    assert await asyncio.wait_for(opened[0][0].read(), 5) == b""
    assert await stage.send(body_of()) == (200, '{"status": "ok"}')
    assert await asyncio.wait_for(opened[1][0].read(), 5) == b""
    assert not opened[3][0].at_eof()
    for _, writer in opened:
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "READ_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()


async def test_there_is_no_other_page_and_no_other_method(stage: Stage) -> None:
    assert (await stage.post(b"{}", "/"))[0] == 404
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{stage.port}{PATH}") as answer:
        assert answer.status == 405


async def test_nothing_that_was_sent_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = body_of(task_id="agent-b", payload={"message": "words-of-the-body"})
    await stage.post(body, Agora_Signature_V2="the-signature")
    await stage.post(b"words-of-the-body", Agora_Signature_V2="the-signature")
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"words-of-the-body: the-signature\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert not [line for line in lines if "words-of-the-body" in line or "the-signature" in line]


async def test_an_error_of_our_own_is_a_500_without_words(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("words of the inside")

    monkeypatch.setattr(Receiver, "receive", fail)
    status, text = await stage.send(body_of())
    assert status == 500
    assert "words of the inside" not in text
