"""Whatever a spec or Agora says, the credentials go to the host of the operator's settings and to no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agora_transcription.agora import (
    Account,
    AgoraClient,
    AgoraError,
    Captions,
    Dialect,
    Field,
    Handle,
    LiveSettings,
    StartRequest,
    Storage,
    Update,
)
from agora_transcription.agora.explanations import identifier
from unit.agora.conftest import APP_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable

ACCOUNT = Account(APP_ID, "demo-customer", SecretStr("demo-secret"))

HOSTILE = [
    "..",
    "../..",
    "//evil.test/",
    "@evil.test",
    "https://evil.test",
    "a?b#c",
    "%2e%2e",
    "a\\..\\b",
    "é",
    "a/../../b",
]
WORDS = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=20)
IDS = WORDS.filter(lambda word: identifier(word) is not None)


async def requests_of(word: str, task_id: str, dialect: Dialect) -> list[httpx.Request]:
    """Make every call there is, with a word wherever one can stand."""
    seen: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(400, headers={"Location": "https://evil.test/"})

    token = SecretStr(word)
    settings = LiveSettings(languages=(word,), subscribe_audio_uids=(word,))
    storage = Storage(
        vendor=11, region=0, bucket=word, access_key=token, secret_key=token, endpoint="https://evil.test"
    )
    request = StartRequest(
        name=word,
        channel=word,
        settings=settings,
        idle_timeout_seconds=60,
        bot_uid=word,
        bot_token=token,
        subscriber_uid=word,
        captions=Captions(storage=storage if dialect is Dialect.V7 else replace(storage, endpoint=None)),
    )
    async with AgoraClient("https://agora.test/cn", transport=httpx.MockTransport(refuse)) as client:
        api, handle = client.dialect(dialect), Handle(task_id, token)
        update = Update(1, frozenset(Field), settings)
        calls: list[Awaitable[object]] = [
            api.acquire(ACCOUNT, word),
            api.start(ACCOUNT, request, token),
            api.query(ACCOUNT, handle),
            api.update(ACCOUNT, handle, update),
            api.stop(ACCOUNT, handle),
        ]
        for call in calls:
            try:
                await call
            except AgoraError:
                continue
    return seen


@given(word=WORDS, task_id=IDS)
async def test_every_request_goes_to_the_configured_host_and_the_accounts_project(word: str, task_id: str) -> None:
    for dialect, calls in ((Dialect.V7, 4), (Dialect.V6, 5)):
        requests = await requests_of(word, task_id, dialect)
        assert len(requests) == calls
        for request in requests:
            assert (request.url.scheme, request.url.netloc) == ("https", b"agora.test")
            path = request.url.raw_path.partition(b"?")[0]
            assert path.startswith(b"/cn/")
            assert f"/projects/{APP_ID}/".encode() in path
            assert request.url.fragment == ""
