"""Who may connect: the answers are HTTP statuses, the same on both transports."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets

from agora_transcription.stt.protocol import PATH
from support.metrics import read_metrics
from support.stt import KEY, OTHER_KEY, calling, raw

if TYPE_CHECKING:
    from stt.conftest import Run
    from support.stt import ScriptedStt

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLLING = {"EIO": "4", "transport": "polling"}


async def statuses(service: ScriptedStt, headers: dict[str, str], query: str = "", path: str = PATH) -> tuple[int, int]:
    """Of a new connection by polling, and of one by WebSocket."""
    async with httpx.AsyncClient() as client:
        polling = await client.get(f"{service.url}{path}/?EIO=4&transport=polling{query}", headers=headers)
    address = f"{service.url.replace('http', 'ws')}{path}/?EIO=4&transport=websocket{query}"
    try:
        async with websockets.connect(address, additional_headers=headers):
            return polling.status_code, 200
    except websockets.InvalidStatus as refused:
        return polling.status_code, refused.response.status_code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-api-key": ""}, 401),
        ({"x-api-key": KEY[:-1]}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": OTHER_KEY}, 200),
        ({"Authorization": f"Bearer {KEY}"}, 200),
    ],
)
async def test_a_key_is_required(service: ScriptedStt, headers: dict[str, str], status: int) -> None:
    assert await statuses(service, headers) == (status, status)


@pytest.mark.parametrize("query", ["&sid=", "&sid", "&SID=1", "&%ff"])
async def test_what_looks_like_a_connection_that_exists_needs_a_key_too(service: ScriptedStt, query: str) -> None:
    assert await statuses(service, {}, query) == (401, 401)


async def test_a_connection_that_does_not_exist_is_not_made(service: ScriptedStt) -> None:
    assert await statuses(service, {"x-api-key": KEY}, "&sid=nobody") == (400, 400)


@pytest.mark.parametrize("path", ["", "/socket.io", f"{PATH}/more", f"{PATH}s"])
async def test_there_is_nothing_else(service: ScriptedStt, path: str) -> None:
    assert await statuses(service, {"x-api-key": KEY}, path=path) == (404, 404)


async def test_older_protocols_and_jsonp_are_refused(service: ScriptedStt) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers={"x-api-key": KEY}) as client:
        assert (await client.get(f"{PATH}/", params={**POLLING, "EIO": "3"})).status_code == 400
        assert (await client.get(f"{PATH}/", params={**POLLING, "j": "0"})).status_code == 400


async def test_keys_are_read_anew_and_a_file_that_cannot_be_read_is_the_services_fault(run: Run) -> None:
    async with run(expect_errors=True) as service:
        keys = service.directory / "apiKeys"
        keys.write_text("a-new-key-of-the-tests")
        assert await statuses(service, {"x-api-key": KEY}) == (401, 401)
        assert await statuses(service, {"x-api-key": "a-new-key-of-the-tests"}) == (200, 200)
        keys.unlink()
        assert await statuses(service, {"x-api-key": KEY}) == (500, 500)


async def test_who_has_no_key_is_slowed_down_and_who_has_one_is_not(run: Run) -> None:
    async with run() as service:
        async with httpx.AsyncClient(base_url=service.url) as client:
            answers = [await client.get(f"{PATH}/", params=POLLING) for _ in range(70)]
        assert [answer.status_code for answer in answers[:60]] == [401] * 60
        assert answers[-1].status_code == 429
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert await statuses(service, {"x-api-key": KEY}) == (200, 200)
        value = await read_metrics(service.metrics)
        assert value("agora_transcription_stt_admission_rejected_total", reason="throttled") == 10
        assert 60 <= service.log.read_text().count("Refused 127.0.0.1") < 69


async def test_behind_a_proxy_each_client_is_slowed_down_for_itself(run: Run) -> None:
    async with (
        run("--trusted-proxy=127.0.0.1") as service,
        httpx.AsyncClient(base_url=service.url) as client,
    ):
        for _ in range(61):
            noisy = await client.get(f"{PATH}/", params=POLLING, headers={"X-Forwarded-For": "192.0.2.1"})
        other = await client.get(f"{PATH}/", params=POLLING, headers={"X-Forwarded-For": "192.0.2.2"})
        assert (noisy.status_code, other.status_code) == (429, 401)


async def test_anybody_may_call_who_reaches_a_laptop(run: Run) -> None:
    async with run("--anonymous", keys=False) as service, calling(service.url, None) as caller:
        await caller.start()


async def test_browsers_may_read_a_refusal_and_ask_before_they_call(service: ScriptedStt) -> None:
    origin = {"Origin": "https://app.example.com"}
    async with httpx.AsyncClient(base_url=service.url, headers=origin) as client:
        asked = await client.options(
            f"{PATH}/",
            params=POLLING,
            headers={"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"},
        )
        refused = await client.get(f"{PATH}/", params=POLLING)
        made = await client.get(f"{PATH}/", params=POLLING, headers={"x-api-key": KEY})
    assert (asked.status_code, refused.status_code, made.status_code) == (200, 401, 200)
    assert asked.headers["access-control-allow-headers"] == "x-api-key"
    for answer in (asked, refused, made):
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "access-control-allow-credentials" not in answer.headers


async def test_pages_of_other_origins_may_not_connect(run: Run) -> None:
    async with run("--allow-origin=https://app.example.com") as service:
        key = {"x-api-key": KEY}
        assert await statuses(service, {**key, "Origin": "https://evil.example.com"}) == (403, 403)
        assert await statuses(service, {**key, "Origin": "https://app.example.com"}) == (200, 200)
        assert await statuses(service, key) == (200, 200)


async def test_a_browser_goes_from_polling_to_a_websocket_without_a_key(service: ScriptedStt) -> None:
    async with httpx.AsyncClient(base_url=service.url) as client:
        opened = await client.get(f"{PATH}/", params=POLLING, headers={"x-api-key": KEY})
        sid = json.loads(opened.text[1:])["sid"]
        assert (await client.post(f"{PATH}/", params={**POLLING, "sid": sid}, content="40")).text == "OK"
        assert (await client.get(f"{PATH}/", params={**POLLING, "sid": sid})).text.startswith("40{")
    address = f"{service.url.replace('http', 'ws')}{PATH}/?EIO=4&transport=websocket&sid={sid}"
    async with websockets.connect(address) as socket:
        await socket.send("2probe")
        assert await socket.recv() == "3probe"
        await socket.send("5")
        await socket.send('42["start-session",{"sampleRate":16000}]')
        received: list[Any] = []
        async with asyncio.timeout(10):
            while '42["session-started"]' not in received:
                received.append(await socket.recv())


async def test_a_service_that_is_full_of_connections_says_so(run: Run) -> None:
    async with run(connections=2, capacity=1) as service:
        async with raw(service.url), raw(service.url):
            assert await statuses(service, {"x-api-key": KEY}) == (503, 503)
        async with asyncio.timeout(10):
            while await statuses(service, {"x-api-key": KEY}) != (200, 200):
                await asyncio.sleep(0.1)
