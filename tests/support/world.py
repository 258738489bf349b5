"""A namespace on the real API server, an Agora of its own, and an operator between them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from support.kube import API, MERGE, Body, Kube, is_settled
from support.processes import Operator, Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CREDENTIALS = {
    "appId": "0123456789abcdef0123456789abcdef",
    "appCertificate": "fedcba9876543210fedcba9876543210",
    "customerId": "demo-customer",
    "customerSecret": "demo-secret",
}
"""The simulator's account."""

STORAGE_KEYS = {"accessKey": "AKIA-of-the-tests", "secretKey": "storage-secret-of-the-tests"}
CHANNEL_KEYS = {"secret": "channel-secret-of-the-tests", "salt": "c2FsdC1vZi10aGUtdGVzdHMtMzItYnl0ZXMtbG9uZyE="}
"""The Secrets of a task that stores captions of an encrypted channel."""


NOTIFICATION_SECRET = "notification-secret-of-the-console"
"""What Agora signs its notifications with, where a test wants some."""


class World:
    """What a life-cycle test needs."""

    def __init__(self, kube: Kube, simulator: Simulator, operator: Operator, agora: httpx.AsyncClient) -> None:
        self.kube = kube
        self.simulator = simulator
        self.operator = operator
        self.agora = agora

    async def create(self, name: str, **spec: Any) -> Body:
        return await self.kube.create(name, {"channel": f"room-{name}", "languages": ["en-US"], **spec})

    async def running(self, name: str, timeout: float = 30) -> Body:
        """Wait until the task runs as its spec says."""
        return await self.kube.wait(
            name, lambda body: is_settled(body) and body["status"].get("phase") == "Running", timeout
        )

    async def tasks(self, **query: Any) -> list[Body]:
        found: list[Body] = (await self.agora.get("/simulator/tasks", params=query)).raise_for_status().json()
        return found

    async def live(self, name: str) -> list[Body]:
        return await self.tasks(channel=f"room-{name}", live="true")

    async def calls(self, operation: str | None = None, name: str | None = None) -> list[Body]:
        found: list[Body] = (await self.agora.get("/simulator/calls")).raise_for_status().json()
        return [
            call
            for call in found
            if (operation is None or call["operation"] in operation.split("|"))
            and (name is None or call["channel"] == f"room-{name}")
        ]

    async def doubles(self) -> list[Body]:
        found: list[Body] = (await self.agora.get("/simulator/doubles")).raise_for_status().json()
        return found

    async def faults(self, *faults: Body) -> None:
        (await self.agora.post("/simulator/faults", json=list(faults))).raise_for_status()

    async def options(self, **options: Any) -> None:
        (await self.agora.put("/simulator/options", json=options)).raise_for_status()

    async def end(self, task_id: str, status: str, message: str) -> None:
        body = {"status": status, "message": message}
        (await self.agora.post(f"/simulator/tasks/{task_id}/end", json=body)).raise_for_status()

    async def expires_in(self, name: str, ahead: timedelta) -> None:
        """Let the object's task expire so soon, as far as its status says."""
        expiry = (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        path = f"{API}/namespaces/{self.kube.namespace}/transcriptiontasks/{name}/status"
        await self.kube.request("PATCH", path, {"status": {"expiryTime": expiry}}, headers=MERGE)

    async def eventually(self, check: Callable[[], Any], what: str, timeout: float = 30) -> Any:
        """Wait until an async check answers something true."""
        seen: Any = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    seen = await check()
                    if seen:
                        return seen
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{what}: not seen in {timeout} s, last {seen}") from None

    async def steady(self, names: list[str]) -> None:
        """Wait until all objects are as they should be, and nothing is under way."""
        for name in names:
            await self.kube.wait(name, is_settled, 60)


@asynccontextmanager
async def a_world(
    kubeconfig: Path, operator_kubeconfig: Path, namespace: str, logs: Path, *flags: str
) -> AsyncIterator[World]:
    """Make a world, and end it with the check that no object ever had two tasks."""
    simulator = Simulator(logs / f"{namespace}-simulator.log")
    operator = Operator(
        logs / f"{namespace}-operator.log", operator_kubeconfig, namespace, simulator.url, "--poll-interval=1", *flags
    )
    try:
        await simulator.start_and_wait()
        async with Kube(kubeconfig, namespace) as kube, httpx.AsyncClient(base_url=simulator.url) as agora:
            await kube.put_secret("agora-credentials", CREDENTIALS)
            await operator.start_and_wait()
            world = World(kube, simulator, operator, agora)
            yield world
            assert await world.doubles() == []
            if operator.running:
                assert operator.stop() == 0
    finally:
        operator.kill()
        simulator.kill()
