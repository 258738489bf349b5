"""Captions of Agora's channel on the page: its real SDK in the browser, whose join is the one thing that is played.

Agora's servers cannot be had here, so `join`, `leave` and `renewToken` of the SDK's client are replaced where the page
imports it; requirements, the client and its events are the SDK's own. In one test its own join calls,
and nobody answers.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from agora_transcription.simulator.captions.messages import Caption, Word, encode
from agora_transcription.simulator.rtctoken import verify
from gateway.page.conftest import Captions
from support.world import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page, Route

    from gateway.conftest import Rooms

pytestmark = pytest.mark.asyncio(loop_scope="module")

SDK = "**/assets/sdk-*.js"

WRAPPED = """
import sdk from "%s?own";
const create = sdk.createClient.bind(sdk);
sdk.createClient = (options) => {
  const client = create(options);
  globalThis.agora = { client, options, joins: [], left: 0, renewed: [], refuse: globalThis.refuse ?? 0 };
  client.join = async (...given) => {
    if (agora.refuse-- > 0) throw Object.assign(new Error("no"), { code: "CAN_NOT_GET_GATEWAY_SERVER" });
    agora.joins.push(given);
    client.emit("connection-state-change", "CONNECTED", "CONNECTING");
    return given[3];
  };
  client.leave = async () => { agora.left++; };
  client.renewToken = async (token) => { agora.renewed.push(token); };
  return client;
};
export default sdk;
"""

AT_END = "() => { const { scrollHeight, scrollTop, clientHeight } = document.getElementById('captions');"
AT_END += " return scrollHeight - scrollTop - clientHeight < 48; }"

EMIT = """(payloads) => payloads.forEach((each) =>
    agora.client.emit("stream-message", 1001, Uint8Array.from(atob(each), (c) => c.charCodeAt(0))))"""


class Channel(Captions):
    """A channel of Agora, on a page that has joined it."""

    async def say(self, *payloads: bytes) -> None:
        await self.page.evaluate(EMIT, [base64.b64encode(each).decode() for each in payloads])

    async def lines(self) -> list[str]:
        return await self.page.locator(".text").all_inner_texts()


def said(text: str, began: int, *, uid: int = 17, final: bool = True, **also: Any) -> bytes:
    caption = Caption(uid, "en-US", began, began + len(text), (Word(text, 0, 100),), final, **also)
    return encode(caption, as_json=False)


@pytest_asyncio.fixture(loop_scope="module")
async def channel(world: Rooms, page: Page) -> AsyncIterator[Channel]:
    async def wrap(route: Route) -> None:
        if route.request.url.endswith("?own"):
            await route.continue_()
        else:
            headers = {"Content-Type": "text/javascript"}
            await route.fulfill(body=WRAPPED % route.request.url, headers=headers)

    async with world.gateway("agora") as served:
        await page.route(SDK, wrap)
        await page.route(f"{SDK}?own", wrap)
        yield Channel(page, served.process.url)


async def joined(channel: Channel, name: str) -> None:
    await channel.open(name)
    await channel.start()
    await channel.state("Live")


async def left(channel: Channel) -> None:
    await channel.stop()
    await channel.state("Stopped")
    assert await channel.page.evaluate("agora.left") == 1


async def test_the_sdk_runs_under_the_pages_policy_and_its_messages_are_shown(channel: Channel) -> None:
    await joined(channel, "sdk")
    [[app_id, name, token, uid]] = await channel.page.evaluate("agora.joins")
    assert (app_id, name) == (CREDENTIALS["appId"], "sdk")
    options = await channel.page.evaluate("agora.options")
    assert (options["mode"], options["role"]) == ("live", "audience")  # who reads along is no host of the channel
    project = {"app_id": CREDENTIALS["appId"], "certificate": CREDENTIALS["appCertificate"]}
    now = time.time()
    assert now < verify(token, **project, channel=name, uid=str(uid), now=now) <= now + 3600
    await channel.say(said("good", 1000, final=False))
    assert await channel.page.locator(".utterance[data-final=false] .text").inner_text() == "good"
    await channel.say(said("good morning", 1000), said("早晨", 2000, uid=-1))
    assert await channel.lines() == ["good morning", "早晨"]
    assert await channel.page.locator(".speaker").all_inner_texts() == ["Speaker 17", "Speaker 4294967295"]
    await left(channel)


async def test_json_in_gzip_is_shown_in_the_order_of_its_messages(channel: Channel) -> None:
    await joined(channel, "json")
    caption = Caption(17, "en-US", 1000, 1100, (Word("first", 0, 100),), final=True)
    await channel.say(encode(caption, as_json=True), said("second", 2000), gzip.compress(json.dumps({}).encode()))
    await channel.page.locator(".text").nth(1).wait_for()
    assert await channel.lines() == ["first", "second"]
    await left(channel)


async def test_other_messages_of_the_channel_are_none_of_the_pages_business(channel: Channel) -> None:
    await joined(channel, "other")
    await channel.say(b"", b"\xff\xff", b"{}", b"{", b"hello, I am a chat", b"\x1f\x8b\x00", said("still here", 1000))
    await channel.page.locator(".utterance").wait_for()
    assert await channel.lines() == ["still here"]
    assert await channel.notice() == ""
    await left(channel)


async def test_text_is_never_html(channel: Channel) -> None:
    await joined(channel, "html")
    trap = "<img src=x onerror='window.trapped=1'><b>bold</b>"
    await channel.say(said(trap, 1000), said(trap, 1000, translations=((trap, trap),)))
    await channel.page.locator(".translation").wait_for()
    assert await channel.lines() == [trap]
    assert await channel.page.locator("#list img, #list b, #announcer b").count() == 0
    assert await channel.page.evaluate("window.trapped") is None
    await left(channel)


async def test_only_so_many_lines_are_kept_and_a_reader_at_the_end_follows(channel: Channel) -> None:
    await joined(channel, "many")
    await channel.say(*(said(f"line {number}", number * 1000) for number in range(1, 401)))
    await channel.page.locator(".text").filter(has_text="line 400").wait_for()
    lines = await channel.lines()
    assert (len(lines), lines[0], lines[-1]) == (300, "line 101", "line 400")
    await channel.until(AT_END)
    newest = channel.page.get_by_role("button", name="To the newest")
    assert not await newest.is_visible()
    await channel.page.locator("#captions").evaluate("(region) => region.scrollTo({top: 0, behavior: 'instant'})")
    await newest.wait_for()
    await channel.say(said("one more", 500_000))
    assert not await channel.page.evaluate(AT_END)
    await newest.click()
    await channel.until(AT_END)
    await left(channel)


async def test_the_connection_is_shown_as_the_sdk_tells_it(channel: Channel) -> None:
    await joined(channel, "connection")
    change = "(state) => agora.client.emit('connection-state-change', state, 'CONNECTED')"
    await channel.page.evaluate(change, "RECONNECTING")
    await channel.state("Reconnecting")
    await channel.page.evaluate(change, "CONNECTED")
    await channel.state("Live")
    await left(channel)


async def test_a_token_that_will_expire_is_renewed_and_one_that_has_joins_again(channel: Channel) -> None:
    await joined(channel, "token")
    await channel.page.evaluate("agora.client.emit('token-privilege-will-expire')")
    await channel.until("agora.renewed.length === 1")
    await channel.page.evaluate("agora.client.emit('token-privilege-did-expire')")
    await channel.until("agora.joins.length === 2")
    await left(channel)


async def test_a_join_that_fails_is_said_and_tried_again(channel: Channel) -> None:
    await channel.page.add_init_script("globalThis.refuse = 1")
    await channel.open("refused")
    await channel.start()
    await channel.page.get_by_role("alert").filter(has_text="CAN_NOT_GET_GATEWAY_SERVER").wait_for()
    await channel.state("Live")
    assert await channel.notice() == ""
    await left(channel)


async def test_the_sdks_own_join_asks_agoras_hosts_which_the_policy_allows(world: Rooms, page: Page) -> None:
    asked: list[str] = []

    async def refuse(route: Route) -> None:
        asked.append(route.request.url)
        await route.abort()

    await page.route(re.compile(r"^https://[^/]*\.(agora\.io|sd-rtn\.com)[:/]"), refuse)
    async with world.gateway("join") as served:
        captions = Captions(page, served.process.url)
        await captions.open("join")
        await captions.start()
        await captions.state("Connecting")
        await world.eventually(lambda: anything(asked), "a call of Agora's")
        await captions.stop()
        await captions.state("Stopped")


async def anything(asked: list[str]) -> bool:
    return bool(asked)


async def test_a_connection_that_agora_closes_is_said_and_the_transcription_is_not_called_stopped(
    channel: Channel,
) -> None:
    await joined(channel, "closed")
    change = "agora.client.emit('connection-state-change', 'DISCONNECTED', 'CONNECTED', 'UID_BANNED')"
    await channel.page.evaluate(change)
    await channel.state("Not connected")
    assert "UID_BANNED" in await channel.notice()
    await left(channel)


async def test_text_that_is_written_from_the_right_is_shown_so_whatever_stands_before_it(channel: Channel) -> None:
    await joined(channel, "right")
    translations = (("ar-SA", "صباح الخير, Agora"), ("es-ES", "buenos días"))
    await channel.say(said("good morning", 1000), said("good morning", 1000, translations=translations))
    await channel.say(said("בוקר טוב, Agora", 2000))
    await channel.page.locator(".text").nth(1).wait_for()
    await channel.page.locator(".translation").nth(1).wait_for()
    directions = "(elements) => elements.map((each) => getComputedStyle(each).direction)"
    assert await channel.page.locator(".text").evaluate_all(directions) == ["ltr", "rtl"]
    assert await channel.page.locator(".words").evaluate_all(directions) == ["rtl", "ltr"]
    assert await channel.page.locator("#announcer [lang]").evaluate_all(directions) == ["ltr", "rtl"]
    right = "(each) => each.getBoundingClientRect().right"
    line = channel.page.locator(".translation[lang=ar-SA]")
    assert await line.locator(".words").evaluate(right) == await line.evaluate(right)
    await left(channel)


async def without_app_id(page: Page) -> None:
    """Have the page served by a gateway without `--project-dir`."""

    async def answer(route: Route) -> None:
        config = await (await route.fetch()).json()
        await route.fulfill(json=config | {"appId": None})

    await page.route("**/captions/config.json", answer)


async def test_what_could_not_be_shown_is_not_started(world: Rooms, page: Page) -> None:
    async with world.gateway("no-project") as served:
        await without_app_id(page)
        captions = Captions(page, served.process.url)
        await captions.open("no-project")
        await captions.start()
        await page.get_by_role("alert").filter(has_text="--project-dir").wait_for()
        await captions.state("Stopped")
        assert await page.get_by_role("button", name="Start").is_enabled()
        assert await world.of_channel("no-project") == []


async def test_what_runs_and_cannot_be_shown_any_more_can_still_be_stopped(world: Rooms, page: Page) -> None:
    async with world.gateway("lost-project") as served:
        await without_app_id(page)
        started = {"channel": "lost-project"} | await served.start("lost-project")
        await page.add_init_script(f"sessionStorage.setItem('captions.started', JSON.stringify({json.dumps(started)}))")
        captions = Captions(page, served.process.url)
        await captions.open("lost-project")
        await captions.state("Not connected")
        await captions.page.get_by_role("alert").filter(has_text="--project-dir").wait_for()
        await captions.stop()
        await captions.state("Stopped")
        assert await world.of_channel("lost-project") == []


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("delete globalThis.RTCPeerConnection; delete globalThis.webkitRTCPeerConnection", "WebRTC"),
        ("Object.defineProperty(globalThis, 'isSecureContext', { value: false })", "https://"),
    ],
    ids=["webrtc", "https"],
)
async def test_where_agoras_sdk_cannot_run_nothing_is_started(
    world: Rooms, page: Page, lacking: str, said: str
) -> None:
    await page.add_init_script(lacking)
    async with world.gateway("no-webrtc") as served:
        captions = Captions(page, served.process.url)
        await captions.open("no-webrtc")
        await captions.start()
        await page.get_by_role("alert").filter(has_text=said).wait_for()
        await captions.state("Stopped")
        assert await world.of_channel("no-webrtc") == []


async def test_a_channel_that_is_not_allowed_says_whom_to_ask(world: Rooms, page: Page) -> None:
    async with world.gateway("allowed", "--allow-channel=other") as served:
        captions = Captions(page, served.process.url)
        await captions.open("forbidden")
        await captions.start()
        await page.get_by_role("alert").filter(has_text="channel is not allowed").wait_for()
        assert await page.get_by_role("button", name="Start").is_enabled()
        assert await world.of_channel("forbidden") == []
