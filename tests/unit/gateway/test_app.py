"""The HTTP surface: paths, codes, plain-text errors, keys, limits, CORS."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import Request
from pydantic import SecretStr

from agora_transcription import agora
from agora_transcription.gateway import app as module
from agora_transcription.gateway import bodies
from agora_transcription.gateway.answers import Refusal
from agora_transcription.gateway.app import create_app
from agora_transcription.gateway.files import Files
from agora_transcription.gateway.metrics import GatewayMetrics
from agora_transcription.gateway.service import Transcriptions
from agora_transcription.simulator.rtctoken import InvalidToken, verify
from unit.gateway.fakes import API_KEY, APP_ID, CERTIFICATE, RUNNING, SIGNING_KEY, FakeStore, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START = "/api/transcription/start.json"
PAGES = (START, "/api/transcription/stop.json", "/api/transcription/query.json", "/api/tokens.json", "/api/token.json")
BEARER = {"Authorization": f"Bearer {API_KEY}"}
TOKEN = {"channel": "test", "uid": "1001", "expireTime": 3600, "role": "publisher"}


def client_of(folder: Path, **settings: Any) -> httpx.AsyncClient:
    """A caller with a key."""
    read = settings_of(folder, **settings)
    files = Files(read)
    app = create_app(read, files, Transcriptions(FakeStore(RUNNING), files, read), GatewayMetrics())
    transport = httpx.ASGITransport(app, client=("192.0.2.1", 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=BEARER)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(tmp_path) as made:
        yield made


async def test_start_query_and_stop(client: httpx.AsyncClient) -> None:
    started = await client.post(START, json={"channel": "test"})
    assert started.status_code == 200
    assert started.headers["content-type"] == "application/json"
    assert started.json()["taskId"] == "agora-1"
    assert (await client.post(PAGES[2], json=started.json())).json()["status"] == "IN_PROGRESS"
    assert (await client.post(PAGES[1], json=started.json())).json() == {}
    assert (await client.post(PAGES[1], json=started.json())).json() == {}
    assert (await client.post(PAGES[2], json=started.json())).status_code == 404


@pytest.mark.parametrize(
    ("page", "text"), list(zip(PAGES, ("channel", "taskId", "taskId", "channel", "channel"), strict=True))
)
async def test_an_error_is_plain_text(client: httpx.AsyncClient, page: str, text: str) -> None:
    answer = await client.post(page, json={})
    assert (answer.status_code, answer.text) == (400, f"{text} is required")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": API_KEY},
        {"Authorization": f"Basic {API_KEY}"},
        {"x-api-key": "wrong"},
        {"x-api-key": ""},
    ],
)
async def test_without_a_key_nothing_is_read(client: httpx.AsyncClient, page: str, headers: dict[str, str]) -> None:
    del client.headers["Authorization"]
    answer = await client.post(page, headers=headers, content=b"no JSON")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "an API key is required"),
        ({"Authorization": "Basic wrong"}, "an API key is required"),
        ({"Authorization": "Bearer wrong"}, "the API key is not known"),
        ({"x-api-key": "wrong"}, "the API key is not known"),
    ],
)
async def test_a_wrong_key_is_told_from_none(client: httpx.AsyncClient, headers: dict[str, str], said: str) -> None:
    del client.headers["Authorization"]
    answer = await client.post(START, headers=headers, json={"channel": "test"})
    assert answer.text == f"{said}: Authorization: Bearer KEY, or x-api-key: KEY"


@pytest.mark.parametrize("headers", [BEARER, {"Authorization": f"bearer {API_KEY}"}, {"x-api-key": API_KEY}])
async def test_a_key_comes_in_either_header(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    del client.headers["Authorization"]
    assert (await client.post(START, headers=headers, json={"channel": "test"})).status_code == 200


async def test_a_key_that_is_taken_out_of_the_file_counts_no_more(client: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "apiKeys").write_text("only-this-key-from-now-on")
    assert (await client.post(START, json={"channel": "test"})).status_code == 401


async def test_a_file_that_goes_is_a_503_and_says_nothing(client: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "signingKeys").unlink()
    answer = await client.post(START, json={"channel": "test"})
    assert (answer.status_code, answer.text) == (503, "the gateway is not set up for this")


async def test_anonymous_callers_need_no_key(tmp_path: Path) -> None:
    async with client_of(tmp_path, anonymous=True, api_keys_file=None) as client:
        del client.headers["Authorization"]
        assert (await client.post(START, json={"channel": "test"})).status_code == 200


async def test_only_allowed_channels(tmp_path: Path) -> None:
    async with client_of(tmp_path, allow_channel=("public-*", "a.b")) as client:
        for channel, code in (("public-1", 200), ("a.b", 200), ("axb", 403), ("not public-1", 403), ("a.b.c", 403)):
            answer = await client.post(START, json={"channel": channel})
            assert answer.status_code == code, channel
            answer = await client.post("/api/tokens.json", json={**TOKEN, "channel": channel})
            assert answer.status_code == code, channel


async def test_a_body_that_is_too_long_is_a_413(client: httpx.AsyncClient) -> None:
    long = b'{"channel": "' + b"x" * 16 * 1024 + b'"}'
    answer = await client.post(START, content=long)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")

    async def chunked() -> AsyncIterator[bytes]:
        for place in range(0, len(long), 100):
            yield long[place : place + 100]

    assert (await client.post(START, content=chunked())).status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'{"channel":'
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "READ_SECONDS", 0.1)
    answer = await client.post(START, content=half())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")


async def test_who_hangs_up_before_the_end_is_no_fault() -> None:
    async def hangs_up() -> dict[str, str]:
        return {"type": "http.disconnect"}

    with pytest.raises(Refusal, match="400 the body has not come"):
        await module._body(Request({"type": "http", "headers": []}, hangs_up))


async def test_too_many_calls_are_a_429_for_that_caller_alone(tmp_path: Path) -> None:
    async with client_of(tmp_path, calls_per_minute=2) as client:
        codes = [(await client.post(START, json={})).status_code for _ in range(3)]
        assert codes == [400, 400, 429]
        refused = await client.post(START, json={})
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        other = {"Authorization": "Bearer another-api-key-of-the-tests"}
        assert (await client.post(START, json={}, headers=other)).status_code == 400
        # Wrong keys count for the address that they come from.
        wrong = {"Authorization": "Bearer wrong"}
        codes = [(await client.post(START, json={}, headers=wrong)).status_code for _ in range(3)]
        assert codes == [401, 401, 429]


@pytest.mark.parametrize("page", PAGES)
async def test_a_web_page_may_ask_first(client: httpx.AsyncClient, page: str) -> None:
    del client.headers["Authorization"]
    asked = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = await client.options(page, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert (await client.options(page)).status_code == 204


async def test_refusals_can_be_read_by_a_web_page(client: httpx.AsyncClient) -> None:
    answer = await client.post(START, json={}, headers={"Origin": "https://app.example.com"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, "*")


async def test_only_allowed_origins(tmp_path: Path) -> None:
    async with client_of(tmp_path, allow_origin=("https://app.example.com",)) as client:
        for origin, allowed in (("https://app.example.com", True), ("https://example.org", False)):
            answer = await client.post(START, json={}, headers={"Origin": origin})
            assert ("access-control-allow-origin" in answer.headers) == allowed


@pytest.mark.parametrize("page", PAGES[3:])
@pytest.mark.parametrize("version", ["007", "006"])
async def test_a_token_admits_its_user_to_its_channel(tmp_path: Path, page: str, version: str) -> None:
    async with client_of(tmp_path, rtc_token_version=version) as client:
        token = (await client.post(page, json=TOKEN)).json()["token"]
    now = time.time()
    asked: dict[str, Any] = {"app_id": APP_ID, "certificate": CERTIFICATE, "channel": "test", "uid": "1001", "now": now}
    assert token.startswith(version)
    assert verify(token, **asked) == pytest.approx(now + 3600, abs=5)
    for wrong in ({"uid": "1002"}, {"channel": "other"}):
        with pytest.raises(InvalidToken):
            verify(token, **{**asked, **wrong})


async def test_a_subscriber_gets_another_token_than_a_publisher(tmp_path: Path) -> None:
    asked: list[bool] = []

    def mint(*_: object, publishes: bool, **__: object) -> SecretStr:
        asked.append(publishes)
        return SecretStr("a token")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agora, "mint_rtc_token", mint)
        async with client_of(tmp_path) as client:
            for role in ("publisher", "subscriber"):
                answer = await client.post("/api/tokens.json", json={**TOKEN, "role": role})
                assert answer.json() == {"token": "a token"}
    assert asked == [True, False]


async def test_without_a_certificate_there_are_no_tokens(tmp_path: Path) -> None:
    async with client_of(tmp_path, project_dir=None) as client:
        assert (await client.post("/api/tokens.json", json=TOKEN)).status_code == 503
    async with client_of(tmp_path) as client:
        (tmp_path / "appCertificate").write_text("not hexadecimal")
        answer = await client.post("/api/tokens.json", json=TOKEN)
        assert (answer.status_code, answer.text) == (503, "the gateway is not set up for this")


async def test_nothing_secret_is_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ids = (await client.post(START, json={"channel": "test"})).json()
    token = (await client.post("/api/tokens.json", json=TOKEN)).json()["token"]
    await client.post(PAGES[1], json=ids)
    await client.post(PAGES[1], json={"taskId": "x", "builderToken": "guessed-token"})
    assert "start for" in caplog.text
    for secret in (API_KEY, SIGNING_KEY, CERTIFICATE, ids["builderToken"], token, "guessed-token"):
        assert secret not in caplog.text


async def test_a_fault_is_a_500_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(bodies, "read_channel", broken)
    read = settings_of(tmp_path)
    files, metrics = Files(read), GatewayMetrics()
    app = create_app(read, files, Transcriptions(FakeStore(RUNNING), files, read), metrics)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=BEARER) as client:
        assert (await client.post(START, json={"channel": "test"})).status_code == 500
    labels = {"endpoint": "start", "code": "500"}
    assert metrics.registry.get_sample_value("agora_transcription_gateway_requests_total", labels) == 1


async def test_the_page_of_the_api_describes_each_call(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert sorted(described["paths"]) == sorted(PAGES)
    for path in described["paths"].values():
        [call] = path.values()
        assert call["requestBody"]["content"]["application/json"]["schema"]["required"]
        assert {"200", "400", "401"} <= set(call["responses"])
        assert len(call["security"]) == 2
