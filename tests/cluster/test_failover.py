"""Several operators at once: who leads acts, whoever takes over goes on, and no object ever has two tasks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from support.kube import Body, Kube, is_settled
from support.metrics import read_metrics
from support.processes import Operator, Simulator
from support.world import CREDENTIALS, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

LEASE = ("lease", "agora-transcription-operator", "--namespace=agora-transcription")
ELECTED = ("--leader-elect", "--lease-namespace=agora-transcription")
START = "join|start"
STOP = "leave|stop"

Make = Callable[..., AbstractAsyncContextManager["Replicas"]]
"""Makes a world, with flags for all its operators."""


class Replicas(World):
    """A world with any number of operators."""

    def __init__(
        self, kube: Kube, simulator: Simulator, agora: httpx.AsyncClient, make: Callable[..., Operator]
    ) -> None:
        self._make = make
        self.all: list[Operator] = []
        super().__init__(kube, simulator, self.add(), agora)

    def add(self, *flags: str) -> Operator:
        """Make another operator, which is not started."""
        operator = self._make(f"{len(self.all)}", *flags)
        self.all.append(operator)
        return operator

    async def pair(self) -> tuple[Operator, Operator]:
        """Start a leader and a standby."""
        both = (self.operator, self.add())
        await asyncio.gather(*(operator.start_and_wait() for operator in both))

        async def elected() -> tuple[Operator, Operator] | None:
            leads = [await is_leader(operator) for operator in both]
            return (both if leads[0] else both[::-1]) if sum(leads) == 1 else None

        found: tuple[Operator, Operator] = await self.eventually(elected, "an election")
        return found

    async def call_under_way(self, name: str) -> None:
        """Wait until the simulator holds a start."""

        async def seen() -> bool:
            return any(call["code"] is None for call in await self.calls(START, name))

        await self.eventually(seen, f"a start of {name}", timeout=10)


async def is_leader(operator: Operator) -> bool:
    value = await read_metrics(operator.metrics)
    return value("leader_election_master_status", name="agora-transcription-operator") == 1


async def has_started_some(operator: Operator) -> bool:
    value = await read_metrics(operator.metrics)
    return value("agora_transcription_agora_requests_total", code="200", dialect="V7", operation="start") is not None


@pytest.fixture
def make(control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path) -> Make:
    """Make a world; at its end no object may ever have had two tasks."""

    @asynccontextmanager
    async def replicas(*common: str) -> AsyncIterator[Replicas]:
        simulator = Simulator(logs / f"{namespace}-simulator.log")

        def operator(name: str, *flags: str) -> Operator:
            log = logs / f"{namespace}-{name}-operator.log"
            everything = ("--poll-interval=1", *common, *flags)
            return Operator(log, operator_kubeconfig, namespace, simulator.url, *everything)

        control_plane.kubectl("delete", *LEASE, "--ignore-not-found")
        await simulator.start_and_wait()
        async with (
            Kube(control_plane.kubeconfig, namespace) as kube,
            httpx.AsyncClient(base_url=simulator.url) as agora,
        ):
            world = Replicas(kube, simulator, agora, operator)
            try:
                await kube.put_secret("agora-credentials", CREDENTIALS)
                yield world
                assert await world.doubles() == []
            finally:
                for replica in world.all:
                    replica.kill()
                simulator.kill()

    return replicas


async def test_a_standby_takes_over_from_a_killed_leader_within_15_seconds(make: Make) -> None:
    async with make(*ELECTED) as world:
        leader, standby = await world.pair()
        await world.create("before")
        before = await world.running("before")

        leader.kill()
        await world.create("after")
        await world.running("after", timeout=15)
        assert await is_leader(standby)
        assert (await world.running("before"))["status"]["taskId"] == before["status"]["taskId"]
        assert len(await world.calls(START, "before")) == 1


async def test_a_rolling_upgrade_takes_2_seconds_each_and_leaves_running_tasks_alone(make: Make) -> None:
    names = ["one", "two", "three"]
    async with make(*ELECTED) as world:
        await world.operator.start_and_wait()
        for name in names:
            await world.create(name)
        before = {name: (await world.running(name))["status"]["taskId"] for name in names}

        leader = world.operator
        for step in range(2):
            following = world.add()
            await following.start_and_wait()
            os.kill(leader.pid, signal.SIGTERM)
            told = time.monotonic()
            await world.create(f"during-{step}")
            await world.running(f"during-{step}", timeout=10)
            assert time.monotonic() - told < 2
            assert await leader.wait_ended(10) == 0
            assert await is_leader(following)
            leader = following

        assert {name: (await world.running(name))["status"]["taskId"] for name in names} == before
        assert await world.calls(STOP) == []
        assert [len(await world.calls(START, name)) for name in names] == [1, 1, 1]


async def test_a_leader_that_was_stopped_and_goes_on_does_nothing_and_ends(make: Make) -> None:
    async with make(*ELECTED) as world:
        leader, standby = await world.pair()
        # Of each API one start that has taken effect without an answer, and one that is late and has not.
        await world.faults(
            *(
                {"operation": operation, "match": {"channel": f"room-{name}"}, "hold": True, "effect": effect}
                for operation, version in (("join", "v7"), ("start", "v6"))
                for name, effect in ((f"{version}-early", True), (f"{version}-late", False))
            )
        )
        for version in ("v7", "v6"):
            for when in ("early", "late"):
                await world.create(f"{version}-{when}", agoraApi=version.upper())
        names = ["v7-early", "v7-late", "v6-early", "v6-late"]
        for name in names:
            await world.call_under_way(name)
        leader.suspend()
        # The Lease has to be seen unchanged for 10 s before the standby takes it.
        for name in names:
            await world.running(name, timeout=15)
        assert await is_leader(standby)
        tasks = {task["taskId"] for task in await world.tasks()}

        # With the new leader stopped as well, whatever Agora is asked is asked by the old one; the time in which that
        # one has to end is less than the new one's Lease lasts.
        standby.suspend()
        await world.agora.post("/simulator/release")
        # Whatever the one that wakes up has in its hands is over: an object that it has not seen is not its own.
        await world.create("afterwards")
        calls = len(await world.calls())
        leader.resume()
        assert await leader.wait_ended(5) == 1
        assert len(await world.calls()) == calls
        assert "is lost: this process ends at once" in leader.log.read_text()
        standby.resume()
        await world.running("afterwards")
        assert len(tasks) == len(names)
        assert {task["taskId"] for task in await world.tasks() if task["channel"] != "room-afterwards"} == tasks
        assert len(await world.calls(START, "afterwards")) == 1


async def test_told_to_stop_while_a_start_is_out_it_ends_in_10_seconds_and_the_next_one_adopts(make: Make) -> None:
    async with make(*ELECTED) as world:
        leader, _ = await world.pair()
        await world.faults(
            {"operation": "join", "hold": True, "effect": True}, {"operation": "start", "hold": True, "effect": True}
        )
        for version in ("v7", "v6"):
            await world.create(version, agoraApi=version.upper())
            await world.call_under_way(version)
        os.kill(leader.pid, signal.SIGTERM)
        # What comes while it drains is not begun by the one that ends.
        await world.create("meanwhile")
        assert await leader.wait_ended(10) == 0
        for version in ("v7", "v6"):
            body = await world.running(version, timeout=10)
            [task] = await world.tasks(channel=f"room-{version}")
            assert task["taskId"] == body["status"]["taskId"]
        await world.running("meanwhile")
        assert "room-meanwhile" not in leader.log.read_text()
        assert len(await world.calls(START, "meanwhile")) == 1


async def test_two_operators_that_both_act_never_start_a_double(make: Make) -> None:
    chance = random.Random(20)  # noqa: S311 - a repeatable story, no secret
    async with make() as world:
        second = world.add()
        await asyncio.gather(world.operator.start_and_wait(), second.start_and_wait())
        await world.options(startDelay=0.1, stopDelay=0.1)
        wanted: dict[str, str] = {}

        async def live_one_life(name: str) -> None:
            await world.create(name, agoraApi=chance.choice(["V7", "V6"]))
            wanted[name] = "running"
            for _ in range(4):
                await asyncio.sleep(chance.uniform(0, 1))
                # No updates in place: each counts its own 5 seconds between two, and Agora refuses the second.
                change = chance.choice(["restart", "restart", "suspend", "resume", "delete"])
                if change == "delete":
                    await world.kube.delete(name)
                    wanted[name] = "gone"
                    return
                changes: dict[str, Body] = {
                    "restart": {"idleTimeoutSeconds": chance.randint(60, 600)},
                    "suspend": {"suspend": True},
                    "resume": {"suspend": False},
                }
                await world.kube.patch(name, changes[change])
                wanted[name] = {"suspend": "suspended", "resume": "running"}.get(change, wanted[name])

        await asyncio.gather(*(live_one_life(f"life-{number}") for number in range(20)))
        for name, state in wanted.items():
            if state == "gone":
                await world.kube.wait_gone(name)
            else:
                await world.kube.wait(name, is_settled, 60)
        assert set(wanted.values()) == {"running", "suspended", "gone"}
        bodies = {body["metadata"]["name"]: body for body in await world.kube.all()}
        owned = {body["status"]["taskId"] for body in bodies.values() if "taskId" in body["status"]}
        assert {name for name, state in wanted.items() if state == "running"} == {
            name for name, body in bodies.items() if body["status"]["phase"] == "Running"
        }
        # Nobody promises that nothing is left of those that were deleted while the other one started them: that is
        # what the Lease is for. A double is what the names and the builderTokens prevent by themselves.
        assert owned <= {task["taskId"] for task in await world.tasks(live="true")}
        assert await world.doubles() == []
        assert [await has_started_some(operator) for operator in (world.operator, second)] == [True, True]
        assert (world.operator.stop(), second.stop()) == (0, 0)
