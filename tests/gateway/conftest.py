"""A world with an operator and a simulator for each module, and gateways with exactly the chart's rights."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest_asyncio
import yaml

from support.helm import template
from support.processes import Gateway
from support.world import CREDENTIALS, World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import pytest

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

ACCOUNT = "agora-transcription-gateway"

KEYS = ("an-api-key-of-the-tests", "another-api-key-of-the-tests")
SIGNING_KEY = "a-signing-key-of-the-tests-0123456789"


class Rooms(World):
    """A world, seen through a gateway."""

    kubeconfig: Path
    files: Path

    @asynccontextmanager
    async def gateway(self, name: str, *flags: str) -> AsyncIterator[Served]:
        """Run another gateway here, with the keys of the tests."""
        log = self.operator.log.with_name(f"{self.kube.namespace}-{name}-gateway.log")
        process = Gateway(log, self.kubeconfig, self.kube.namespace, *keys(self.files), *flags)
        try:
            await process.start_and_wait()
            headers = {"Authorization": f"Bearer {KEYS[0]}"}
            async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=60) as client:
                yield Served(process, client)
        finally:
            process.kill()
        written = log.read_text()
        assert not [
            secret for secret in (*KEYS, SIGNING_KEY, CREDENTIALS["appCertificate"], "v1.") if secret in written
        ]

    async def of_channel(self, channel: str) -> list[Body]:
        return [body for body in await self.kube.all() if body["spec"]["channel"] == channel]

    async def live_in(self, channel: str) -> list[Body]:
        return await self.tasks(channel=channel, live="true")

    async def joins(self, channel: str) -> list[Body]:
        return [call for call in await self.calls("join|start") if call["channel"] == channel]


class Served:
    """A gateway that runs, and a caller with a key."""

    def __init__(self, process: Gateway, client: httpx.AsyncClient) -> None:
        self.process = process
        self.client = client

    async def post(self, page: str, **fields: Any) -> httpx.Response:
        return await self.client.post(f"/api/{page}.json", json=fields)

    async def start(self, channel: str) -> Body:
        answer = await self.post("transcription/start", channel=channel)
        assert answer.status_code == 200, answer.text
        ids: Body = answer.json()
        assert sorted(ids) == ["builderToken", "taskId"]
        return ids


def keys(folder: Path) -> tuple[str, ...]:
    """The flags with files of the tests' keys, which it writes."""
    for name, value in (("appId", CREDENTIALS["appId"]), ("appCertificate", CREDENTIALS["appCertificate"])):
        (folder / name).write_text(value)
    (folder / "apiKeys").write_text("\n".join(KEYS) + "\n")
    (folder / "signingKeys").write_text(SIGNING_KEY)
    return (
        f"--api-keys-file={folder / 'apiKeys'}",
        f"--signing-key-file={folder / 'signingKeys'}",
        f"--project-dir={folder}",
    )


def rights(namespace: str) -> Iterator[Body]:
    values = ("operator.enabled=false", "crds.enabled=false", "gateway.enabled=true", "gateway.keysSecret=keys")
    for body in template(*(f"--set={value}" for value in values), namespace=namespace):
        if body["kind"] in {"ServiceAccount", "Role", "RoleBinding"}:
            yield body


@asynccontextmanager
async def rooms(
    plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, files: Path, *flags: str
) -> AsyncIterator[Rooms]:
    plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(rights(namespace)))
    kubeconfig = plane.service_account_kubeconfig(namespace, ACCOUNT)
    async with a_world(plane.kubeconfig, operator_kubeconfig, namespace, logs, *flags) as world:
        made = Rooms(world.kube, world.simulator, world.operator, world.agora)
        made.kubeconfig, made.files = kubeconfig, files
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    control_plane: ControlPlane,
    operator_kubeconfig: Path,
    module_namespace: str,
    logs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Rooms]:
    files = tmp_path_factory.mktemp("files")
    async with rooms(control_plane, operator_kubeconfig, module_namespace, logs, files) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(world: Rooms) -> AsyncIterator[Served]:
    async with world.gateway("usual") as served:
        yield served
