"""How the page looks and is used: by keyboard, by a screen reader, in both schemes, on a small screen; and /docs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

if TYPE_CHECKING:
    from playwright.async_api import Page

    from gateway.conftest import Rooms, Served
    from gateway.page.conftest import Captions

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTRASTS = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = (element) => {
        const colour = parse(getComputedStyle(element).backgroundColor);
        return colour[3] === 0 && element.parentElement ? ground(element.parentElement) : colour;
    };
    return [...document.querySelectorAll("h1, p, label, legend, span, input, button")]
        .filter((element) => element.checkVisibility() && (element.textContent.trim() || element.value))
        .map((element) => {
            const pair = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => a - b);
            return [element.id || element.className || element.tagName, (pair[1] + 0.05) / (pair[0] + 0.05)];
        });
}"""

STRUCTURE = """
- banner:
  - heading "Captions" [level=1]
  - status: Stopped
- text: Channel
- textbox "Channel": looks
- text: API key
- textbox "API key"
- button "Start"
- button "Stop" [disabled]
- group "Transcribe sound from here":
  - text: Transcribe sound from here
  - button "Microphone"
  - text: Sound file
  - button "Sound file"
- main:
  - region "Captions":
    - paragraph: What is said appears here.
"""


async def test_each_control_has_its_role_and_name(world: Rooms, page: Page) -> None:
    flags = (f"--captions-url={world.simulator.url}", "--stt-url=http://127.0.0.1:9")
    async with world.gateway("speech", *flags) as served:
        await page.goto(f"{served.process.url}/captions/?channel=looks")
        await page.locator("form[data-ready=true]").wait_for(state="attached")
        await expect(page.locator("body")).to_match_aria_snapshot(STRUCTURE)
        assert await page.locator("html").get_attribute("lang") == "en"


async def test_screen_readers_listen_to_the_notices_before_there_are_any(world: Rooms, page: Page) -> None:
    flags = (f"--captions-url={world.simulator.url}", "--stt-url=http://127.0.0.1:9")
    async with world.gateway("notices", *flags) as served:
        await page.goto(f"{served.process.url}/captions/?channel=looks")
        await page.locator("form[data-ready=true]").wait_for(state="attached")
        for name in ("notice", "speech-state", "speech-notice"):
            await expect(page.locator(f"#{name}")).to_be_empty()
        session = await page.context.new_cdp_session(page)
        tree = await session.send("Accessibility.getFullAXTree")
        live = [node["role"]["value"] for node in tree["nodes"] if not node["ignored"]]
        assert (live.count("alert"), live.count("status")) == (2, 2)


async def test_what_is_not_set_up_is_not_offered(captions: Captions) -> None:
    await captions.open("looks")
    assert not await captions.page.get_by_role("button", name="Microphone").is_visible()


async def test_everything_is_reached_by_keyboard_and_shows_where_it_is(captions: Captions) -> None:
    page = captions.page
    await captions.open("keyboard")
    await page.locator("#channel").focus()
    reached = []
    for _ in range(4):
        focused = await page.evaluate("""() => {
            const style = getComputedStyle(document.activeElement);
            return [document.activeElement.id, style.outlineStyle, parseFloat(style.outlineWidth)];
        }""")
        assert focused[1:] == ["solid", 3], focused
        reached.append(focused[0])
        await page.keyboard.press("Tab")
    assert reached == ["channel", "key", "start", "captions"]
    await page.locator("#channel").press("Enter")
    await captions.state("Live")
    await page.locator("#stop").focus()
    await page.keyboard.press("Enter")
    await captions.state("Stopped")
    assert await page.evaluate("document.activeElement.id") == "start"  # and not nowhere, as Stop is grey now


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_has_contrast(captions: Captions, scheme: str) -> None:
    await captions.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await captions.open("contrast")
    stopped = await captions.page.evaluate(CONTRASTS)
    await captions.start()
    await captions.page.locator(".utterance[data-final=false]").wait_for()
    await captions.page.locator(".utterance[data-final=true]").first.wait_for()
    live = await captions.page.evaluate(CONTRASTS)
    await captions.stop()
    await captions.state("Stopped")
    names = {name for name, _ in live}
    assert {"state", "speaker", "text", "start", "stop"} <= names
    assert [each for each in [*stopped, *live] if each[1] < 4.5] == []


async def test_nothing_moves_for_those_who_want_that(captions: Captions) -> None:
    page = captions.page
    await captions.open("motion")
    animation = "getComputedStyle(document.getElementById('state'), '::before').animationName"
    await page.evaluate("document.getElementById('state').dataset.state = 'connecting'")
    assert await page.evaluate(animation) == "wait"
    await page.emulate_media(reduced_motion="reduce")
    assert await page.evaluate(animation) == "none"


async def test_it_fits_a_small_screen(captions: Captions) -> None:
    await captions.page.set_viewport_size({"width": 320, "height": 640})
    await captions.open("small")
    await captions.start()
    await captions.page.locator(".utterance").first.wait_for()
    assert await captions.page.evaluate("document.documentElement.scrollWidth") <= 320
    await captions.stop()
    await captions.state("Stopped")


async def test_the_page_asks_nobody_but_the_gateway_and_the_simulator(world: Rooms, captions: Captions) -> None:
    asked: list[str] = []
    captions.page.on("request", lambda request: asked.append(request.url))
    await captions.open("asked")
    await captions.start()
    await captions.page.locator(".utterance").first.wait_for()
    await captions.stop()
    await captions.state("Stopped")
    origins = {"/".join(url.split("/")[:3]) for url in asked}
    assert origins == {captions.url, world.simulator.url}
    assert not [url for url in asked if "sdk-" in url]  # 1.6 MB that only Agora's channels need


async def test_the_description_of_the_calls_needs_no_other_host(page: Page, gateway: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{gateway.process.url}/docs")
    await page.get_by_text("/api/transcription/start.json").wait_for()
    await page.get_by_text("/api/tokens.json").wait_for()
    assert {"/".join(url.split("/")[:3]) for url in asked if not url.startswith("data:")} == {gateway.process.url}
