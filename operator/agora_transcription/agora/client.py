"""The connection to Agora: one pool for all accounts, and the only place where a request leaves the process.

httpx is what the code speaks, aiohttp's pool is what it runs on: httpcore's costs time in proportion to its
connections, on every request. The transport is used without httpx's client, whose redirects and cookies must not happen
here: a redirected start would be a second start, and one account's cookies are none of another's.

What is known about a call that failed is kept exactly: only a connection that was never made counts as `NotSent`,
everything after that as `Ambiguous`, because a start that may have had its effect must be repeated as the same start.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from agora_transcription import USER_AGENT
from agora_transcription.agora.answers import SUCCESS, classify
from agora_transcription.agora.errors import AgoraError, Ambiguous, NotPermitted, NotSent
from agora_transcription.agora.models import Dialect
from agora_transcription.agora.v6 import AgoraV6
from agora_transcription.agora.v7 import AgoraV7

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from agora_transcription.agora.calls import Call
    from agora_transcription.agora.models import Account, Agora

__all__ = ["ANSWER_TIMEOUT", "BASE_URL", "CONNECT_TIMEOUT", "AgoraClient", "Observe", "Permit"]

BASE_URL = "https://api.agora.io"
"""Agora's world-wide host."""

CONNECT_TIMEOUT = 5.0
"""Seconds for a connection, waiting for a free one included: one lost packet and a slow DNS fit in."""

ANSWER_TIMEOUT = 10.0
"""Seconds for a whole answer: V6 documents processing times of up to 7 s before Agora itself gives up."""

MAX_ANSWER = 2**20
"""Bytes of an answer that are read; the longest honest one, a page of 100 listed tasks, has some 20,000."""

_LIMITS = httpx.Limits(max_connections=512, max_keepalive_connections=512, keepalive_expiry=30.0)
"""Some hundred calls at once without queueing. Idle connections are dropped before common gateways drop them (60 s):
a request on a connection that is just being closed has an ambiguous outcome."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Observe = Callable[[Dialect, str, str, float], None]
"""Told of each call: dialect, operation, HTTP status or the error's class where no answer came, and seconds."""

Permit = Callable[[], bool]
"""Asked before each request, and again when there is a connection for it: False means that it must not be sent."""

_log = logging.getLogger(__name__)


class AgoraClient:
    """Agora's REST API over one shared connection pool, for any number of accounts.

    Close it with `aclose`, or use it as an async context manager.
    """

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        observe: Observe | None = None,
        permit: Permit = lambda: True,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        """Prepare the pool; the first connection is made by the first call.

        Args:
            base_url: Scheme, host and, where there is one, a path in front of Agora's own.
            observe: Called after each call, for metrics.
            permit: Whether this process may call Agora at this moment; a call that it may not make is
                `NotPermitted`.
            transport: Carries the requests; aiohttp's pool unless a test brings its own.
            timeout: Seconds for a whole answer, once connected.
        """
        self._base_url = base_url.rstrip("/")
        self._observe = observe
        self._permit = permit
        self._deadline = CONNECT_TIMEOUT + timeout
        self._transport = transport or _transport(permit)
        timeouts = httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, pool=CONNECT_TIMEOUT)
        self._extensions = {"timeout": timeouts.as_dict()}
        self._dialects: dict[Dialect, Agora] = {Dialect.V6: AgoraV6(self._send), Dialect.V7: AgoraV7(self._send)}

    def dialect(self, dialect: Dialect) -> Agora:
        """The API in one of its dialects; both share the pool."""
        return self._dialects[dialect]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _send(self, call: Call) -> bytes:
        """Send a call and return the body of a 200; raises an `AgoraError` for everything else."""
        started = time.perf_counter()
        answer = await self._exchange(call)
        seconds = time.perf_counter() - started
        outcome = type(answer).__name__ if isinstance(answer, AgoraError) else str(answer[0].status_code)
        if self._observe is not None:
            self._observe(call.dialect, call.operation, outcome, seconds)
        if isinstance(answer, AgoraError):
            raise answer
        response, body = answer
        if _log.isEnabledFor(logging.DEBUG):
            request_id = _request_id(call, response)
            _log.debug("%s %s: %s in %.3f s, request %s", call.dialect, call.operation, outcome, seconds, request_id)
        if response.status_code == SUCCESS:
            return body
        raise classify(call, response.status_code, response.headers, body, now=datetime.now(UTC))

    async def _exchange(self, call: Call) -> tuple[httpx.Response, bytes] | AgoraError:
        """Make the exchange; a failure is returned, so that it is raised without the URL in its context."""
        if not self._permit():
            return NotPermitted(call.operation)
        try:
            url = _parsed(self._base_url + call.path)
            if call.query:
                url = url.copy_with(query=call.query.encode())
            request = httpx.Request(
                call.method, url, headers=_headers(call.account), json=call.body, extensions=self._extensions
            )
            async with asyncio.timeout(self._deadline):  # httpx's own counts from one piece of an answer to the next
                response = await self._transport.handle_async_request(request)
                try:
                    return response, await _read(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, TimeoutError, OSError) as failure:
            return _unanswered(call, failure, urlsplit(self._base_url).netloc)


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    """Parse a URL; those of starts and lists are the same for all tasks of a project."""
    return httpx.URL(url)


