"""When the watch may begin: once discovery tells of the kind in both places, or refuses to tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from agora_transcription.controller import discovery

GROUPS = {"groups": [{"name": "apps"}, {"name": "transcription.dev"}]}
KINDS = {"resources": [{"name": "transcriptiontasks"}, {"name": "transcriptiontasks/status"}]}


async def waited_for(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, Any, int, Any]) -> list[str]:
    """Give one of these answers with each look, the last of them for good; what was asked until the wait was over."""
    monkeypatch.setattr(discovery, "PAUSE_SECONDS", 0.0)
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        groups_code, groups, kinds_code, resources = answers[min(asked.count("/apis"), len(answers)) - 1]
        if request.path == "/apis":
            return web.json_response(groups, status=groups_code)
        return web.json_response(resources, status=kinds_code)

    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", answer)
    async with TestServer(app) as server, asyncio.timeout(10):
        api = client.ApiClient(client.Configuration(host=str(server.make_url("")).rstrip("/")))
        try:
            await discovery.wait_until_served(api)
        finally:
            await api.close()  # type: ignore[no-untyped-call]
    return asked


THERE = (200, GROUPS, 200, KINDS)


async def test_a_kind_that_is_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await waited_for(monkeypatch, THERE) == ["/apis", "/apis/transcription.dev/v1alpha1"]


@pytest.mark.parametrize(
    "before",
    [
        (200, {"groups": [{"name": "apps"}]}, 200, KINDS),
        (200, GROUPS, 200, {"resources": []}),
        (200, GROUPS, 404, {}),
        (503, {}, 200, KINDS),
        (200, {"groups": None}, 200, KINDS),
        (200, ["groups"], 200, KINDS),
    ],
    ids=["no group", "no kind", "no version", "no API server", "no groups", "something else"],
)
async def test_what_is_missing_is_waited_for_and_said_once(
    before: tuple[int, Any, int, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await waited_for(monkeypatch, before, before, THERE)
    assert asked[-1] == "/apis/transcription.dev/v1alpha1"
    assert asked.count("/apis") == 3
    assert caplog.text.count("Waits: ") == 1


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refusal_is_left_to_the_watch(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await waited_for(monkeypatch, (code, {}, 200, KINDS)) == ["/apis"]
