"""The connection: what is known after a failure, what never leaves it, and the real pool against real sockets."""

from __future__ import annotations

import asyncio
import gzip
import logging
import traceback
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import SecretStr

from agora_transcription.agora import (
    AgoraClient,
    AgoraError,
    Ambiguous,
    Dialect,
    Field,
    Gone,
    Handle,
    NotPermitted,
    NotSent,
    RequestRefused,
    Update,
    Upstream,
)
from agora_transcription.agora import client as client_module
from agora_transcription.agora.calls import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agora_transcription.agora import Account, Agora, StartRequest
    from support.agora import ScriptedAgora

TOKEN = SecretStr("builder/token+that=must,not&leak1234567890")
OK = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 49\r\nSet-Cookie: a=b\r\n\r\n{"agent_id":"6b2c","taskId":"6b2c","status":"OK"}'
)


@dataclass
class Server:
    """A TCP server that reads one request after the other and does with each what `behave` says."""

    behave: Callable[[asyncio.StreamWriter], Awaitable[None]]
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.append(head)
                length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length")), ":0")
                await reader.readexactly(int(length.partition(":")[2]))
                await self.behave(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def server(behave: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Server]:
    served = Server(behave)
    listener = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener:
        yield served


async def answer(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def break_off(writer: asyncio.StreamWriter) -> None:
    writer.write(OK[:-10])
    await writer.drain()
    writer.close()


async def babble(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()
    writer.close()


async def trickle(writer: asyncio.StreamWriter) -> None:
    for byte in OK:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def say_nothing(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_a_refused_connection_was_not_sent(account: Account, smallest_request: StartRequest) -> None:
    async with server(answer) as served:
        url = served.url
    async with AgoraClient(url) as client:
        with pytest.raises(NotSent, match=r"start: no connection to Agora \(127\.0\.0\.1:\d+: connection refused\)"):
            await client.dialect(Dialect.V7).start(account, smallest_request, None)


async def test_a_host_that_nobody_knows_is_named(account: Account, smallest_request: StartRequest) -> None:
    async with AgoraClient("https://nobody.invalid") as client:
        with pytest.raises(NotSent, match=r"\(nobody\.invalid: there is no such host name\)"):
            await client.dialect(Dialect.V7).start(account, smallest_request, None)


async def test_a_failed_tls_handshake_was_not_sent(account: Account, smallest_request: StartRequest) -> None:
    async def speak_plainly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with AgoraClient(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(NotSent, match="the TLS handshake fails"):
                await client.dialect(Dialect.V7).start(account, smallest_request, None)


async def test_a_connection_that_takes_too_long_was_not_sent(
    account: Account, smallest_request: StartRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.1)
    async with server(answer) as served:  # waits for a request, while the client waits for a handshake
        async with AgoraClient(served.url.replace("http:", "https:")) as client:
            with pytest.raises(NotSent, match="ConnectionTimeoutError"):
                await client.dialect(Dialect.V7).start(account, smallest_request, None)
        assert served.requests == []


@pytest.mark.parametrize("behave", [hang_up, reset, break_off, babble, trickle, say_nothing])
async def test_once_sent_the_outcome_is_ambiguous(
    account: Account,
    smallest_request: StartRequest,
    behave: Callable[[asyncio.StreamWriter], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.2)
    async with server(behave) as served, AgoraClient(served.url, timeout=0.2) as client:
        with pytest.raises(Ambiguous, match="start: no answer from Agora"):
            await client.dialect(Dialect.V7).start(account, smallest_request, None)
        assert len(served.requests) == 1


async def test_a_start_on_a_connection_that_breaks_is_not_repeated_by_the_pool(
    account: Account, smallest_request: StartRequest
) -> None:
    answers = iter((answer, hang_up))

    async def once(writer: asyncio.StreamWriter) -> None:
        await next(answers)(writer)

    async with server(once) as served, AgoraClient(served.url) as client:
        await client.dialect(Dialect.V7).query(account, Handle("6b2c"))
        with pytest.raises(Ambiguous):
            await client.dialect(Dialect.V7).start(account, smallest_request, None)
    assert (served.connections, len(served.requests)) == (1, 2)


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "chunked"])
async def test_no_more_of_an_answer_is_read_than_any_honest_one_has(account: Account, *, chunked: bool) -> None:
    """It would be kept in memory for each of the calls that are under way."""
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1000000000"
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n")
        piece = b" " * 65536
        while True:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
            sent += len(piece)

    async with server(flood) as served, AgoraClient(served.url) as client:
        with pytest.raises(Upstream, match="the answer has no status"):
            await client.dialect(Dialect.V7).query(account, Handle("6b2c"))
    assert client_module.MAX_ANSWER <= sent < 16 * client_module.MAX_ANSWER, "the rest waits in the sockets' buffers"


async def test_a_long_answer_is_read_whole_up_to_the_limit(account: Account, scripted: ScriptedAgora) -> None:
    rows = [{"agent_id": f"task-{number}", "status": "RUNNING", "start_ts": 1795251859} for number in range(5000)]
    transport = httpx.MockTransport(scripted)
    async with AgoraClient("https://agora.test", transport=transport) as client:
        page = {"data": {"list": rows}, "meta": {"cursor": ""}, "status": "ok"}
        scripted.answers(*(httpx.Response(200, json=page if state == 0 else {"data": {}}) for state in range(5)))
        found = await client.dialect(Dialect.V7).list_live(account, "room", datetime.now(UTC))
    assert len(found) == len(rows)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip"])
async def test_no_compression_is_asked_for_and_none_undone(account: Account, encoding: str) -> None:
    """A few kilobytes, packed twice, would unfold into gigabytes."""
    body = gzip.compress(OK.partition(b"\r\n\r\n")[2])

    async def compress(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with server(compress) as served, AgoraClient(served.url) as client:
        with pytest.raises(Upstream, match="the answer has no status"):
            await client.dialect(Dialect.V7).query(account, Handle("6b2c"))
        with pytest.raises(Upstream, match="the answer is a page"):
            await client.dialect(Dialect.V7).stop(account, Handle("6b2c"))
    assert "accept-encoding: identity" in served.requests[0].lower()


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_a_proxys_page_is_no_stop(dialect: Dialect, account: Account) -> None:
    page = httpx.Response(200, html="\n<!doctype html><title>Maintenance</title>")
    async with AgoraClient("https://agora.test", transport=httpx.MockTransport(lambda _: page)) as client:
        with pytest.raises(Upstream, match="the answer is a page"):
            await client.dialect(dialect).stop(account, Handle("6b2c", TOKEN))


async def test_ids_tokens_and_masks_arrive_as_they_were_written(
    account: Account, smallest_request: StartRequest
) -> None:
    update = Update(4, frozenset({Field.LANGUAGES, Field.SUBSCRIBE_AUDIO_UIDS}), smallest_request.settings)
    async with server(answer) as served, AgoraClient(served.url + "/cn/") as client:
        await client.dialect(Dialect.V6).update(account, Handle("a/b c%2F", TOKEN), update)
        await client.dialect(Dialect.V7).stop(account, Handle("é"))
    prefix = "/cn/v1/projects/0123456789abcdef0123456789abcdef/rtsc/speech-to-text/tasks/a%2Fb%20c%252F"
    token = "builder%2Ftoken%2Bthat%3Dmust,not%26leak1234567890"
    mask = "languages,rtcConfig.subscribeAudioUids"
    first, second = (request.split("\r\n")[0] for request in served.requests)
    assert first.split()[0] == "PATCH"
    path, _, query = first.split()[1].partition("?")
    assert path == prefix
    assert query.endswith(f"&sequenceId=4&updateMask={mask}")
    assert httpx.QueryParams(query)["builderToken"] == TOKEN.get_secret_value()
    assert httpx.QueryParams(query) == httpx.QueryParams(f"builderToken={token}&sequenceId=4&updateMask={mask}")
    assert second.split()[1].endswith("/agents/%C3%A9/leave")


async def test_connections_are_kept_and_cookies_are_not(account: Account) -> None:
    async with server(answer) as served, AgoraClient(served.url) as client:
        for _ in range(3):
            await client.dialect(Dialect.V7).query(account, Handle("6b2c"))
    assert served.connections == 1
    assert len(served.requests) == 3
    assert not any("cookie" in request.lower() for request in served.requests)
    assert all(
        "authorization: basic zgvtby1jdxn0b21lcjpkzw1vlxnly3jlda==" in request.lower() for request in served.requests
    )


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.ConnectError("x"), NotSent),
        (httpx.ConnectTimeout("x"), NotSent),
        (httpx.PoolTimeout("x"), NotSent),
        (httpx.ReadTimeout("x"), Ambiguous),
        (httpx.WriteTimeout("x"), Ambiguous),
        (httpx.ReadError("x"), Ambiguous),
        (httpx.WriteError("x"), Ambiguous),
        (httpx.CloseError("x"), Ambiguous),
        (httpx.RemoteProtocolError("x"), Ambiguous),
        (httpx.DecodingError("x"), Ambiguous),
        (TimeoutError(), Ambiguous),
        (ConnectionResetError(), Ambiguous),
    ],
)
async def test_transport_errors(
    v7: Agora, account: Account, scripted: ScriptedAgora, failure: Exception, error: type[AgoraError]
) -> None:
    scripted.answers(failure)
    with pytest.raises(error) as raised:
        await v7.query(account, Handle("6b2c"))
    assert (raised.value.operation, raised.value.code) == ("query", None)
    where = "agora.test: " if error is NotSent else ""
    assert raised.value.text == f"{where}{type(failure).__name__}"


async def test_a_redirect_is_not_followed(v6: Agora, account: Account, scripted: ScriptedAgora) -> None:
    scripted.answers(httpx.Response(307, headers={"Location": "https://elsewhere.test/"}))
    with pytest.raises(Upstream):
        await v6.query(account, Handle("6b2c", TOKEN))
    assert len(scripted.requests) == 1


async def test_no_proxy_is_taken_from_the_environment(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(answer) as agora, server(answer) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with AgoraClient(agora.url) as client:
            await client.dialect(Dialect.V7).query(account, Handle("6b2c"))
    assert (len(agora.requests), proxy.connections) == (1, 0)


async def test_cancellation_passes_through(account: Account) -> None:
    arrived = asyncio.Event()

    async def arrive(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await say_nothing(writer)

    async with server(arrive) as served, AgoraClient(served.url) as client:
        query = asyncio.create_task(client.dialect(Dialect.V7).query(account, Handle("6b2c")))
        async with asyncio.timeout(5):
            await arrived.wait()
        query.cancel()
        with pytest.raises(asyncio.CancelledError):
            await query


async def test_every_call_is_observed_once(account: Account, scripted: ScriptedAgora) -> None:
    seen: list[tuple[Dialect, str, str, float]] = []
    transport = httpx.MockTransport(scripted)
    async with AgoraClient(
        "https://agora.test", observe=lambda *call: seen.append(call), transport=transport
    ) as client:
        scripted.answers(
            httpx.Response(200), httpx.Response(404), httpx.ConnectError("x"), httpx.ReadError("x"), httpx.Response(200)
        )
        v6 = client.dialect(Dialect.V6)
        await v6.stop(account, Handle("6b2c", TOKEN))
        for error in (Gone, NotSent, Ambiguous):
            with pytest.raises(error):
                await v6.stop(account, Handle("6b2c", TOKEN))
        with pytest.raises(Upstream):
            await client.dialect(Dialect.V7).query(account, Handle("6b2c"))
    assert [call[:3] for call in seen] == [
        (Dialect.V6, "stop", "200"),
        (Dialect.V6, "stop", "404"),
        (Dialect.V6, "stop", "NotSent"),
        (Dialect.V6, "stop", "Ambiguous"),
        (Dialect.V7, "query", "200"),
    ]
    assert all(seconds >= 0 for *_, seconds in seen)


async def test_a_request_not_sent_is_not_observed(account: Account, smallest_request: StartRequest) -> None:
    seen: list[object] = []
    async with AgoraClient("https://agora.test", observe=lambda *call: seen.append(call)) as client:
        with pytest.raises(RequestRefused):
            await client.dialect(Dialect.V6).start(account, smallest_request, TOKEN)
    assert seen == []


async def test_no_secret_is_logged_at_any_level(
    account: Account, fullest_request: StartRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with server(answer) as served, AgoraClient(served.url) as client:
        logging.getLogger("httpx").setLevel(logging.DEBUG)  # as a configuration may do after the client was made
        v6 = client.dialect(Dialect.V6)
        await v6.start(account, fullest_request, TOKEN)
        await v6.query(account, Handle("6b2c", TOKEN))
    with pytest.raises(NotSent):
        async with AgoraClient(served.url) as client:
            await client.dialect(Dialect.V6).stop(account, Handle("6b2c", TOKEN))
    assert "V6 start: 200" in caplog.text
    for secret in (
        "builder/token",
        "builder%2Ftoken",
        "must,not",
        "demo-secret",
        "bot-token",
        "storage-secret",
        "ZGVtby1j",
    ):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ("1f2e3d4c-5b6a-7980-91a2-b3c4d5e6f708", "1f2e3d4c-5b6a-7980-91a2-b3c4d5e6f708"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "-"),
        ("two words", "-"),
        ("builder-token", "-"),
        ("of-demo-secret", "-"),
        (None, "-"),
    ],
)
async def test_the_id_of_a_request_is_logged_for_agoras_support(
    account: Account, caplog: pytest.LogCaptureFixture, sent: str | None, logged: str
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = httpx.Response(200, json={"status": "RUNNING"}, headers={"X-Request-Id": sent} if sent else {})
    async with AgoraClient("https://agora.test", transport=httpx.MockTransport(lambda _: answer)) as client:
        await client.dialect(Dialect.V6).query(account, Handle("6b2c", SecretStr("builder-token")))
    assert f", request {logged}\n" in caplog.text


async def test_an_error_carries_no_url_in_its_traceback(v6: Agora, account: Account, scripted: ScriptedAgora) -> None:
    scripted.answers(
        httpx.ConnectTimeout(f"Connection timeout to host https://x/?builderToken={TOKEN.get_secret_value()}")
    )
    with pytest.raises(NotSent) as raised:
        await v6.query(account, Handle("6b2c", TOKEN))
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert "leak1234567890" not in "".join(traceback.format_exception(raised.value))


async def test_an_answer_that_echoes_the_request_gives_nothing_away(
    account: Account, fullest_request: StartRequest
) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, text=f"bad request: {request.url} {request.content.decode()}")

    async with AgoraClient("https://agora.test", transport=httpx.MockTransport(echo)) as client:
        with pytest.raises(RequestRefused) as raised:
            await client.dialect(Dialect.V6).start(account, fullest_request, TOKEN)
    for secret in ("leak1234567890", "bot-token", "subscriber-token", "storage-secret", "channel-secret", "c2FsdA=="):
        assert secret not in str(raised.value)
    assert "bad request" in str(raised.value)


def test_the_representation_of_a_call_holds_no_secret(account: Account) -> None:
    call = Call(Dialect.V6, "start", account, "POST", "/tasks", query="builderToken=abc", body={"pubBotToken": "abc"})
    assert "abc" not in repr(call).replace(account.app_id, "")
    assert "demo-secret" not in repr(call)


async def test_each_single_request_needs_its_permit(account: Account, scripted: ScriptedAgora) -> None:
    permits = iter([True, True, False])
    transport = httpx.MockTransport(scripted)
    scripted.answers(*[httpx.Response(200, json={"data": {"list": []}, "meta": {}})] * 5)
    async with AgoraClient("https://agora.test", transport=transport, permit=lambda: next(permits)) as client:
        with pytest.raises(NotSent, match="this process must not call Agora any more"):
            # One page for each state of a live task: it is told to stop at the third.
            await client.dialect(Dialect.V7).list_live(account, "room", datetime(2026, 11, 21, tzinfo=UTC))
    assert len(scripted.requests) == 2


async def test_the_permit_is_asked_again_when_there_is_a_connection(account: Account) -> None:
    """Waiting for one takes seconds, in which another process may have taken over."""
    permits = iter([True, False, True, True, True, False, True, True])
    asked: list[int] = []

    async with server(answer) as served:

        def permit() -> bool:
            asked.append(served.connections)
            return next(permits)

        async with AgoraClient(served.url, permit=permit) as client:
            api = client.dialect(Dialect.V7)
            for _ in range(2):
                with pytest.raises(NotPermitted, match="this process must not call Agora any more"):
                    await api.query(account, Handle("6b2c"))
                await api.query(account, Handle("6b2c"))
        assert len(served.requests) == 2
        assert served.connections == 1, "the one that was not used is kept"
    assert len(asked) == 8
