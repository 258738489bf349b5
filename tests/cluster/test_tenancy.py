"""Tenants beside each other: whose credentials are used for what, and what one tenant's trouble does to another."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml
from pydantic import SecretStr

from agora_transcription import agora
from agora_transcription.local.cluster import KubectlError
from support.kube import ApiError, Body, Kube, condition, has_reason, is_settled
from support.world import CHANNEL_KEYS, STORAGE_KEYS, World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

pytestmark = pytest.mark.asyncio(loop_scope="module")

START, STOP = "join", "leave"

Account = dict[str, str]
"""A Secret's content."""


@dataclass
class Tenants:
    """Two namespaces, each with an account of its own at one Agora, and one operator for both."""

    world: World
    other: Kube
    secret: str
    mine: Account
    theirs: Account

    async def create(self, name: str, **fields: Any) -> Body:
        return await self.world.kube.create(name, self._spec(name, fields))

    async def create_theirs(self, name: str, **fields: Any) -> Body:
        return await self.other.create(name, self._spec(name, fields))

    def _spec(self, name: str, fields: Body) -> Body:
        reference = {"credentialsSecretRef": {"name": self.secret}}
        return {"channel": f"room-{name}", "languages": ["en-US"], **reference, **fields}

    async def accounts(self, *accounts: Account) -> None:
        """From now on Agora knows these, and no others."""
        await self.world.options(accounts=list(accounts))

    async def calls_of(self, account: Account, *, since: int = 0, code: int | None = None) -> list[Body]:
        return [
            call
            for call in (await self.world.calls())[since:]
            if call["appId"] == account["appId"] and code in {None, call["code"]}
        ]

    async def their_polls(self, number: int) -> None:
        """Wait until the other account's tasks have been looked at so often again."""
        since = len(await self.world.calls())

        async def seen() -> bool:
            return len(await self.calls_of(self.theirs, since=since, code=200)) >= number

        await self.world.eventually(seen, "the other account's polls")


def an_account() -> Account:
    """One that no test has had before: the operator remembers which credentials were refused."""
    return {
        "appId": secrets.token_hex(16),
        "appCertificate": secrets.token_hex(16),
        "customerId": f"customer-{secrets.token_hex(4)}",
        "customerSecret": secrets.token_hex(16),
    }


