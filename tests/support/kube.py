"""A small client of the API server for tests: raw JSON, and waiting for conditions."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import TracebackType

API = "apis/transcription.dev/v1alpha1"
MERGE = {"Content-Type": "application/merge-patch+json"}

Body = dict[str, Any]


class ApiError(Exception):
    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"{code} {message}")


class Kube:
    """The API server as whoever a kubeconfig says, in one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = cluster["server"]
        self.namespace = namespace
        self._tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
                pem.write(base64.b64decode(user["client-certificate-data"]))
                pem.write(b"\n" + base64.b64decode(user["client-key-data"]))
                pem.flush()
                self._tls.load_cert_chain(pem.name)
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=20)
        self._session = aiohttp.ClientSession(headers=self._headers, connector=connector, read_bufsize=2**22)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(self, method: str, path: str, body: Body | None = None, **arguments: Any) -> Body:
        assert self._session is not None
        async with self._session.request(method, f"{self.server}/{path}", json=body, **arguments) as response:
            text = await response.text()
            if response.status >= 300:
                raise ApiError(response.status, text)
            answer: Body = json.loads(text)
            return answer

    async def create(self, name: str, spec: Body, **metadata: Any) -> Body:
        body = {
            "apiVersion": "transcription.dev/v1alpha1",
            "kind": "TranscriptionTask",
            "metadata": {"name": name, **metadata},
            "spec": spec,
        }
        return await self.request("POST", self._tasks(), body)

    async def patch(self, name: str, spec: Body) -> Body:
        return await self.request("PATCH", self._tasks(name), {"spec": spec}, headers=MERGE)

    async def patch_metadata(self, name: str, metadata: Body) -> Body:
        return await self.request("PATCH", self._tasks(name), {"metadata": metadata}, headers=MERGE)

    async def delete(self, name: str) -> None:
        await self.request("DELETE", self._tasks(name))

    async def get(self, name: str) -> Body | None:
        try:
            return await self.request("GET", self._tasks(name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def all(self) -> list[Body]:
        items: list[Body] = (await self.request("GET", self._tasks()))["items"]
        return items

    async def forget_others(self) -> None:
        """Take away what earlier tests have left in other namespaces: a finalizer holds it, and no operator is left."""
        for body in (await self.request("GET", f"{API}/transcriptiontasks"))["items"]:
            metadata = body["metadata"]
            if metadata["namespace"] != self.namespace:
                path = f"{API}/namespaces/{metadata['namespace']}/transcriptiontasks/{metadata['name']}"
                try:
                    await self.request("PATCH", path, {"metadata": {"finalizers": None}}, headers=MERGE)
                    await self.request("DELETE", path)
                except ApiError as error:
                    if error.code != 404:  # it goes with its finalizer where it was being deleted
                        raise

    async def put_secret(self, name: str, data: dict[str, str]) -> None:
        body: Body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        try:
            await self.request("POST", f"api/v1/namespaces/{self.namespace}/secrets", body)
        except ApiError as error:
            if error.code != 409:
                raise
            await self.request("PUT", f"api/v1/namespaces/{self.namespace}/secrets/{name}", body)

    async def delete_secret(self, name: str) -> None:
        await self.request("DELETE", f"api/v1/namespaces/{self.namespace}/secrets/{name}")

    async def events(self, name: str) -> list[Body]:
        found = await self.request("GET", f"api/v1/namespaces/{self.namespace}/events")
        return [event for event in found["items"] if event["involvedObject"]["name"] == name]

    async def wait(self, name: str, until: Callable[[Body], bool], timeout: float = 30) -> Body:
        """Wait until the object is as wanted; fails with its status if it does not become so."""
        body: Body | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    body = await self.get(name)
                    if body is not None and until(body):
                        return body
                    await asyncio.sleep(0.05)
        except TimeoutError:
            state = body and {key: body.get(key) for key in ("metadata", "spec", "status")}
            raise AssertionError(f"{name} did not become as wanted:\n{yaml.safe_dump(state)}") from None

    async def wait_gone(self, name: str, timeout: float = 30) -> None:
        try:
            async with asyncio.timeout(timeout):
                while await self.get(name) is not None:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{name} is not gone:\n{yaml.safe_dump(await self.get(name))}") from None

    async def version(self) -> str:
        """Where a watch begins that misses nothing from now on."""
        listed = await self.request("GET", f"{self._tasks()}?limit=1")
        return str(listed["metadata"]["resourceVersion"])

    async def watch(self, version: str, seen: list[Body]) -> None:
        """Collect watch events into `seen` until cancelled."""
        async for event in self.watching(version):
            seen.append(event)  # noqa: PERF401 - who waits looks at it while it grows

    async def watching(self, version: str) -> AsyncIterator[Body]:
        """The watch's events as they come."""
        assert self._session is not None
        parameters = {"watch": "1", "resourceVersion": version}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(f"{self.server}/{self._tasks()}", params=parameters, timeout=timeout) as response:
            async for line in response.content:
                yield json.loads(line)

    def _tasks(self, name: str = "") -> str:
        path = f"{API}/namespaces/{self.namespace}/transcriptiontasks"
        return f"{path}/{name}" if name else path


def condition(body: Body, kind: str) -> Body | None:
    found = body.get("status", {}).get("conditions", [])
    return next((entry for entry in found if entry["type"] == kind), None)


def is_settled(body: Body) -> bool:
    """What `kubectl wait --for=condition=Ready` waits for: True, and for this generation."""
    ready = condition(body, "Ready")
    return ready is not None and ready["status"] == "True" and observed(body)


def observed(body: Body) -> bool:
    return bool(body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"])


def has_reason(reason: str) -> Callable[[Body], bool]:
    def check(body: Body) -> bool:
        ready = condition(body, "Ready")
        return ready is not None and ready["reason"] == reason and observed(body)

    return check
