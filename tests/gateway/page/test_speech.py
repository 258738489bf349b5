"""Sound from the browser on its way to the real Socket.IO service, and back as captions: a file, and a microphone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.conftest import KEYS, keys
from gateway.page.conftest import Captions
from support.browser import a_browser
from support.processes import Stt
from support.speech import FOLDER, sentences, words_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Page

    from gateway.conftest import Rooms

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAV = FOLDER / "01.wav"
SAID = set(words_of(sentences()[0].text))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stt(world: Rooms) -> AsyncIterator[Stt]:
    log = world.operator.log.with_name(f"{world.kube.namespace}-stt.log")
    process = Stt(log, keys(world.files)[0], "--workers=1")
    try:
        await process.start_and_wait()
        yield process
    finally:
        process.kill()


@asynccontextmanager
async def served(world: Rooms, page: Page, stt: Stt) -> AsyncIterator[Captions]:
    flags = (f"--captions-url={world.simulator.url}", f"--stt-url={stt.url}")
    async with world.gateway("speech", *flags) as gateway:
        captions = Captions(page, gateway.process.url)
        await captions.open("speech")
        yield captions


@pytest_asyncio.fixture(loop_scope="module")
async def captions(world: Rooms, page: Page, stt: Stt) -> AsyncIterator[Captions]:
    async with served(world, page, stt) as opened:
        yield opened


async def heard(page: Page) -> set[str]:
    texts = await page.locator(".utterance[data-speaker=you] .text").all_inner_texts()
    return set(words_of(" ".join(texts)))


async def test_a_sound_file_is_transcribed_while_it_plays(captions: Captions) -> None:
    page = captions.page
    await page.get_by_label("Sound file").set_input_files(WAV)
    await page.locator(".utterance[data-speaker=you][data-final=false]").wait_for()
    await page.get_by_role("status").filter(has_text="Live").wait_for()
    await page.locator(".utterance[data-speaker=you][data-final=true]").first.wait_for()
    await page.locator("#speech-state:empty").wait_for(state="attached")
    assert await page.locator(".utterance[data-final=false]").count() == 0
    assert await page.locator(".speaker").first.inner_text() == "You"
    assert len(SAID & await heard(page)) >= len(SAID) * 0.7
    assert await captions.page.locator("#speech-notice").inner_text() == ""
    assert await page.get_by_label("Sound file").is_enabled()  # for the next one


async def test_a_key_goes_by_polling_and_the_sound_by_a_websocket(captions: Captions) -> None:
    sockets: list[str] = []
    captions.page.on("websocket", lambda socket: sockets.append(socket.url))
    await captions.page.get_by_label("Sound file").set_input_files(WAV)
    await captions.page.locator(".utterance[data-speaker=you][data-final=true]").first.wait_for()
    [socket] = sockets
    assert "sid=" in socket
    assert KEYS[0] not in socket


async def test_another_key_is_asked_for(captions: Captions) -> None:
    await captions.page.get_by_label("API key").fill("not-a-key-that-counts")
    await captions.page.get_by_label("Sound file").set_input_files(WAV)
    await captions.page.get_by_role("alert").filter(has_text="another API key").wait_for()
    await captions.page.locator("#speech-state:empty").wait_for(state="attached")
    await captions.page.get_by_label("API key").fill(KEYS[1])
    await captions.page.get_by_label("Sound file").set_input_files(WAV)
    await captions.page.locator(".utterance[data-speaker=you]").first.wait_for()
    assert await captions.page.locator("#speech-notice").inner_text() == ""


async def test_what_is_no_sound_is_said(captions: Captions, tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_text("Dear all")
    await captions.page.get_by_label("Sound file").set_input_files(tmp_path / "letter.wav")
    await captions.page.get_by_role("alert").filter(has_text="cannot decode this file").wait_for()
    assert await captions.page.get_by_label("Sound file").is_enabled()


async def test_a_service_that_restarts_is_found_again(captions: Captions, stt: Stt) -> None:
    page = captions.page
    await page.get_by_role("button", name="Microphone").click()
    await page.locator("#speech-state").filter(has_text="Live").wait_for()
    stt.kill()
    await page.locator("#speech-state").filter(has_text="Reconnecting").wait_for()
    await stt.start_and_wait()
    await page.locator("#speech-state").filter(has_text="Live").wait_for()
    await page.get_by_role("button", name="Stop the sound").click()
    await page.locator("#speech-state:empty").wait_for(state="attached")


async def test_the_microphone_is_transcribed_until_it_is_switched_off(world: Rooms, stt: Stt) -> None:
    async with a_browser(f"--use-file-for-fake-audio-capture={WAV}%noloop") as browser:
        context = await browser.new_context(permissions=["microphone"])
        async with served(world, await context.new_page(), stt) as captions:
            microphone = captions.page.get_by_role("button", name="Microphone")
            await microphone.focus()
            await captions.page.keyboard.press("Enter")
            await captions.page.locator(".utterance[data-speaker=you][data-final=true]").first.wait_for()
            assert await microphone.is_disabled()
            await captions.page.keyboard.press("Enter")  # of the button that stops it, which has the focus
            await captions.page.locator("#speech-state:empty").wait_for(state="attached")
            await microphone.and_(captions.page.locator(":focus")).wait_for()
            assert len(SAID & await heard(captions.page)) >= len(SAID) * 0.5
            assert await captions.page.locator("#speech-notice").inner_text() == ""


async def test_a_microphone_that_is_not_lent_is_said(world: Rooms, page: Page, stt: Stt) -> None:
    refused = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); }"
    await page.add_init_script(refused)
    async with served(world, page, stt) as captions:
        await page.get_by_role("button", name="Microphone").click()
        await page.get_by_role("alert").filter(has_text="allow it").wait_for()
        assert await page.get_by_role("button", name="Microphone").is_enabled()
        assert await captions.page.locator(".utterance").count() == 0
