"""The simulator as a server: closed connections, held requests, addresses, and its one line of output."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agora_transcription.simulator import Account, Fault, SimulatorOptions, create_app, serving
from agora_transcription.telemetry.addresses import AddressError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

APP_ID = "1" * 32
BASE = f"/api/speech-to-text/v1/projects/{APP_ID}"
OPTIONS = SimulatorOptions(accounts=(Account(app_id=APP_ID, customer_id="bare", customer_secret="bare-secret"),))
START = "from agora_transcription.simulator import SimulatorOptions, run; run('127.0.0.1:0', SimulatorOptions())"


def body(name: str) -> dict[str, Any]:
    return {"name": name, "languages": ["en-US"], "rtcConfig": {"channelName": "standup", "pubBotUid": "1001"}}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, for 10 s at most."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(create_app(OPTIONS)) as url,
        httpx.AsyncClient(base_url=url, auth=("bare", "bare-secret")) as client,
    ):
        yield client


async def set_fault(http: httpx.AsyncClient, **fault: Any) -> None:
    assert (await http.post("/simulator/faults", json=[fault])).status_code == 200


async def names(http: httpx.AsyncClient) -> list[str]:
    return [task["name"] for task in (await http.get("/simulator/tasks")).json()]


async def test_life_of_a_task_over_a_real_connection(http: httpx.AsyncClient) -> None:
    agent_id = (await http.post(f"{BASE}/join", json=body("tt-a-1"))).json()["agent_id"]
    assert (await http.get(f"{BASE}/agents/{agent_id}")).json()["status"] == "RUNNING"
    left = await http.post(f"{BASE}/agents/{agent_id}/leave")
    assert (left.status_code, left.content) == (200, b"")


@pytest.mark.parametrize(("drop", "expected"), [("before", []), ("after", ["tt-a-1"])])
async def test_connection_is_closed_without_an_answer(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, drop: str, expected: list[str]
) -> None:
    await set_fault(http, operation="join", drop=drop)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await http.post(f"{BASE}/join", json=body("tt-a-1"))
    assert await names(http) == expected
    assert (await http.post(f"{BASE}/join", json=body("tt-b-1"))).status_code in {200, 400}
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


@pytest.mark.parametrize(("effect", "expected"), [(False, []), (True, ["tt-a-1"])])
async def test_client_that_goes_away_leaves_what_had_happened_before(*, effect: bool, expected: list[str]) -> None:
    app = create_app(OPTIONS, faults=[Fault(operation="join", hold=True, effect=effect)])

    async def held() -> bool:
        return bool(app.state.world.held)

    async def not_held() -> bool:
        return not app.state.world.held

    async with serving(app) as url, httpx.AsyncClient(base_url=url, auth=("bare", "bare-secret")) as client:
        waiting = asyncio.create_task(client.post(f"{BASE}/join", json=body("tt-a-1")))
        await until(held)
        waiting.cancel()
        await until(not_held)
        assert await names(client) == expected


async def test_held_request_is_answered_once_released(http: httpx.AsyncClient) -> None:
    await set_fault(http, operation="join", hold=True)
    held = asyncio.create_task(http.post(f"{BASE}/join", json=body("tt-a-1")))

    async def released() -> bool:
        return bool((await http.post("/simulator/release")).json()["released"] == 1)

    await until(released)
    assert (await held).status_code == 200


async def test_held_request_does_not_keep_the_server_from_stopping() -> None:
    app = create_app(OPTIONS, faults=[Fault(operation="join", hold=True)])

    async def held() -> bool:
        return bool(app.state.world.held)

    async with asyncio.timeout(10), httpx.AsyncClient(auth=("bare", "bare-secret")) as client:
        async with serving(app) as url:
            waiting = asyncio.create_task(client.post(f"{url}{BASE}/join", json=body("tt-a-1"), timeout=None))
            await until(held)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await waiting


async def test_answers_are_not_held_back_by_the_kernel(http: httpx.AsyncClient) -> None:
    # Nagle's algorithm and delayed acknowledgements together cost 40 ms for each answer.
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(50):
        await http.get(f"{BASE}/agents/x")
    assert loop.time() - begun < 50 * 0.04


async def test_address_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AddressError, match="in use"):
        async with serving(create_app(OPTIONS), f"127.0.0.1:{taken.getsockname()[1]}"):
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_says_where_it_listens_and_ends_with_a_signal(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": ""}
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        try:
            line = (await process.stdout.readline()).decode()
            said = re.fullmatch(r"Agora simulator listening on (http://127\.0\.0\.1:\d+)\n", line)
            assert said, line
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{said[1]}/healthz")).status_code == 200
        finally:
            process.send_signal(number)
            rest, _ = await process.communicate()
        assert (process.returncode, rest) == (0, b"")
