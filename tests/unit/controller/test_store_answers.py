"""What the store makes of answers that no API server gives, over a real connection."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from agora_transcription.controller.store import KubernetesStore, NotFound, Outdated, StoreError
from unit.controller.builders import NAME, NAMESPACE, body_of, task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def answering(body: str, content_type: str = "text/html", status: int = 200) -> AsyncIterator[KubernetesStore]:
    """A store whose API server says the same to everything."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type=content_type, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        api = client.ApiClient(client.Configuration(host=str(server.make_url("")).rstrip("/")))
        try:
            yield KubernetesStore(api)
        finally:
            await api.close()  # type: ignore[no-untyped-call]


async def ask(store: KubernetesStore, what: str) -> None:
    match what:
        case "get":
            await store.get(NAMESPACE, NAME)
        case "list":
            async for _ in store.all():
                pass
        case "status":
            await store.write_status(task_of(), {"phase": "Pending"})
        case "finalizers":
            await store.write_finalizers(task_of(), ())
        case "delete":
            await store.delete(task_of())
        case "secret":
            await store.secret(NAMESPACE, "agora-credentials")
        case _:
            await store.event(
                task_of().metadata, warning=False, reason="Running", message="", now="2026-11-21T08:00:00Z"
            )


@pytest.mark.parametrize("what", ["get", "list", "status", "finalizers", "delete", "secret", "event"])
@pytest.mark.parametrize("body", ["<html>log in first</html>", "", '{"metadata": {'], ids=["html", "empty", "cut off"])
async def test_a_success_that_is_no_json_is_a_store_error(what: str, body: str) -> None:
    """Of a login page or a cache between the operator and its API server: every caller handles a `StoreError`."""
    async with answering(body) as store:
        with pytest.raises(StoreError, match="no JSON") as told:
            await ask(store, what)
    assert told.value.code == 200
    assert type(told.value) is StoreError
    assert "log in first" not in str(told.value)


@pytest.mark.parametrize("what", ["get", "status", "finalizers", "delete", "secret"])
@pytest.mark.parametrize(
    "body",
    ["404 page not found", "<html>", '{"message": "no Route matched"}', "[]"],
    ids=["text", "html", "json", "list"],
)
async def test_a_proxys_404_does_not_say_that_an_object_is_gone(what: str, body: str) -> None:
    """To believe it would stop the Agora tasks of objects that are there."""
    async with answering(body, status=404) as store:
        with pytest.raises(StoreError, match="404 no explanation") as told:
            await ask(store, what)
    assert type(told.value) is StoreError


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (409, Outdated), (403, StoreError)])
async def test_kubernetes_own_answers_are_told_apart(status: int, kind: type[StoreError]) -> None:
    body = '{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "the reason"}'
    async with answering(body, "application/json", status) as store:
        with pytest.raises(StoreError, match=f"{status} the reason") as told:
            await ask(store, "status")
    assert type(told.value) is kind


async def test_a_good_answer_is_read() -> None:
    async with answering(json.dumps(body_of()), "application/json") as store:
        assert await store.get(NAMESPACE, NAME) == body_of()


@pytest.mark.parametrize("what", ["get", "list", "status", "finalizers", "secret"])
@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        '{"status": "ok"}',
        '{"metadata": {}, "items": []}',
        '{"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "standup"}}]}',
        '{"metadata": {"resourceVersion": "1"}, "items": null}',
    ],
)
async def test_a_success_with_other_json_is_a_store_error(what: str, body: str) -> None:
    """Nothing else is handled: a `KeyError` in what reads all objects or the Secrets would end the process."""
    async with answering(body, "application/json") as store:
        with pytest.raises(StoreError, match="a proxy may have made it") as told:
            await ask(store, what)
    assert type(told.value) is StoreError


@pytest.mark.parametrize("data", ["7", '["a"]', '{"a": 7, "b": "ü", "c": null, "appId": "YQ=="}'])
async def test_a_secrets_data_that_no_api_server_sends_is_left_out(data: str) -> None:
    body = {**body_of(), "data": json.loads(data)}
    async with answering(json.dumps(body), "application/json") as store:
        assert (await store.secret(NAMESPACE, "agora-credentials")).data in ({}, {"appId": "a"})


async def test_an_api_server_that_is_not_there_is_a_store_error(unused_tcp_port: int) -> None:
    api = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{unused_tcp_port}"))
    try:
        with pytest.raises(StoreError) as told:
            await KubernetesStore(api).get(NAMESPACE, NAME)
    finally:
        await api.close()  # type: ignore[no-untyped-call]
    assert told.value.code is None
