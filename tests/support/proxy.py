"""A proxy before the API server that the tests own: it holds, drops, answers and delays what an operator asks for.

The operator speaks plain HTTP to it, with its own token, so every request can be read; it speaks TLS to the API server
and changes nothing else. What it does to a request is said from outside while the operator runs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import aiohttp
import yaml
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from support.kube import Body

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}

GONE = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "reason": "Expired",
    "code": 410,
    "message": "too old resource version: 1 (2)",
}

Action = Literal["hold before", "hold after", "drop before", "drop after", "answer"]


@dataclass(frozen=True)
class Asked:
    """A request to the API server.

    Attributes:
        name: The TranscriptionTask's; empty for a list, a watch or anything else.
        raw: The body as it came.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Body
    name: str
    raw: bytes

    @property
    def watches(self) -> bool:
        return self.query.get("watch") in {"true", "1", "True"}


@dataclass
class Rule:
    """What happens to the requests that `match` picks, `times` times (0: always).

    Attributes:
        mutes: From the first of them on, the watch tells no more of the object.
        reached: Set when a request is held, or has been dropped or answered.
        released: Lets go of what is held.
    """

    match: Callable[[Asked], bool]
    action: Action
    times: int = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    mutes: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


class ApiProxy:
    """One proxy for one operator, or for several.

    Attributes:
        down: No request is answered, every connection is closed.
        error_rate: The share of requests that are answered with 429, 500 or no answer at all, evenly: 0.33 is each
            third one, so that nobody is unlucky for ever.
        requests: How many requests there were, but for watches.
    """

    def __init__(self, operator_kubeconfig: Path, seed: int = 0) -> None:
        self._config = yaml.safe_load(operator_kubeconfig.read_text())
        cluster = self._config["clusters"][0]["cluster"]
        self._server = cluster["server"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._rules: list[Rule] = []
        self._muted: dict[str, list[tuple[web.StreamResponse, bytes]]] = {}
        self._watches: set[web.StreamResponse] = set()
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self.down = False
        self.error_rate = 0.0
        self._due = 0.0
        self.requests = 0

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        await self._runner.cleanup()
        await self._session.close()

    def kubeconfig(self, path: Path) -> Path:
        """Write the operator's kubeconfig, with this proxy in the API server's place."""
        config = json.loads(json.dumps(self._config))
        config["clusters"][0]["cluster"] = {"server": self.url}
        path.write_text(yaml.safe_dump(config))
        return path

    def add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def release(self) -> None:
        """Forget all rules, let go of everything that is held, and tell what was kept back."""
        rules, self._rules = self._rules, []
        for rule in rules:
            rule.released.set()
        for name in list(self._muted):
            self._muted.pop(name)

    def mute(self, name: str) -> None:
        """Keep back what the watch tells of an object."""
        self._muted.setdefault(name, [])

    async def unmute(self, name: str) -> None:
        """Tell it, late."""
        for stream, line in self._muted.pop(name, []):
            with suppress(ConnectionError):
                await stream.write(line)

    @property
    def watched(self) -> bool:
        """Whether a watch has begun: what comes into being before stands in the list, which nobody mutes."""
        return bool(self._watches)

    def cut_watches(self) -> None:
        """Close every watch in the middle of what it says."""
        for stream in list(self._watches):
            _abort(stream)

    async def expire_watches(self) -> None:
        """Tell every watch that its resourceVersion is too old: 410 Gone, which asks for a new list."""
        for stream in list(self._watches):
            with suppress(ConnectionError):
                await stream.write(json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n")
            _abort(stream)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = await _read(request)
        self.requests += not asked.watches
        if self.down:
            return _closed(request)
        rule = self._rule_for(asked)
        if rule is None:
            return await self._forward(request, asked) if not self._unlucky(asked) else self._misfortune(request)
        return await self._play(rule, request, asked)

    async def _play(self, rule: Rule, request: web.Request, asked: Asked) -> web.StreamResponse:
        if rule.mutes:
            self.mute(asked.name)
        match rule.action:
            case "answer":
                rule.reached.set()
                return _failure(rule.status, rule.headers)
            case "drop before":
                rule.reached.set()
                return _closed(request)
            case "hold before":
                rule.reached.set()
                await rule.released.wait()
                return await self._forward(request, asked) if _is_there(request) else _closed(request)
            case "hold after" | "drop after":
                answer = await self._exchange(request, asked)
                rule.reached.set()
                if rule.action == "drop after":
                    return _closed(request)
                await rule.released.wait()
                return answer

    def _rule_for(self, asked: Asked) -> Rule | None:
        for rule in self._rules:
            if rule.match(asked):
                if rule.times == 1:
                    # It stays known to `release`, which lets go of what it holds.
                    rule.match = lambda _: False
                rule.times = max(rule.times - 1, 0)
                return rule
        return None

    def _unlucky(self, asked: Asked) -> bool:
        if asked.watches:
            return False
        self._due += self.error_rate
        unlucky = self._due >= 1
        self._due -= unlucky
        return unlucky

    def _misfortune(self, request: web.Request) -> web.StreamResponse:
        status = self._chance.choice([429, 500, 503, 0])
        return _failure(status, {"Retry-After": "1"} if status == 429 else {}) if status else _closed(request)

    async def _forward(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        return await (self._stream(request, asked) if asked.watches else self._exchange(request, asked))

    async def _exchange(self, request: web.Request, asked: Asked) -> web.Response:
        async with self._ask(request, asked) as answer:
            return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=await answer.read())

    async def _stream(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """Hand on a watch, line by line, less what is muted."""
        async with self._ask(request, asked) as answer:
            stream = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
            await stream.prepare(request)
            self._watches.add(stream)
            try:
                async for line in _lines(answer):
                    if self.down or not _is_there(request):
                        return _closed(request)
                    muted = self._muted.get(_subject(line))
                    if muted is None:
                        await stream.write(line)
                    else:
                        muted.append((stream, line))
            except (ConnectionError, aiohttp.ClientError):
                return _closed(request)
            finally:
                self._watches.discard(stream)
            return stream

    def _ask(self, request: web.Request, asked: Asked) -> Any:
        return self._session.request(
            asked.method,
            f"{self._server}{request.rel_url}",
            headers=_end_to_end(request.headers),
            data=asked.raw or None,
        )


async def _read(request: web.Request) -> Asked:
    raw = await request.read()
    body: Any = {}
    with suppress(ValueError):
        body = json.loads(raw) if raw else {}
    _, _, rest = request.path.partition("/transcriptiontasks")
    name = rest.split("/")[1] if rest.startswith("/") else ""
    return Asked(request.method, request.path, dict(request.query), body if isinstance(body, dict) else {}, name, raw)


async def _lines(answer: aiohttp.ClientResponse) -> Any:
    rest = b""
    async for chunk in answer.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _subject(line: bytes) -> str:
    """The name of the object that a watch event is about."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(line)["object"]["metadata"]["name"])
    return ""


def _end_to_end(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def _is_there(request: web.Request) -> bool:
    """Whether the one who asked still listens: what a killed operator has not sent is not sent for it later."""
    return request.transport is not None and not request.transport.is_closing()


def _closed(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
    return web.Response(status=503)


def _abort(stream: web.StreamResponse) -> None:
    request = stream._req
    if isinstance(request, web.BaseRequest) and isinstance(request.transport, asyncio.Transport):
        request.transport.abort()


def _failure(status: int, headers: dict[str, str]) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "made up by the test"}
    return web.json_response(body, status=status, headers=headers)
