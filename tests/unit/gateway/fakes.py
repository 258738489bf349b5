"""An API server and an operator for the gateway, in memory."""

from __future__ import annotations

import asyncio
import copy
import itertools
from typing import TYPE_CHECKING, Any

from agora_transcription.kube.replies import NotFound, Outdated, StoreError
from agora_transcription.settings import GatewaySettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from agora_transcription.api import TranscriptionTask
    from support.kube import Body

API_KEY = "an-api-key-of-the-tests"
SIGNING_KEY = "a-signing-key-of-the-tests-0123456789"
APP_ID = "0123456789abcdef0123456789abcdef"
CERTIFICATE = "fedcba9876543210fedcba9876543210"

RUNNING = {"observedGeneration": 1, "taskId": "agora-1"}
STALLED = {
    "observedGeneration": 1,
    "conditions": [
        {"type": kind, "status": status, "reason": "CredentialsRefused", "message": "m", "lastTransitionTime": "t"}
        for kind, status in (("Ready", "False"), ("Stalled", "True"))
    ],
}


def settings_of(folder: Path, **settings: Any) -> GatewaySettings:
    """Settings with files of keys, which it writes; those that are given go before."""
    (folder / "apiKeys").write_text(f"another-api-key-of-the-tests\n{API_KEY}\n")
    (folder / "signingKeys").write_text(f"{SIGNING_KEY}\n")
    (folder / "appId").write_text(APP_ID)
    (folder / "appCertificate").write_text(f"{CERTIFICATE}\n")
    usual = {
        "namespace": "rooms",
        "api_keys_file": folder / "apiKeys",
        "signing_key_file": folder / "signingKeys",
        "project_dir": folder,
        "start_timeout": 1,
        "stop_timeout": 1,
    }
    return GatewaySettings(**{**usual, **settings})


class FakeStore:
    """Objects with uid and resourceVersion; what happens to one before each read of it is a test's to say."""

    def __init__(self, status: Body | None = None) -> None:
        self.objects: dict[str, Body] = {}
        self.calls: list[str] = []
        self.status = status
        """What the operator writes into each object as it is created."""
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        """What else happens just before a call: get, create or delete."""
        self.finalizers = False
        """Whether a deleted object stays until somebody takes it away."""
        self._numbers = itertools.count(1)

    async def get(self, name: str) -> Body:
        await self._called("get")
        if name not in self.objects:
            raise NotFound("get", 404, "there is none")
        return copy.deepcopy(self.objects[name])

    async def create(self, body: Body) -> Body:
        await self._called("create")
        name = body["metadata"]["name"]
        if name in self.objects:
            raise Outdated("create", 409, "there is one")
        self.put(body, self.status)
        return copy.deepcopy(self.objects[name])

    async def delete(self, task: TranscriptionTask, *, unchanged: bool) -> None:
        await self._called("delete")
        found = self.objects.get(task.metadata.name)
        if found is None:
            raise NotFound("delete", 404, "there is none")
        metadata = found["metadata"]
        if metadata["uid"] != task.metadata.uid:
            raise Outdated("delete", 409, "it is another one")
        if unchanged and metadata["resourceVersion"] != task.metadata.resource_version:
            raise Outdated("delete", 409, "it has changed")
        if self.finalizers:
            metadata["deletionTimestamp"] = "2026-11-21T08:00:01Z"
            self._version(found)
        else:
            del self.objects[task.metadata.name]

    def put(self, body: Body, status: Body | None = None, **metadata: Any) -> None:
        """Have an object there."""
        made = copy.deepcopy(body)
        made["metadata"] |= {
            "namespace": "rooms",
            "uid": f"uid-{next(self._numbers)}",
            "generation": 1,
            "creationTimestamp": "2026-11-21T08:00:00Z",
        } | metadata
        made["status"] = copy.deepcopy(status) if status else {"observedGeneration": -1}
        self._version(made)
        self.objects[made["metadata"]["name"]] = made

    def write(self, name: str, status: Body) -> None:
        """Act as the operator."""
        self.objects[name]["status"] = copy.deepcopy(status)
        self._version(self.objects[name])

    async def _called(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        if call in self.before:
            await self.before.pop(call)()

    def _version(self, body: Body) -> None:
        body["metadata"]["resourceVersion"] = str(next(self._numbers))


def failing(error: StoreError) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail
