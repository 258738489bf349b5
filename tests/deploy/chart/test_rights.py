"""The chart's roles hold no verb too many: without any single one the operator fails to do something that counts.

Each case renders the roles, takes one verb away, runs the operator as that ServiceAccount on the real API server, and
leads it to where it needs the verb: the API server refuses, and something has not been done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
import yaml

from support.helm import template
from support.kube import Body, Kube
from support.metrics import read_metrics
from support.processes import Operator, Simulator
from support.world import CREDENTIALS, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACCOUNT = "agora-transcription-operator"
LEASES = "apis/coordination.k8s.io/v1"


class Life(World):
    """What an operator goes through, and what it then has not done."""

    async def started(self) -> None:
        """It is asked to act, and there is something to do."""
        self.operator.start()
        await self.create("kept")

    async def lasted(self) -> None:
        """A task has come to its end, and its time is over."""
        await self.started()
        await self.create("short", activeDeadlineSeconds=1, ttlSecondsAfterFinished=0)

    async def strayed(self) -> None:
        """Somebody took the finalizer of a running task away and deleted it."""
        await self.started()
        await self.running("kept")
        await self.becomes_stray()

    async def becomes_stray(self) -> None:
        self.operator.suspend()  # or it may put the finalizer back in between
        await self.kube.patch_metadata("kept", {"finalizers": None})
        await self.kube.delete("kept")
        self.operator.resume()

    async def does_not_lead(self) -> bool:
        value = await read_metrics(self.operator.metrics)
        return not value("leader_election_master_status", name=ACCOUNT)

    async def names_the_role_to_change(self) -> bool:
        async with httpx.AsyncClient(base_url=self.operator.health) as client:
            return f"resourceNames: [{ACCOUNT}]" in (await client.get("/readyz")).text

    async def lease(self) -> Body | None:
        path = f"{LEASES}/namespaces/{self.kube.namespace}/leases"
        items = (await self.kube.request("GET", path))["items"]
        return items[0] if items else None

    async def has_not_begun(self) -> bool:
        body = await self.kube.get("kept")
        return body is not None and "finalizers" not in body["metadata"] and not await self.calls("join", "kept")

    async def does_not_notice(self) -> bool:
        """What is created after it has listed what there is; it has tried again to watch meanwhile."""
        await self.create("later")
        refusals = self.refusals("watch", "transcriptiontasks")

        async def refused_again() -> bool:
            return self.refusals("watch", "transcriptiontasks") > refusals

        await self.eventually(refused_again, "another refusal")
        body = await self.kube.get("later")
        return body is not None and "finalizers" not in body["metadata"]

    async def has_no_status(self) -> bool:
        body = await self.kube.get("kept")
        return body is not None and "taskId" not in body.get("status", {})

    async def called_nobody(self) -> bool:
        return await self.calls(name="kept") == []

    async def told_nobody(self) -> bool:
        return await self.kube.events("kept") == []

    async def kept_what_had_to_go(self) -> bool:
        body = await self.kube.get("short")
        return body is not None and "deletionTimestamp" not in body["metadata"]

    async def left_the_stray_running(self) -> bool:
        return len(await self.live("kept")) == 1

    async def has_no_lease(self) -> bool:
        return await self.lease() is None and await self.does_not_lead()

    async def does_not_renew(self) -> bool:
        lease = await self.lease()
        assert lease is not None
        return bool(lease["spec"]["renewTime"] == lease["spec"]["acquireTime"])

    def refusals(self, verb: str, resource: str) -> int:
        return self.operator.log.read_text().count(f'cannot {verb} resource "{resource}"')


Step = Callable[[Life], Awaitable[Any]]

NEEDED: dict[tuple[str, str], tuple[Step, Step]] = {
    ("transcriptiontasks", "list"): (Life.started, Life.has_not_begun),
    ("transcriptiontasks", "watch"): (Life.started, Life.does_not_notice),
    ("transcriptiontasks", "patch"): (Life.started, Life.has_not_begun),
    ("transcriptiontasks/status", "patch"): (Life.started, Life.has_no_status),
    ("secrets", "get"): (Life.started, Life.called_nobody),
    ("events", "create"): (Life.started, Life.told_nobody),
    ("transcriptiontasks", "delete"): (Life.lasted, Life.kept_what_had_to_go),
    ("transcriptiontasks", "get"): (Life.strayed, Life.left_the_stray_running),
    ("leases", "get"): (Life.started, Life.has_no_lease),
    ("leases", "create"): (Life.started, Life.names_the_role_to_change),
    ("leases", "update"): (Life.started, Life.does_not_renew),
}
"""Per right: how far the operator has to come to need it, and what it then fails to do."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator(logs: Path) -> AsyncIterator[Simulator]:
    process = Simulator(logs / "rights-simulator.log")
    await process.start_and_wait()
    yield process
    process.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def life(
    control_plane: ControlPlane, namespace: str, simulator: Simulator, logs: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Life]:
    """An operator that has not started, with the chart's roles for one namespace, or without one verb of them."""
    missing: tuple[str, str] | None = getattr(request, "param", None)
    control_plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(rights(namespace, missing)))
    kubeconfig = control_plane.service_account_kubeconfig(namespace, ACCOUNT)
    flags = ("--poll-interval=1", "--leader-elect", f"--lease-namespace={namespace}")
    operator = Operator(logs / f"{namespace}-operator.log", kubeconfig, namespace, simulator.url, *flags)
    async with (
        Kube(control_plane.kubeconfig, namespace) as kube,
        httpx.AsyncClient(base_url=simulator.url) as agora,
    ):
        (await agora.delete("/simulator/state")).raise_for_status()
        await kube.put_secret("agora-credentials", CREDENTIALS)
        yield Life(kube, simulator, operator, agora)
        operator.kill()
        # What it could not do leaves a start in doubt, and a list of orphans of the whole cluster would name that.
        for body in await kube.all():
            await kube.delete(body["metadata"]["name"])
        for body in await kube.all():
            await kube.patch_metadata(body["metadata"]["name"], {"finalizers": None})


