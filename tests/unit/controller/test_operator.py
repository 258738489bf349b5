"""How the parts are put together and taken down: what shares connections, what ends before the Lease is released."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription import agora
from agora_transcription.controller import operator as module
from agora_transcription.controller.queue import WorkQueue
from agora_transcription.settings import OperatorSettings
from agora_transcription.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.controller.operator import _Operator

SETTINGS = OperatorSettings(leader_elect=True, lease_namespace="system", metrics_address="", health_address="")


class Connection:
    """A client of the API server that is never asked."""

    async def close(self) -> None:
        """Nothing was opened."""


class Life:
    """The life of a process that acts from the start; told of its end."""

    acting = True

    def __init__(self, story: list[str]) -> None:
        self.stopping = asyncio.Event()
        self._story = story

    def listen(self) -> None:
        """No signal comes."""

    async def begin(self, _: asyncio.TaskGroup) -> bool:
        return True

    async def end(self) -> None:
        self._story.append("Lease released")


@pytest.fixture
async def operator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Operator]:
    """One whose watch tells nothing."""

    async def watch(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(module._Operator, "_watch", watch)
    connection: Any = Connection()
    async with agora.AgoraClient("http://agora.test") as client:
        yield module._Operator(SETTINGS, connection, client, Metrics())


async def test_renewals_of_the_lease_share_no_connections_with_the_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind thousands of writes in one pool no renewal is in time."""
    locks: list[Connection] = []
    stores: list[Connection] = []

    async def connect(_: str | None) -> Connection:
        return Connection()

    class Lock:
        def __init__(self, api: Connection, namespace: str, name: str) -> None:
            assert (namespace, name) == ("system", "agora-transcription-operator")
            locks.append(api)

    class Store:
        def __init__(self, api: Connection, _: object) -> None:
            stores.append(api)

    async def run(*_: object) -> None:
        """It has been put together."""

    monkeypatch.setattr(module, "connect", connect)
    monkeypatch.setattr(module, "Lock", Lock)
    monkeypatch.setattr(module, "Election", lambda _: None)
    monkeypatch.setattr(module, "KubernetesStore", Store)
    monkeypatch.setattr(module._Operator, "run", run)
    await module.run(SETTINGS)
    [lock], [store] = locks, stores
    assert lock is not store


async def test_when_a_part_fails_the_lease_is_released_after_the_last_call(
    operator: _Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica acts at once: what this one has out until then would come beside it."""
    story: list[str] = []
    at_work = asyncio.Event()

    async def call(_: str) -> None:
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            story.append("call ended")

    async def fail() -> None:
        operator.queue.add("uid")
        await at_work.wait()
        raise KeyError("items")

    async def listen() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            story.append("sweep ended")

    operator.queue = WorkQueue(call)
    monkeypatch.setattr(operator.resync, "run", fail)
    monkeypatch.setattr(operator.fleet, "run", listen)
    life: Any = Life(story)
    with pytest.raises(ExceptionGroup) as failure:
        await operator.run(life)
    assert failure.group_contains(KeyError)
    assert sorted(story[:-1]) == ["call ended", "sweep ended"]
    assert story[-1] == "Lease released"