def renewed(account: Account) -> Account:
    return {**account, "customerSecret": secrets.token_hex(16)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def namespaces(
    control_plane: ControlPlane, operator_kubeconfig: Path, module_namespace: str, logs: Path
) -> AsyncIterator[tuple[World, Kube]]:
    elsewhere = f"{module_namespace}-other"
    control_plane.kubectl("create", "namespace", elsewhere)
    flag = f"--namespace={elsewhere}"
    async with (
        Kube(control_plane.kubeconfig, elsewhere) as other,
        a_world(control_plane.kubeconfig, operator_kubeconfig, module_namespace, logs, flag) as world,
    ):
        yield world, other
    control_plane.kubectl("delete", "namespace", elsewhere, "--wait=false")


@pytest_asyncio.fixture(loop_scope="module")
async def both(namespaces: tuple[World, Kube]) -> AsyncIterator[Tenants]:
    world, other = namespaces
    made = Tenants(world, other, f"account-{secrets.token_hex(4)}", an_account(), an_account())
    await made.accounts(made.mine, made.theirs)
    await world.kube.put_secret(made.secret, made.mine)
    await other.put_secret(made.secret, made.theirs)
    yield made
    log = await asyncio.to_thread(world.operator.log.read_text)
    for account in (made.mine, made.theirs):
        assert account["customerSecret"] not in log
        assert account["appCertificate"] not in log
    for kube in (world.kube, other):
        for body in await kube.all():
            await kube.delete(body["metadata"]["name"])
        for body in await kube.all():
            await kube.wait_gone(body["metadata"]["name"])
    assert await world.tasks(live="true") == []


async def running(kube: Kube, name: str) -> Body:
    return await kube.wait(name, lambda body: is_settled(body) and body["status"].get("phase") == "Running")


async def test_a_rotated_secret_is_used_without_a_restart_and_no_task_is_touched(both: Tenants) -> None:
    world = both.world
    await both.create("kept")
    before = await world.running("kept")
    process, since = world.operator.pid, len(await world.calls())

    rotated = renewed(both.mine)
    await world.kube.put_secret(both.secret, rotated)
    await both.accounts(rotated, both.theirs)
    await world.kube.patch("kept", {"languages": ["de-DE"]})
    await world.eventually(lambda: world.calls("update", "kept"), "the update")
    after = await world.running("kept")

    assert after["status"]["taskId"] == before["status"]["taskId"]
    assert [call["code"] for call in await world.calls("update", "kept")] == [200]
    assert len(await world.calls(f"{START}|{STOP}", "kept")) == 1
    # A look with the former secret may be refused; then the Secret is read before the next call.
    assert len(await both.calls_of(both.mine, since=since, code=401)) <= 1
    assert world.operator.pid == process


async def test_refused_credentials_stop_their_accounts_calls_and_no_other_accounts(both: Tenants) -> None:
    names = [f"refused-{number}" for number in range(6)]
    world = both.world
    for name in names:
        await both.create(name)
    await both.create_theirs("fine")
    # A wrong secret for the other tenant's project spoils nothing for that one either.
    await world.kube.put_secret("guessed", renewed(both.theirs))
    await both.create("guessing", credentialsSecretRef={"name": "guessed"})
    tasks = {name: (await world.running(name))["status"]["taskId"] for name in names}
    await running(both.other, "fine")
    await world.kube.wait("guessing", has_reason("CredentialsRefused"))

    rotated = renewed(both.mine)
    await both.accounts(rotated, both.theirs)
    for name in names:
        body = await world.kube.wait(name, has_reason("CredentialsRefused"))
        assert condition(body, "Stalled") is not None
        assert body["status"]["taskId"] == tasks[name]
    assert len(await both.calls_of(both.mine, code=401)) <= len(names), "those that were under way together"
    since = len(await world.calls())
    await both.other.patch("fine", {"languages": ["de-DE"]})
    await both.their_polls(5)
    await running(both.other, "fine")
    assert await both.calls_of(both.mine, since=since) == []
    assert await both.calls_of(both.theirs, since=since, code=401) == []

    await world.kube.put_secret(both.secret, rotated)
    for name in names:
        assert (await world.running(name, timeout=10))["status"]["taskId"] == tasks[name]
        assert len(await world.calls(f"{START}|{STOP}", name)) == 1


async def test_a_task_uses_the_secrets_of_its_own_namespace_only(both: Tenants) -> None:
    world, elsewhere = both.world, {"credentialsSecretRef": {"name": "shared-name"}}
    await both.other.put_secret("shared-name", both.theirs)
    await both.create("own", **elsewhere)
    body = await world.kube.wait("own", has_reason("SecretNotFound"))
    stalled = condition(body, "Stalled")
    assert stalled is not None
    assert f"Secret {world.kube.namespace}/shared-name does not exist" in stalled["message"]
    assert await world.calls(name="own") == []
    with pytest.raises(ApiError, match=r"credentialsSecretRef\.name"):
        await both.create("across", credentialsSecretRef={"name": f"{both.other.namespace}/shared-name"})

    await world.kube.put_secret("shared-name", both.mine)
    await world.running("own", timeout=10)
    await both.create_theirs("own", **elsewhere)
    await running(both.other, "own")
    assert {task["appId"] for task in await world.live("own")} == {both.mine["appId"], both.theirs["appId"]}
    assert {call["code"] for call in await world.calls(START, "own")} == {200}


async def test_the_roles_of_one_namespace_are_enough_for_an_operator_of_one_namespace(
    control_plane: ControlPlane,
    operator_kubeconfig: Path,  # noqa: ARG001 - and with it the ClusterRole
    namespace: str,
    logs: Path,
) -> None:
    """The way to an operator that can read no Secret elsewhere: the ClusterRole, bound in a namespace."""
    control_plane.kubectl("create", "serviceaccount", "narrow", f"--namespace={namespace}")
    role = "--clusterrole=agora-transcription-operator"
    control_plane.kubectl(
        "create", "rolebinding", "narrow", role, f"--serviceaccount={namespace}:narrow", f"--namespace={namespace}"
    )
    narrow = control_plane.service_account_kubeconfig(namespace, "narrow")
    async with a_world(control_plane.kubeconfig, narrow, namespace, logs) as world:
        await world.create("narrow")
        await world.running("narrow")
        await world.kube.delete("narrow")
        await world.kube.wait_gone("narrow")
    who = f"--as=system:serviceaccount:{namespace}:narrow"
    assert control_plane.kubectl("auth", "can-i", "get", "secrets", who, f"--namespace={namespace}").strip() == "yes"
    with pytest.raises(KubectlError):
        control_plane.kubectl("auth", "can-i", "get", "secrets", who, "--namespace=default")


async def test_nothing_is_sent_to_an_agora_that_no_trusted_authority_vouches_for(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server stands in for it: it speaks HTTPS under an authority of its own."""
    cluster = yaml.safe_load(control_plane.kubeconfig.read_text())["clusters"][0]["cluster"]
    account = agora.Account("f" * 32, "customer", SecretStr("secret"))
    async with agora.AgoraClient(cluster["server"]) as client:
        with pytest.raises(agora.NotSent, match="its certificate is not trusted"):
            await client.dialect(agora.Dialect.V7).query(account, agora.Handle("task"))
    authority = tmp_path / "ca.pem"
    authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    async with agora.AgoraClient(cluster["server"]) as client:
        with pytest.raises(agora.CredentialsRefused):
            await client.dialect(agora.Dialect.V7).query(account, agora.Handle("task"))


async def test_the_keys_of_storage_and_channel_are_told_to_agora_and_to_nobody_else(both: Tenants) -> None:
    """Not even when Agora repeats them in its answer, nor at the address where the spec wants the captions.

    The log is looked through when the tests have ended.
    """
    connections = 0

    async def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    world, keys = both.world, {**STORAGE_KEYS, **CHANNEL_KEYS}
    await world.kube.put_secret("storage", STORAGE_KEYS)
    await world.kube.put_secret("channel", CHANNEL_KEYS)
    echo = {"reason": "InvalidFieldValue", "detail": f"refused: {' '.join(keys.values())} {json.dumps(keys)}"}
    await world.faults({"operation": "join", "status": 400, "body": echo})
    async with await asyncio.start_server(count, "127.0.0.1", 0) as bucket:
        await both.create(
            "private",
            captions={
                "storage": {
                    "vendor": "S3Compatible",
                    "region": 0,
                    "bucket": "captions",
                    "endpoint": f"http://127.0.0.1:{bucket.sockets[0].getsockname()[1]}",
                    "credentialsSecretRef": {"name": "storage"},
                }
            },
            encryption={"mode": "AES_256_GCM2", "secretRef": {"name": "channel"}},
        )
        refused = await world.kube.wait("private", has_reason("RequestRefused"))
        ready = condition(refused, "Ready")
        assert ready is not None
        assert "refused: *** *** *** ***" in ready["message"]
        await world.kube.patch("private", {"languages": ["de-DE"]})
        body = await world.running("private")
        [task] = await world.live("private")
        assert task["settings"]["rtcConfig"]["cryptionMode"] == 8
        told = json.dumps([refused, body, await world.kube.events("private")])
        assert [key for key, value in {**keys, **both.mine, "RTC token": "007eJ"}.items() if value in told] == []
    assert connections == 0