@pytest.mark.parametrize(
    ("life", "right"),
    [(right, right) for right in NEEDED],
    ids=[" ".join(right[::-1]) for right in NEEDED],
    indirect=["life"],
)
async def test_without_a_right_something_is_not_done(life: Life, right: tuple[str, str]) -> None:
    resource, verb = right
    leads_there, is_undone = NEEDED[right]
    await leads_there(life)

    async def refused() -> bool:
        return life.refusals(verb, resource) > 0

    await life.eventually(refused, f"a refusal to {verb} {resource}")
    assert await is_undone(life)


async def test_with_all_of_them_everything_is_done(life: Life) -> None:
    await life.lasted()
    await life.running("kept")
    assert not await life.does_not_lead()
    assert not await life.told_nobody()
    await life.kube.wait_gone("short")
    await life.becomes_stray()

    async def stopped() -> bool:
        return not await life.left_the_stray_running()

    await life.eventually(stopped, "the stray's end")
    assert life.operator.stop() == 0
    lease = await life.lease()
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")
    assert " cannot " not in life.operator.log.read_text()


async def test_each_right_has_a_case() -> None:
    assert set(granted("team-a")) == set(NEEDED)


async def test_rights_in_one_namespace_are_those_in_all() -> None:
    [everywhere] = [body["rules"] for body in template() if named(body, "ClusterRole")]
    [narrow] = [body["rules"] for body in rights("team-a") if named(body, "Role")]
    assert everywhere == narrow


def named(body: Body, kind: str) -> bool:
    return bool(body["kind"] == kind and body["metadata"]["name"] == ACCOUNT)


def rights(namespace: str, missing: tuple[str, str] | None = None) -> Iterator[Body]:
    for body in template(
        "--set=crds.enabled=false", f"--set=operator.watchNamespaces={{{namespace}}}", namespace=namespace
    ):
        if body["kind"] in {"ServiceAccount", "Role", "RoleBinding"}:
            if "rules" in body and missing is not None:
                body["rules"] = [rule for rule in body["rules"] if without(rule, *missing)]
            yield body


def without(rule: Body, resource: str, verb: str) -> list[str]:
    if rule["resources"] == [resource]:
        rule["verbs"] = [each for each in rule["verbs"] if each != verb]
    return list(rule["verbs"])


def granted(namespace: str) -> Iterator[tuple[str, str]]:
    for body in rights(namespace):
        for rule in body.get("rules", []):
            yield from ((resource, verb) for resource in rule["resources"] for verb in rule["verbs"])
