"""A simulator in this process, on a clock that the test moves, and a client that speaks both dialects to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agora_transcription.simulator import DEMO_ACCOUNT, Account, SimulatorOptions, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from fastapi import FastAPI

APP_ID = "1" * 32
"""A project without certificate: most rules have nothing to do with tokens."""

DEMO_APP_ID = "0123456789abcdef0123456789abcdef"
DEMO_CERTIFICATE = "fedcba9876543210fedcba9876543210"


class Wall:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time

    def pass_(self, seconds: float) -> None:
        self.time += seconds


def packed(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<H", len(raw)) + raw


@dataclass(frozen=True)
class Mint:
    """Writes 007 tokens by the layout, right or wrong in whichever field a test wants."""

    issued: float
    app_id: str = DEMO_APP_ID
    certificate: str = DEMO_CERTIFICATE
    channel: str = "standup"
    uid: str = "1001"
    lifetime: int = 3600
    privileges: tuple[tuple[int, int], ...] = ((1, 0), (2, 0))
    service: int = 1
    salt: int = 12345
    appended: bytes = b""

    def info(self) -> bytes:
        grants = b"".join(struct.pack("<HI", *grant) for grant in self.privileges)
        return (
            packed(self.app_id)
            + struct.pack("<IIIHHH", int(self.issued), self.lifetime, self.salt, 1, self.service, len(self.privileges))
            + grants
            + packed(self.channel)
            + packed(self.uid)
            + self.appended
        )

    def signature(self) -> bytes:
        key = hmac.digest(struct.pack("<I", int(self.issued)), self.certificate.encode(), hashlib.sha256)
        key = hmac.digest(struct.pack("<I", self.salt), key, hashlib.sha256)
        return hmac.digest(key, self.info(), hashlib.sha256)

    def token(self) -> str:
        return "007" + base64.b64encode(zlib.compress(packed(self.signature()) + self.info())).decode()


class Client:
    """Calls the simulator as the bare project's customer, or as whoever `auth` says."""

    def __init__(self, http: httpx.AsyncClient, wall: Wall) -> None:
        self.http = http
        self.wall = wall

    async def v7(
        self,
        method: str,
        path: str,
        *,
        app_id: str = APP_ID,
        auth: tuple[str, str] | None = ("bare", "bare-secret"),
        **rest: Any,
    ) -> httpx.Response:
        return await self.http.request(method, f"/api/speech-to-text/v1/projects/{app_id}{path}", auth=auth, **rest)

    async def v6(
        self,
        method: str,
        path: str,
        *,
        app_id: str = APP_ID,
        auth: tuple[str, str] | None = ("bare", "bare-secret"),
        **rest: Any,
    ) -> httpx.Response:
        return await self.http.request(method, f"/v1/projects/{app_id}/rtsc/speech-to-text{path}", auth=auth, **rest)

    async def join(self, name: str = "tt-a-1", **changes: Any) -> httpx.Response:
        return await self.v7("POST", "/join", json=join_body(name=name, **changes))

    async def joined(self, name: str = "tt-a-1", **changes: Any) -> str:
        """Start a v7 task that has to start; returns its agent_id."""
        answer = await self.join(name, **changes)
        assert answer.status_code == 200, answer.text
        agent_id: str = answer.json()["agent_id"]
        return agent_id

    async def acquired(self, instance_id: str = "tt-a-1", **rest: Any) -> str:
        answer = await self.v6("POST", "/builderTokens", json={"instanceId": instance_id}, **rest)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["tokenName"]
        return token

    async def start(self, token: str, **changes: Any) -> httpx.Response:
        return await self.v6("POST", f"/tasks?builderToken={token}", json=start_body(**changes))

    async def started(self, instance_id: str = "tt-a-1", **changes: Any) -> tuple[str, str]:
        """Start a v6 task that has to start; returns its taskId and builderToken."""
        token = await self.acquired(instance_id)
        answer = await self.start(token, **changes)
        assert answer.status_code == 200, answer.text
        return answer.json()["taskId"], token

    async def update(self, agent_id: str, sequence_id: int, mask: str, body: object) -> httpx.Response:
        query = f"sequenceId={sequence_id}&updateMask={mask}"
        return await self.v7("POST", f"/agents/{agent_id}/update?{query}", json=body)

    async def v6_update(self, task: tuple[str, str], sequence_id: int, mask: str, body: object) -> httpx.Response:
        query = f"builderToken={task[1]}&sequenceId={sequence_id}&updateMask={mask}"
        return await self.v6("PATCH", f"/tasks/{task[0]}?{query}", json=body)

    async def status(self, agent_id: str) -> str:
        """What a query says, or the code that it is refused with."""
        answer = await self.v7("GET", f"/agents/{agent_id}")
        return str(answer.json()["status"]) if answer.status_code == 200 else str(answer.status_code)

    async def v6_status(self, task: tuple[str, str]) -> str:
        answer = await self.v6("GET", f"/tasks/{task[0]}?builderToken={task[1]}")
        return str(answer.json()["status"]) if answer.status_code == 200 else str(answer.status_code)

    async def listed(self, query: str = "") -> list[str]:
        answer = await self.v7("GET", f"/agents{query}")
        assert answer.status_code == 200, answer.text
        return [row["agent_id"] for row in answer.json()["data"]["list"]]

    async def options(self, **changed: Any) -> None:
        answer = await self.http.put("/simulator/options", json=changed)
        assert answer.status_code == 200, answer.text

    async def faults(self, *faults: Mapping[str, Any]) -> None:
        answer = await self.http.post("/simulator/faults", json=faults)
        assert answer.status_code == 200, answer.text

    async def tasks(self, **query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.http.get("/simulator/tasks", params=query)).json()
        return rows

    async def calls(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.http.get("/simulator/calls")).json()
        return rows


def merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A body with changes: dotted names go deeper, `...` takes a field out."""
    body = {name: dict(value) if isinstance(value, dict) else value for name, value in base.items()}
    for path, value in changes.items():
        outer, _, inner = path.replace("__", ".").partition(".")
        place, name = (body.setdefault(outer, {}), inner) if inner else (body, outer)
        if value is ...:
            place.pop(name)
        else:
            place[name] = value
    return body


def join_body(**changes: Any) -> dict[str, Any]:
    base = {"name": "tt-a-1", "languages": ["en-US"], "rtcConfig": {"channelName": "standup", "pubBotUid": "1001"}}
    return merged(base, changes)


def start_body(**changes: Any) -> dict[str, Any]:
    rtc = {"channelName": "standup", "pubBotUid": "1001", "subBotUid": "1002"}
    return merged({"languages": ["en-US"], "rtcConfig": rtc}, changes)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def app(wall: Wall) -> FastAPI:
    accounts = (
        Account(app_id=APP_ID, customer_id="bare", customer_secret="bare-secret"),
        Account(app_id="2" * 32, customer_id="bare", customer_secret="bare-secret", stt_enabled=False),
        DEMO_ACCOUNT,
    )
    return create_app(SimulatorOptions(accounts=accounts), wall=wall)


@pytest.fixture
async def client(app: FastAPI, wall: Wall) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agora.test") as http:
        yield Client(http, wall)


@pytest.fixture
def mint(wall: Wall) -> Mint:
    """A good token of the demo's project; change it with `dataclasses.replace`."""
    return Mint(issued=wall.time)
