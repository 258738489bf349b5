"""The captions page in a real browser, on the real API server, with operator, simulator and gateway."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from agora_transcription.gateway.captions import PAGE
from gateway.conftest import KEYS
from support.browser import a_browser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, ConsoleMessage, Page

    from gateway.conftest import Rooms, Served

ARTEFACTS = Path(__file__).with_name(".artefacts")


class Captions:
    """The page, as somebody in front of it sees it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    async def open(self, channel: str, key: str = KEYS[0]) -> None:
        await self.page.goto(f"{self.url}/captions/?channel={channel}")
        await self.page.locator("form[data-ready=true]").wait_for(state="attached")
        if await self.page.get_by_label("API key").is_visible():
            await self.page.get_by_label("API key").fill(key)

    async def start(self) -> None:
        await self.page.get_by_role("button", name="Start").click()

    async def stop(self) -> None:
        await self.page.get_by_role("button", name="Stop", exact=True).click()

    async def state(self, expected: str, timeout: float = 30) -> None:
        """Wait until it is shown."""
        place = self.page.locator("#state")
        await place.filter(has_text=expected).wait_for(timeout=timeout * 1000)

    async def until(self, expression: str, timeout: float = 30) -> None:
        """Wait until it is true; the page's policy keeps Playwright from doing this in the page."""
        async with asyncio.timeout(timeout):
            while not await self.page.evaluate(expression):
                await asyncio.sleep(0.05)

    async def notice(self) -> str:
        return await self.page.locator("#notice").inner_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    assert (PAGE / "index.html").exists(), "run `make page`"
    async with a_browser() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(world: Rooms) -> AsyncIterator[Served]:
    async with world.gateway("captions", f"--captions-url={world.simulator.url}") as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A tab of its own, in which nothing goes wrong that a page must not do; its last look is kept."""
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    context = await browser.new_context(viewport={"width": 900, "height": 760}, permissions=["microphone"])
    tab = await context.new_page()
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", hear)
    try:
        yield tab
        name = re.sub(r"\W+", "-", request.node.name).strip("-")  # GitHub keeps no file with a colon in its name
        await tab.screenshot(path=ARTEFACTS / f"{name}.png")
        assert wrong == []
    finally:
        await context.close()


@pytest.fixture
def captions(page: Page, gateway: Served) -> Captions:
    return Captions(page, gateway.process.url)
