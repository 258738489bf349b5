"""`/healthz` and `/readyz`, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from agora_transcription.telemetry.health import HealthServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Checks:
    def __init__(self) -> None:
        self.queue: str | None = None
        self.watch: str | None = None
        self.ready: str | None = None


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
async def url(checks: Checks) -> AsyncIterator[str]:
    server = HealthServer(
        healthz={"queue": lambda: checks.queue, "watch": lambda: checks.watch},
        readyz={"watching": lambda: checks.ready},
    )
    port = await server.start("127.0.0.1", 0)
    yield f"http://127.0.0.1:{port}"
    await server.stop()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_all_is_well(url: str) -> None:
    assert await get(f"{url}/healthz") == (200, "[+] queue ok\n[+] watch ok\n")
    assert await get(f"{url}/readyz") == (200, "[+] watching ok\n")


async def test_a_failing_check_is_a_503_that_says_which_and_why(url: str, checks: Checks) -> None:
    checks.watch = "nothing heard"
    assert await get(f"{url}/healthz") == (503, "[+] queue ok\n[-] watch: nothing heard\n")


async def test_the_pages_do_not_depend_on_each_other(url: str, checks: Checks) -> None:
    checks.ready = "the watch has not begun"
    assert (await get(f"{url}/readyz"))[0] == 503
    assert (await get(f"{url}/healthz"))[0] == 200


async def test_a_check_that_recovers_is_believed(url: str, checks: Checks) -> None:
    checks.queue = "stuck"
    assert (await get(f"{url}/healthz"))[0] == 503
    checks.queue = None
    assert (await get(f"{url}/healthz"))[0] == 200


async def test_there_are_no_other_pages(url: str) -> None:
    assert (await get(f"{url}/"))[0] == 404