def _headers(account: Account) -> dict[str, str]:
    """The headers of an account's request (RFC 7617); for the encoding see `_read`."""
    customer = f"{account.customer_id}:{account.customer_secret.get_secret_value()}"
    return {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Authorization": f"Basic {base64.b64encode(customer.encode()).decode()}",
        "User-Agent": USER_AGENT,
    }


async def _read(response: httpx.Response) -> bytes:
    """The body, cut off at `MAX_ANSWER`: what is cut is no JSON any more, and is judged like any other babble.

    A compressed one, which was not asked for, counts as a proxy's page: a few kilobytes may unfold into gigabytes.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return b"<compressed>"
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= MAX_ANSWER:
            break
    return bytes(body[:MAX_ANSWER])


def _request_id(call: Call, response: httpx.Response) -> str:
    """What Agora's support asks for, if it is one, and nothing that the request held."""
    value = response.headers.get("x-request-id", "")
    echoes = any(secret.get_secret_value() in value for secret in call.confidential)
    return value if _REQUEST_ID.fullmatch(value) and not echoes else "-"


class _NotPermittedAfterAll(aiohttp.ClientConnectionError):
    """There is a connection now, and no permit any more."""


class _Connector(aiohttp.TCPConnector):
    """A pool that lets a connection go only with a permit: to wait for one, or to make one, takes seconds."""

    def __init__(self, permit: Permit, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(**options)
        self._permit = permit

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
    ) -> Connection:
        """Wait for a connection, or make one."""
        connection = await super().connect(req, traces, timeout)
        if not self._permit():
            connection.release()
            raise _NotPermittedAfterAll
        return connection


def _transport(permit: Permit) -> AiohttpTransport:
    """The pool of aiohttp under httpx, without a cookie jar of its own."""
    context = httpx.create_ssl_context()

    def session() -> aiohttp.ClientSession:
        connector = _Connector(
            permit,
            limit=_LIMITS.max_connections or 0,
            keepalive_timeout=_LIMITS.keepalive_expiry,
            ssl=context,
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=context, limits=_LIMITS, client=session)


def _unanswered(call: Call, failure: Exception, host: str) -> AgoraError:
    """Whether a call without an answer can have reached Agora.

    The transport reports a server that hung up as a ConnectTimeout, though the request had been sent; what aiohttp
    itself said, the cause, tells the two apart. Its message names the URL, which is never passed on.
    """
    cause = failure.__cause__ if isinstance(failure.__cause__, aiohttp.ClientError) else failure
    if isinstance(cause, _NotPermittedAfterAll):
        return NotPermitted(call.operation)
    unsent = isinstance(
        cause,
        httpx.ConnectError
        | httpx.ConnectTimeout
        | httpx.PoolTimeout
        | httpx.UnsupportedProtocol
        | httpx.InvalidURL
        | aiohttp.ClientConnectorError
        | aiohttp.ConnectionTimeoutError
        | aiohttp.InvalidURL,
    )
    if unsent:
        return NotSent(call.operation, text=f"{host}: {_in_words(cause)}")
    return Ambiguous(call.operation, text=type(cause).__name__)


def _in_words(cause: BaseException) -> str:
    """Why there was no connection, as somebody who has to mend it would say."""
    match cause:
        case aiohttp.ClientConnectorDNSError():
            return "there is no such host name"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientConnectorSSLError():
            return "the TLS handshake fails"
        case aiohttp.ClientConnectorError() if cause.errno:
            return os.strerror(cause.errno).lower()
        case _:
            return type(cause).__name__
