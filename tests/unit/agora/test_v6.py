"""The V6 dialect, as it goes over the wire and back: method, path, raw query, headers and body."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from agora_transcription.agora import (
    Field,
    Handle,
    LiveSettings,
    NotSupported,
    RequestRefused,
    State,
    TokenRefused,
    Translation,
    TranslationPair,
    Update,
    Upstream,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agora_transcription.agora import Account, Agora, StartRequest
    from support.agora import ScriptedAgora

PROJECT = "https://agora.test/v1/projects/0123456789abcdef0123456789abcdef/rtsc/speech-to-text"
TOKEN = SecretStr("wO_Xx-9/+=&, token")
QUOTED = "wO_Xx-9%2F%2B%3D%26,%20token"
STARTED = {"taskId": "6b2c", "createTs": 1700000000, "status": "IN_PROGRESS"}


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


async def test_acquire_asks_for_a_token_by_the_instance(v6: Agora, account: Account, scripted: ScriptedAgora) -> None:
    scripted.answers(httpx.Response(200, json={"tokenName": "abc", "createTs": 1, "instanceId": "ttask-1b2c-1"}))
    token = await v6.acquire(account, "ttask-1b2c-1")
    assert token is not None
    assert token.get_secret_value() == "abc"
    assert (scripted.request.method, str(scripted.request.url)) == ("POST", f"{PROJECT}/builderTokens")
    assert scripted.request.headers["authorization"] == "Basic ZGVtby1jdXN0b21lcjpkZW1vLXNlY3JldA=="
    assert body_of(scripted.request) == {"instanceId": "ttask-1b2c-1"}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"tokenName": ""}', b'{"tokenName": 5}', b'{"tokenName": "%b"}' % (b"x" * 8193), b"[]"]
)
async def test_acquire_without_a_token_is_repeated(
    v6: Agora, account: Account, scripted: ScriptedAgora, body: bytes
) -> None:
    scripted.answers(httpx.Response(200, content=body))
    with pytest.raises(Upstream):
        await v6.acquire(account, "ttask-1b2c-1")


async def test_start_sends_v6s_flat_body_with_the_token_in_the_query(
    v6: Agora, account: Account, scripted: ScriptedAgora, fullest_request: StartRequest
) -> None:
    scripted.answers(httpx.Response(200, json={**STARTED, "status": "STARTED"}))
    started = await v6.start(account, fullest_request, TOKEN)
    assert scripted.request.method == "POST"
    assert str(scripted.request.url) == f"{PROJECT}/tasks?builderToken={QUOTED}"
    body = body_of(scripted.request)
    assert sorted(body) == [
        "captionConfig",
        "languages",
        "maxIdleTime",
        "rtcConfig",
        "translateConfig",
        "uidLanguagesConfig",
    ]
    assert body["rtcConfig"]["subBotUid"] == "1002"
    assert body["rtcConfig"]["subBotToken"] == "subscriber-token"
    assert body["captionConfig"] == {
        "sliceDuration": 30,
        "storage": {
            "vendor": 1,
            "region": 3,
            "bucket": "captions",
            "accessKey": "access",
            "secretKey": "storage-secret",
            "fileNamePrefix": ["team", "calls"],
        },
    }
    assert (started.task_id, started.state) == ("6b2c", State.ACTIVE)
    assert started.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


REFUSED_UNSENT: list[Any] = [
    pytest.param(lambda request: replace(request, subscriber_uid=None), "subBotUid", id="without the second bot"),
    pytest.param(lambda request: replace(request, keywords=("Agora",)), "keywords", id="with keywords"),
    pytest.param(
        lambda request: replace(
            request,
            captions=replace(
                request.captions, storage=replace(request.captions.storage, endpoint="https://minio.example.com")
            ),
        ),
        "endpoint",
        id="with an endpoint",
    ),
]


@pytest.mark.parametrize(("change", "said"), REFUSED_UNSENT)
async def test_start_refuses_what_v6_does_not_have_before_sending_it(
    v6: Agora,
    account: Account,
    scripted: ScriptedAgora,
    fullest_request: StartRequest,
    change: Callable[[StartRequest], StartRequest],
    said: str,
) -> None:
    with pytest.raises(RequestRefused, match=f"start: not sent to Agora .*{said}"):
        await v6.start(account, change(fullest_request), TOKEN)
    assert scripted.requests == []


async def test_query_update_and_stop_carry_the_token_that_started_the_task(
    v6: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    handle = Handle("6b2c/7", TOKEN)
    translation = Translation(enabled=True, languages=(TranslationPair("en-US", ("de-DE",)),))
    update = Update(
        3, frozenset({Field.LANGUAGES, Field.TRANSLATION}), LiveSettings(("en-US",), translation=translation)
    )
    scripted.answers(
        httpx.Response(200, json={"status": "IN_PROGRESS"}), httpx.Response(200, json=STARTED), httpx.Response(200)
    )
    seen = await v6.query(account, handle)
    await v6.update(account, handle, update)
    await v6.stop(account, handle)
    task = f"{PROJECT}/tasks/6b2c%2F7?builderToken={QUOTED}"
    assert [(request.method, str(request.url)) for request in scripted.requests] == [
        ("GET", task),
        (
            "PATCH",
            f"{task}&sequenceId=3&updateMask=languages,translateConfig.enable,translateConfig.languages",
        ),
        ("DELETE", task),
    ]
    assert scripted.requests[2].content == b""
    assert seen.task_id == "6b2c/7"


CALLS_WITH_A_TOKEN: list[Any] = [
    pytest.param(lambda v6, account, request: v6.start(account, request, None), id="start"),
    pytest.param(lambda v6, account, _: v6.query(account, Handle("6b2c")), id="query"),
    pytest.param(
        lambda v6, account, request: v6.update(account, Handle("6b2c"), Update(1, frozenset(), request.settings)),
        id="update",
    ),
    pytest.param(lambda v6, account, _: v6.stop(account, Handle("6b2c")), id="stop"),
]


@pytest.mark.parametrize("call", CALLS_WITH_A_TOKEN)
async def test_without_a_token_nothing_is_sent(
    v6: Agora,
    account: Account,
    scripted: ScriptedAgora,
    fullest_request: StartRequest,
    call: Callable[[Agora, Account, StartRequest], Awaitable[object]],
) -> None:
    with pytest.raises(TokenRefused):
        await call(v6, account, fullest_request)
    assert scripted.requests == []


async def test_v6_cannot_list(v6: Agora, account: Account, scripted: ScriptedAgora) -> None:
    with pytest.raises(NotSupported):
        await v6.list_live(account, "room", datetime.now(UTC))
    assert scripted.requests == []
