"""The gateway's FastAPI application: the paths, bodies and answers of the backend that its clients were written for."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.requests import ClientDisconnect

from agora_transcription import __version__, agora
from agora_transcription.gateway import bodies, openapi
from agora_transcription.gateway.answers import Refusal
from agora_transcription.gateway.captions import add_page
from agora_transcription.serving.callers import RateLimit, caller_of
from agora_transcription.serving.keys import FileProblem, key_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agora_transcription.gateway.files import Files
    from agora_transcription.gateway.metrics import GatewayMetrics
    from agora_transcription.gateway.service import Transcriptions
    from agora_transcription.settings import GatewaySettings

__all__ = ["create_app"]

READ_SECONDS: Final = 10.0
"""How long a body may take to come."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


def create_app(
    settings: GatewaySettings, files: Files, transcriptions: Transcriptions, metrics: GatewayMetrics
) -> FastAPI:
    """Build the application; it holds no state but who has called how often."""
    api = _Api(settings, files, transcriptions, metrics)
    app = FastAPI(title="Agora transcription gateway", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allow_origin,
        allow_methods=["POST", "OPTIONS"],
        allow_headers=["authorization", "content-type", "x-api-key"],
        expose_headers=["retry-after"],
    )
    endpoints = (
        ("/api/transcription/start.json", openapi.START, api.endpoint("start", bodies.read_channel, api.start)),
        ("/api/transcription/stop.json", openapi.STOP, api.endpoint("stop", bodies.read_task, api.stop)),
        ("/api/transcription/query.json", openapi.QUERY, api.endpoint("query", bodies.read_task, api.query)),
        ("/api/tokens.json", openapi.TOKEN, api.endpoint("token", bodies.read_token, api.token)),
        ("/api/token.json", openapi.TOKEN, api.endpoint("token", bodies.read_token, api.token)),
    )
    for path, described, endpoint in endpoints:
        name = path.removeprefix("/api/").removesuffix(".json").replace("/", "-")
        app.add_api_route(path, endpoint, methods=["POST"], name=name, operation_id=name, **described)
        app.add_api_route(path, _options, methods=["OPTIONS"], include_in_schema=False)
    add_page(app, settings, files)
    return app


async def _options() -> Response:
    """Answer an OPTIONS that no browser asks before a call from another origin: that one gets no further than CORS."""
    return Response(status_code=204, headers={"Allow": "POST, OPTIONS"})


class _Api:
    """The endpoints."""

    def __init__(
        self, settings: GatewaySettings, files: Files, transcriptions: Transcriptions, metrics: GatewayMetrics
    ) -> None:
        self._settings = settings
        self._files = files
        self._transcriptions = transcriptions
        self._metrics = metrics
        self._calls = RateLimit(settings.calls_per_minute)
        self._allowed = [_pattern(each) for each in settings.allow_channel]

    def endpoint(
        self, name: str, read: Callable[[bytes], T], act: Callable[[T], Awaitable[dict[str, Any]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Make an endpoint of what reads its body and what it does."""

        async def endpoint(request: Request) -> Response:
            began, response = time.monotonic(), Response(status_code=500)  # of whatever is not thought of below
            try:
                caller = self._admit(request)
                asked = read(await _body(request))
                response = JSONResponse(await act(asked))
                logger.info("%s for %s", name, caller)
            except Refusal as refusal:
                logger.info("%s: %s", name, refusal)
                response = _refused(refusal)
            except FileProblem as problem:
                logger.error("%s: %s", name, problem)  # noqa: TRY400 - the problem is all there is to say
                response = _refused(Refusal(503, "the gateway is not set up for this"))
            finally:
                self._metrics.observe(name, response.status_code, time.monotonic() - began)
            return response

        return endpoint

    async def start(self, asked: bodies.ChannelRequest) -> dict[str, Any]:
        """start.json."""
        self._permit(asked.channel)
        started = await self._transcriptions.start(asked.channel)
        return {"taskId": started.task_id, "builderToken": started.builder_token}

    async def stop(self, asked: bodies.TaskRequest) -> dict[str, Any]:
        """stop.json: Agora's own answer to a stop is an empty object."""
        await self._transcriptions.stop(asked)
        return {}

    async def query(self, asked: bodies.TaskRequest) -> dict[str, Any]:
        """query.json: in the words of Agora's V6."""
        state = await self._transcriptions.query(asked)
        return {"taskId": state.task_id, "createTs": state.created, "status": state.status}

    async def token(self, asked: bodies.TokenRequest) -> dict[str, Any]:
        """tokens.json."""
        self._permit(asked.channel)
        project = self._files.project()
        if project is None:
            raise Refusal(503, "the gateway gives out no tokens: it has no App Certificate")
        try:
            token = agora.mint_rtc_token(
                project,
                asked.channel,
                asked.uid,
                publishes=asked.publishes,
                version=agora.TokenVersion(self._settings.rtc_token_version),
                lifetime_seconds=asked.lifetime_seconds,
                now=datetime.now(UTC),
            )
        except agora.MalformedCredentialError as error:
            raise FileProblem(f"{self._settings.project_dir}: {error}") from None
        return {"token": token.get_secret_value() if token else ""}

    def _admit(self, request: Request) -> str:
        """Say who calls.

        Raises:
            Refusal: 401 without a key that counts, 429 for too many calls.
        """
        address = request.client.host if request.client else "somebody"
        caller: str | None = address
        key = key_of(request.headers)
        if not self._settings.anonymous:
            caller = caller_of(key, self._files.api_keys())
        wait = self._calls.wait(caller or address, time.monotonic())
        if wait:
            raise Refusal(429, "too many calls", retry_after=wait)
        if caller is None:
            problem = "the API key is not known" if key else "an API key is required"
            raise Refusal(401, f"{problem}: Authorization: Bearer KEY, or x-api-key: KEY")
        return caller

    def _permit(self, channel: str) -> None:
        if self._allowed and not any(pattern.fullmatch(channel) for pattern in self._allowed):
            raise Refusal(403, "channel is not allowed")


async def _body(request: Request) -> bytes:
    """Read a body that is neither too long nor too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bodies.MAX_BODY:
                    raise Refusal(413, f"the body is longer than {bodies.MAX_BODY} bytes")
    except TimeoutError:
        raise Refusal(408, f"the body has not come in {READ_SECONDS:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "the body has not come") from None  # which nobody reads, and the log says
    return bytes(body)


def _pattern(text: str) -> re.Pattern[str]:
    """A channel's name with * for any characters, which no name has in it."""
    return re.compile(".*".join(map(re.escape, text.split("*"))))


def _refused(refusal: Refusal) -> Response:
    headers = {}
    if refusal.status == 401:  # noqa: PLR2004 - Unauthorized
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.status in {408, 413}:
        headers["Connection"] = "close"  # what is left of the body is not waited for
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(refusal.retry_after))
    return PlainTextResponse(refusal.text, refusal.status, headers)
