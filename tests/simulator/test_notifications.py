"""Notifications: which are sent when, how they are signed, and what happens when nobody takes them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web

from agora_transcription.simulator import DEMO_ACCOUNT, Account, SimulatorOptions, create_app, notifications, serving
from simulator.conftest import APP_ID, DEMO_APP_ID, Client, Mint, Wall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

SECRET = "notification-secret"


class Receiver:
    """Somebody who takes notifications, and answers with the codes that a test wants."""

    def __init__(self) -> None:
        self.url = ""
        self.codes: list[int] = []
        self.bodies: list[dict[str, Any]] = []
        self.requests: list[tuple[bytes, web.BaseRequest]] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        raw = await request.read()
        self.requests.append((raw, request))
        self.bodies.append(json.loads(raw))
        return web.json_response({}, status=self.codes.pop(0) if self.codes else 200)

    def of(self, event: int) -> list[dict[str, Any]]:
        return [body for body in self.bodies if body["eventType"] == event]

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.bodies) < count:
                await asyncio.sleep(0.01)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/agora/notifications"
    yield receiver
    await runner.cleanup()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "TICK_SECONDS", 0.005)
    monkeypatch.setattr(notifications, "RETRY_SECONDS", (0.01, 0.02, 0.03))


@asynccontextmanager
async def simulator(receiver: Receiver, wall: Wall, **more: Any) -> AsyncIterator[Client]:
    """A simulator that notifies, as a server: without one nothing is sent."""
    bare = Account(app_id=APP_ID, customer_id="bare", customer_secret="bare-secret")
    options = SimulatorOptions.model_validate(
        {
            "accounts": (bare, DEMO_ACCOUNT),
            "notifications": {"url": receiver.url, "secret": SECRET, **more},
        }
    )
    app: FastAPI = create_app(options, wall=wall)
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
        yield Client(http, wall)


async def test_a_tasks_life_is_told(receiver: Receiver, wall: Wall) -> None:
    async with simulator(receiver, wall) as client:
        await client.options(startDelay=3)
        agent_id = await client.joined(name="tt-a-1")
        wall.pass_(3)
        await receiver.wait(1)
        await client.v7("POST", f"/agents/{agent_id}/leave")
        await receiver.wait(2)
    joined, left = receiver.bodies
    began = int(wall.time) - 3
    assert joined["payload"] == {"agent_id": agent_id, "start_ts": began, "channel": "standup"}
    assert left["payload"] == {**joined["payload"], "stop_ts": began + 3, "status": "STOPPED", "message": "OK"}
    assert (joined["eventType"], left["eventType"]) == (101, 102)
    for body in (joined, left):
        assert (body["sid"], body["productId"], body["notifyMs"]) == (agent_id, 20, int(wall.time) * 1000)
    assert joined["noticeId"] != left["noticeId"]


async def test_each_is_signed_over_its_raw_body(receiver: Receiver, wall: Wall) -> None:
    async with simulator(receiver, wall) as client:
        await client.joined()
        await receiver.wait(1)
    [(raw, request)] = receiver.requests
    assert request.headers["Agora-Signature-V2"] == hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    assert request.headers["Agora-Signature"] == hmac.new(SECRET.encode(), raw, hashlib.sha1).hexdigest()


@pytest.mark.parametrize(
    ("ends", "status", "message"),
    [
        ("idle", "STOPPED", "Idle for too long"),
        ("lifetime", "STOPPED", "Task exceeded maximum lifetime"),
        ("behind the back", "FAILED", "Fatal ASR error"),
    ],
)
async def test_the_end_is_told_with_its_reason_though_nobody_asks(
    receiver: Receiver, wall: Wall, ends: str, status: str, message: str
) -> None:
    async with simulator(receiver, wall) as client:
        agent_id = await client.joined()
        if ends == "idle":
            await client.http.put("/simulator/channels/standup", json={"hosts": 0})
            wall.pass_(31)
        elif ends == "lifetime":
            wall.pass_(259200)
        else:
            await client.http.post(f"/simulator/tasks/{agent_id}/end", json={"status": status, "message": message})
        await receiver.wait(2)
    [left] = receiver.of(102)
    assert (left["payload"]["status"], left["payload"]["message"]) == (status, message)


@pytest.mark.parametrize(("lifetime", "told"), [(3600, True), (31, True), (30, False)])
async def test_an_expiring_token_is_told_30_seconds_ahead_if_it_lasts_longer(
    receiver: Receiver, wall: Wall, mint: Mint, lifetime: int, *, told: bool
) -> None:
    async with simulator(receiver, wall) as client:
        token = replace(mint, lifetime=lifetime).token()
        body = {"name": "tt-a-1", "languages": ["en-US"]}
        rtc = {"channelName": "standup", "pubBotUid": "1001", "pubBotToken": token}
        auth = ("demo-customer", "demo-secret")
        answer = await client.v7("POST", "/join", app_id=DEMO_APP_ID, auth=auth, json={**body, "rtcConfig": rtc})
        assert answer.status_code == 200, answer.text
        wall.pass_(lifetime - 30)
        if told:
            await receiver.wait(2)
            [notice] = receiver.of(104)
            assert notice["payload"]["message"] == "token will expire!"
            assert notice["payload"]["name"] == "tt-a-1"
        wall.pass_(30)
        await receiver.wait(2 + told)
    assert len(receiver.of(104)) == told
    assert receiver.bodies[-1]["payload"]["message"] == "RTC connection error"


async def test_nothing_is_told_of_v6_tasks(receiver: Receiver, wall: Wall) -> None:
    async with simulator(receiver, wall) as client:
        await client.started("tt-a-1")
        await client.joined("tt-b-1", rtcConfig__channelName="other")
        await receiver.wait(1)
        sent = (await client.http.get("/simulator/notifications")).json()
    assert [notice["payload"]["channel"] for notice in sent] == ["other"]


@pytest.mark.parametrize(
    ("codes", "sent"), [([200], [200]), ([503, 200], [503, 200]), ([500, 404, 503, 502, 200], [500, 404, 503, 502])]
)
async def test_what_is_not_taken_is_sent_three_times_more(
    receiver: Receiver, wall: Wall, codes: list[int], sent: list[int]
) -> None:
    receiver.codes = codes
    async with simulator(receiver, wall) as client:
        await client.joined()
        await receiver.wait(len(sent))
        async with asyncio.timeout(10):
            while len((await client.http.get("/simulator/notifications")).json()[0]["codes"]) < len(sent):
                await asyncio.sleep(0.01)
        [notice] = (await client.http.get("/simulator/notifications")).json()
    assert notice["codes"] == sent
    assert len({body["noticeId"] for body in receiver.bodies}) == 1


async def test_a_receiver_that_is_not_there_is_no_answer(receiver: Receiver, wall: Wall) -> None:
    async with simulator(receiver, wall, url="http://127.0.0.1:9/") as client:
        await client.joined()
        async with asyncio.timeout(10):
            while (codes := (await client.http.get("/simulator/notifications")).json()[0]["codes"]) != [None] * 4:
                assert len(codes) < 4
                await asyncio.sleep(0.01)


async def test_duplicates_have_the_same_id(receiver: Receiver, wall: Wall) -> None:
    async with simulator(receiver, wall, duplicates=True, jitter=0.02) as client:
        await client.joined()
        await receiver.wait(2)
    assert len({body["noticeId"] for body in receiver.bodies}) == 1


async def test_the_secret_is_not_shown(receiver: Receiver, wall: Wall) -> None:
    async with simulator(receiver, wall) as client:
        shown = (await client.http.get("/simulator/options")).text
        await client.joined()
        await receiver.wait(1)
        shown += (await client.http.get("/simulator/notifications")).text
    assert SECRET not in shown


async def test_they_can_be_asked_for_later_and_no_more(receiver: Receiver, wall: Wall) -> None:
    async with simulator(receiver, wall) as client:
        await client.options(notifications=None)
        agent_id = await client.joined()
        await client.options(notifications={"url": receiver.url, "secret": SECRET})
        await client.v7("POST", f"/agents/{agent_id}/leave")
        await receiver.wait(1)
        await client.http.delete("/simulator/state")
        assert (await client.http.get("/simulator/notifications")).json() == []
    assert [body["eventType"] for body in receiver.bodies] == [102]
