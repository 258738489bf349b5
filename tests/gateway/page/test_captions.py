"""Captions of the simulator on the page: from Start to Stop, and through restarts of all that it depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.conftest import KEYS

if TYPE_CHECKING:
    from playwright.async_api import Route

    from gateway.conftest import Rooms, Served
    from gateway.page.conftest import Captions

pytestmark = pytest.mark.asyncio(loop_scope="module")

WATCH = """() => {
    window.seen = [];
    const look = () => document.querySelectorAll(".utterance").forEach((item, place) => {
        const now = [place, item.dataset.final, item.querySelector(".text").textContent];
        const last = window.seen.findLast((each) => each[0] === place);
        if (JSON.stringify(now) !== JSON.stringify(last)) window.seen.push(now);
    });
    new MutationObserver(look).observe(document.getElementById("list"),
        { subtree: true, childList: true, characterData: true, attributes: true });
}"""
"""Writes down what each place of the list has said, in order."""

ASKED = """
window.asked = [];
const call = window.fetch;
window.fetch = (url, ...more) => {
    if (String(url).endsWith("/query.json")) window.asked.push(Date.now());
    return call(url, ...more);
};
"""
"""Writes down when the gateway was asked how it goes."""


async def test_start_shows_growing_captions_and_stop_leaves_nothing(world: Rooms, captions: Captions) -> None:
    page = captions.page
    await captions.open("show")
    await captions.state("Stopped")
    await page.evaluate(WATCH)
    await captions.start()
    await captions.state("Live")
    [body] = await world.of_channel("show")
    await page.locator(".utterance[data-final=true]").nth(1).wait_for()
    seen = await page.evaluate("window.seen.filter((each) => each[0] === 0)")
    partials = [text for _, final, text in seen if final == "false"]
    finals = [text for _, final, text in seen if final == "true"]
    assert len(finals) == 1
    assert len(partials) >= 2
    assert all(finals[0].startswith(text) for text in partials)

    languages = [{"source": "en-US", "targets": ["fr-FR", "ja-JP"]}]
    await world.kube.patch(body["metadata"]["name"], {"translation": {"enabled": True, "languages": languages}})
    translated = page.locator(".utterance[data-final=true]:has(.translation[lang=fr-FR][data-final=true])").first
    await translated.wait_for(timeout=60_000)
    assert await translated.locator(".translation").count() == 2
    assert await translated.locator(".text").get_attribute("lang") == "en-US"
    names = await page.locator(".speaker").all_inner_texts()
    assert set(names) <= {"Speaker 101", "Speaker 102", "Speaker 103"}

    await captions.stop()
    await captions.state("Stopped")
    assert await world.of_channel("show") == []
    assert await world.live_in("show") == []
    assert await page.locator(".utterance[data-final=false]").count() == 0
    assert await page.locator(".utterance").count() >= 2  # what was said stays to be read


async def test_screen_readers_hear_final_captions_only(captions: Captions) -> None:
    await captions.open("heard")
    await captions.page.evaluate("""() => {
        window.heard = [];
        const announcer = document.getElementById("announcer");
        new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach(
            (node) => window.heard.push(node.textContent)))).observe(announcer, { childList: true });
    }""")
    await captions.start()
    await captions.page.locator(".utterance[data-final=true]").nth(1).wait_for()
    await captions.stop()
    await captions.state("Stopped")
    heard = await captions.page.evaluate("window.heard")
    names = await captions.page.locator(".speaker").all_inner_texts()
    texts = await captions.page.locator(".text").all_inner_texts()
    said = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
    assert len(heard) >= 2
    assert heard == said[: len(heard)]
    assert await captions.page.locator("[aria-live]:not(#announcer)").count() == 0


async def test_a_reload_in_between_can_still_stop(world: Rooms, captions: Captions) -> None:
    await captions.open("reload")
    await captions.start()
    await captions.state("Live")
    await captions.page.reload()
    await captions.state("Live")
    await captions.page.locator(".utterance").first.wait_for()
    assert len(await world.live_in("reload")) == 1
    await captions.stop()
    await captions.state("Stopped")
    assert await world.live_in("reload") == []
    await captions.page.reload()
    await captions.page.locator("form[data-ready=true]").wait_for(state="attached")
    assert await captions.page.get_by_role("button", name="Stop").is_disabled()


async def test_it_finds_back_after_the_simulator_was_killed(world: Rooms, captions: Captions) -> None:
    await captions.open("restart")
    await captions.start()
    await captions.state("Live")
    assert await captions.page.locator(".utterance[data-final=true]").count() == 0
    world.simulator.kill()
    await captions.state("Reconnecting")
    await world.simulator.start_and_wait()
    await captions.state("Live")
    await captions.page.locator(
        ".utterance[data-final=true]"
    ).first.wait_for()  # of the task that the operator makes anew
    await captions.stop()
    await captions.state("Stopped")
    assert await world.of_channel("restart") == []


async def test_a_gateway_that_is_gone_is_said_and_waited_for(world: Rooms, captions: Captions, gateway: Served) -> None:
    await captions.open("gone")
    await captions.page.clock.install()
    await captions.start()
    await captions.state("Live")
    gateway.process.kill()
    await captions.page.clock.fast_forward(11_000)
    await captions.page.get_by_role("alert").filter(has_text="does not answer").wait_for()
    await captions.state("Live")
    await gateway.process.start_and_wait()
    await captions.page.clock.fast_forward(11_000)
    await captions.page.locator("#notice:empty").wait_for(state="attached")
    await captions.stop()
    await captions.state("Stopped")
    assert await world.live_in("gone") == []


async def test_a_key_that_no_longer_counts_is_asked_for_and_captions_go_on(captions: Captions) -> None:
    page = captions.page
    await page.clock.install()
    await page.route("**/captions/config.json", without_key)
    await page.route("**/query.json", lambda route: route.fulfill(status=401, body="an API key is required"))
    await captions.open("replaced", key="")
    assert not await page.get_by_label("API key").is_visible()
    await page.evaluate(f"document.getElementById('key').value = '{KEYS[0]}'")
    await captions.start()
    await page.get_by_role("alert").filter(has_text="API key does not count").wait_for()
    await captions.state("Live")
    assert await page.get_by_label("API key").is_visible()
    await page.unroute("**/query.json")
    await page.clock.fast_forward(11_000)
    await page.locator("#notice:empty").wait_for(state="attached")
    await captions.stop()
    await captions.state("Stopped")


async def without_key(route: Route) -> None:
    config = await (await route.fetch()).json()
    await route.fulfill(json=config | {"keyRequired": False})


async def test_a_gateway_that_is_asked_too_much_is_left_alone_for_as_long_as_it_wants(captions: Captions) -> None:
    page = captions.page
    await page.clock.install()
    await page.add_init_script(ASKED)
    await page.route(
        "**/query.json",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "45"}, body="too many calls"),
    )
    await captions.open("often")
    await captions.start()
    await page.get_by_role("alert").filter(has_text="Too many calls").wait_for()
    await captions.state("Live")
    await page.clock.fast_forward(44_000)
    await page.clock.fast_forward(2_000)
    await captions.until("asked.length === 2")
    assert await page.evaluate("asked[1] - asked[0]") >= 45_000
    await captions.stop()
    await captions.state("Stopped")


async def test_a_tab_that_nobody_sees_asks_less_and_catches_up_when_it_is_seen(captions: Captions) -> None:
    page = captions.page
    see = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    await page.clock.install()
    await page.add_init_script(ASKED)
    await captions.open("hidden")
    await captions.start()
    await captions.state("Live")
    await captions.until("asked.length === 1")
    await page.evaluate(see, arg=True)
    await page.clock.fast_forward(30_000)
    await page.clock.fast_forward(5_000)
    await page.evaluate(see, arg=False)
    await page.clock.fast_forward(100)
    await captions.until("asked.length === 2")
    assert 35_000 <= await page.evaluate("asked[1] - asked[0]") < 60_000
    await captions.stop()
    await captions.state("Stopped")


async def test_a_transcription_that_ends_by_itself_is_said(world: Rooms, captions: Captions) -> None:
    await captions.open("ended")
    await captions.page.clock.install()
    await captions.start()
    await captions.state("Live")
    [body] = await world.of_channel("ended")
    await world.kube.delete(body["metadata"]["name"])
    await world.eventually(lambda: nothing(world, "ended"), "the object's end")
    await captions.page.clock.fast_forward(11_000)
    await captions.state("Stopped")
    assert "ended by itself" in await captions.notice()
    assert await captions.page.get_by_role("button", name="Start").is_enabled()


async def test_a_wrong_key_says_what_to_do_and_the_right_one_is_kept(captions: Captions) -> None:
    await captions.open("keys", key="not-a-key-that-counts")
    await captions.start()
    await captions.page.get_by_role("alert").filter(has_text="API key does not count").wait_for()
    await captions.page.get_by_label("API key").fill(KEYS[1])
    await captions.start()
    await captions.state("Live")
    assert await captions.notice() == ""
    await captions.page.reload()
    assert await captions.page.get_by_label("API key").input_value() == KEYS[1]
    await captions.stop()
    await captions.state("Stopped")


async def test_without_a_channel_nothing_is_started(world: Rooms, captions: Captions) -> None:
    await captions.open("")
    await captions.start()
    assert await captions.page.evaluate("document.activeElement.id") == "channel"
    assert await world.of_channel("") == []


async def nothing(world: Rooms, channel: str) -> bool:
    return await world.of_channel(channel) == []
