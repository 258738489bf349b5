"""Two replicas, hundreds of tasks, minutes of everything at once: changes, faults on both sides, a kill every minute.

`make soak MINUTES=20` runs it; it prints a line every ten seconds. In the end what runs at Agora is what the objects
ask for, nothing was ever doubled, the memory does not grow, and at rest nothing is written. A process that is killed
every other minute has no time to grow, so the memory is measured while the same goes on for half as long without kills.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

import httpx
import pytest

from support.kube import ApiError, Kube, has_reason
from support.processes import Operator, Simulator
from support.proxy import ApiProxy
from support.world import CREDENTIALS, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

TASKS = 300
CHANGES_PER_SECOND = 4.0
KILL_EVERY_SECONDS = 60.0
API_ERROR_RATE = 0.02
AGORA_ERROR_RATE = 0.05
QUIET_SECONDS = 60.0
SETTLING_SECONDS = 300.0
MEMORY_GROWTH = 0.10
LEAST_CHANGES_PER_SECOND = 1.0
POLL_SECONDS = 5

FLAGS = (
    "--leader-elect",
    "--lease-namespace=agora-transcription",
    "--requests-per-second=0",
    f"--poll-interval={POLL_SECONDS}",
    "--log-level=info",
)

AGORA_FAULTS: tuple[Body, ...] = (
    {"status": 500},
    {"status": 503, "effect": True},
    {"status": 504, "effect": True},
    {"status": 502, "body": "<html>bad gateway</html>"},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"drop": "before"},
    {"drop": "after"},
    {"delaySeconds": 3},
)

LANGUAGES = (["en-US"], ["de-DE"], ["fr-FR", "en-US"], ["es-ES"])


@dataclass
class Wanted:
    """What the objects ask for, by name."""

    languages: dict[str, list[str]] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    made: int = 0

    @property
    def running(self) -> set[str]:
        return set(self.languages) - self.suspended


@dataclass
class Soak:
    """The run.

    Attributes:
        seed: Of everything that is random.
        rss: Seconds since the start and the memory of the larger of the two replicas, in MiB; since the last kill.
    """

    world: World
    proxy: ApiProxy
    replicas: list[Operator]
    seed: str
    wanted: Wanted = field(default_factory=Wanted)
    began: float = field(default_factory=time.monotonic)
    changes: int = 0
    kills: int = 0
    rss: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - no secret

    @property
    def age(self) -> float:
        return time.monotonic() - self.began

    # What users do -------------------------------------------------------------------------------------------------

    async def create(self) -> None:
        name = f"t{self.wanted.made:05}"
        self.wanted.made += 1
        languages = self.chance.choice(LANGUAGES)
        await self.world.create(name, languages=languages, agoraApi=self.chance.choice(["V7", "V7", "V6"]))
        self.wanted.languages[name] = languages

    async def change(self) -> None:
        """Do one random thing to one random object."""
        name = self.chance.choice(sorted(self.wanted.languages))
        deed = self.chance.choices(
            [self.speak_otherwise, self.suspend_or_resume, self.restart, self.end_behind_its_back, self.replace],
            weights=[5, 3, 1, 2, 2],
        )[0]
        await deed(name)
        self.changes += 1

    async def speak_otherwise(self, name: str) -> None:
        languages = self.chance.choice(LANGUAGES)
        await self.world.kube.patch(name, {"languages": languages})
        self.wanted.languages[name] = languages

    async def suspend_or_resume(self, name: str) -> None:
        await self.world.kube.patch(name, {"suspend": name not in self.wanted.suspended})
        self.wanted.suspended ^= {name}

    async def restart(self, name: str) -> None:
        await self.world.kube.patch(name, {"idleTimeoutSeconds": self.chance.randint(60, 6000)})

    async def end_behind_its_back(self, name: str) -> None:
        for task in await self.world.live(name):
            with suppress(httpx.HTTPStatusError):  # it has just ended
                await self.world.end(task["taskId"], "FAILED", "Fatal ASR error")

    async def replace(self, name: str) -> None:
        await self.world.kube.delete(name)
        self.wanted.languages.pop(name)
        self.wanted.suspended.discard(name)
        await self.create()

    # What befalls the operator -------------------------------------------------------------------------------------

    async def go_wrong(self) -> None:
        """From now on calls fail, on both sides."""
        self.proxy.error_rate = API_ERROR_RATE
        each = AGORA_ERROR_RATE / len(AGORA_FAULTS)
        await self.world.faults(*({"operation": "*", "times": 0, "chance": each, **fault} for fault in AGORA_FAULTS))

    async def go_well(self) -> None:
        self.proxy.error_rate = 0
        await self.world.agora.delete("/simulator/faults")

    async def complete(self) -> None:
        """Have both replicas run again: one that was killed may be on its way back."""
        for replica in self.replicas:
            if not replica.running:
                replica.start()
            await replica.wait_for(f"{replica.health}/readyz")

    async def change_until(self, seconds: float) -> None:
        """Change this and that until the run is so old."""
        while self.age < seconds:
            with suppress(ApiError):  # two of its changes at once
                await self.change()
            await asyncio.sleep(self.chance.expovariate(CHANGES_PER_SECOND))

    async def kill_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(KILL_EVERY_SECONDS)
            victim = self.chance.choice(self.replicas)
            victim.kill()
            self.kills += 1
            await victim.start_and_wait()
            self.rss.clear()

    async def watch_memory(self) -> None:
        while True:
            await asyncio.sleep(1)
            if all(replica.running for replica in self.replicas):
                self.rss.append((self.age, max(_rss_mib(replica.pid) for replica in self.replicas)))

    async def report(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(10)
            live = len(await self.world.tasks(live="true"))
            doubles = len(await self.world.doubles())
            print(  # noqa: T201 - progress, with -s
                f"{self.age:5.0f} of {seconds:.0f} s: {len(self.wanted.languages)} objects, {live} Agora tasks, "
                f"{self.changes} changes, {self.kills} kills, {doubles} doubles, "
                f"{self.rss[-1][1] if self.rss else 0:.0f} MiB",
                flush=True,
            )

    # The end -------------------------------------------------------------------------------------------------------

    async def converged(self) -> None:
        """Wait until every object says that it is as asked, and see that Agora agrees."""
        kube = self.world.kube
        for name in self.wanted.languages:
            if name in self.wanted.suspended:
                await kube.wait(name, has_reason("Suspended"), SETTLING_SECONDS)
            else:
                await self.world.running(name, SETTLING_SECONDS)
        await self.world.eventually(self._as_wanted, "desired = running", SETTLING_SECONDS)

    async def _as_wanted(self) -> bool:
        live = {task["channel"].removeprefix("room-"): task for task in await self.world.tasks(live="true")}
        bodies = {body["metadata"]["name"]: body for body in await self.world.kube.all()}
        return (
            set(live) == self.wanted.running
            and set(bodies) == set(self.wanted.languages)
            # V6 answers a start with STARTED, and the first look with IN_PROGRESS.
            and all(bodies[name]["status"]["agoraStatus"] in {"RUNNING", "IN_PROGRESS"} for name in live)
            and all(set(live[name]["settings"]["languages"]) == set(self.wanted.languages[name]) for name in live)
        )

    async def writes_at_rest(self, seconds: float) -> list[Body]:
        listed = await self.world.kube.request(
            "GET", f"apis/transcription.dev/v1alpha1/namespaces/{self.world.kube.namespace}/transcriptiontasks"
        )
        seen: list[Body] = []
        watching = asyncio.create_task(self.world.kube.watch(listed["metadata"]["resourceVersion"], seen))
        await asyncio.sleep(seconds)  # what is measured is that nothing happens for so long
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        return seen

    def memory_of_thirds(self) -> tuple[float, float]:
        """The mean of the second and of the last third, in MiB; the first third still fills up."""
        third = len(self.rss) // 3
        return fmean(mib for _, mib in self.rss[third : 2 * third]), fmean(mib for _, mib in self.rss[2 * third :])


def _told(event: Body) -> str:
    """A write, in the words of what it wrote."""
    body = event["object"]
    status = {key: value for key, value in body.get("status", {}).items() if key not in {"applied", "builderToken"}}
    return f"{event['type']} {body['metadata']['name']}: {status}"


def _rss_mib(pid: int) -> float:
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(told.stdout) / 1024


@asynccontextmanager
async def a_soak(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, seed: str
) -> AsyncIterator[Soak]:
    simulator = Simulator(logs / f"{namespace}-simulator.log")
    async with ApiProxy(operator_kubeconfig) as proxy:
        kubeconfig = proxy.kubeconfig(logs / f"{namespace}.kubeconfig")
        replicas = [
            Operator(logs / f"{namespace}-{name}-operator.log", kubeconfig, namespace, simulator.url, *FLAGS)
            for name in ("a", "b")
        ]
        try:
            await simulator.start_and_wait()
            async with Kube(control_plane.kubeconfig, namespace) as kube, _client(simulator.url) as agora:
                await kube.put_secret("agora-credentials", CREDENTIALS)
                for replica in replicas:
                    await replica.start_and_wait()
                world = World(kube, simulator, replicas[0], agora)
                yield Soak(world, proxy, replicas, seed)
        finally:
            for replica in replicas:
                replica.kill()
            simulator.kill()


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=60)


@pytest.mark.soak
async def test_everything_at_once(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, pytestconfig: pytest.Config
) -> None:
    seconds = 60 * float(pytestconfig.getoption("--minutes"))
    seed = str(pytestconfig.getoption("--seed"))
    print(f"seed {seed}")  # noqa: T201 - with -s
    async with a_soak(control_plane, operator_kubeconfig, namespace, logs, seed) as soak:
        for _ in range(TASKS):
            await soak.create()
        soak.began = time.monotonic()
        await soak.go_wrong()
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(part) for part in (soak.watch_memory(), soak.report(1.5 * seconds))]
            killing = group.create_task(soak.kill_now_and_then())
            await soak.change_until(seconds)
            killing.cancel()
            await soak.complete()
            soak.rss.clear()
            await soak.change_until(1.5 * seconds)
            await soak.go_well()
            for task in beside:
                task.cancel()
        before = time.monotonic()
        await soak.converged()
        print(f"converged {time.monotonic() - before:.0f} s after the last change")  # noqa: T201 - with -s
        assert await soak.world.doubles() == []
        assert [_told(event) for event in await soak.writes_at_rest(QUIET_SECONDS)] == []
        second, last = soak.memory_of_thirds()
        print(f"memory: {second:.1f} MiB in the second third, {last:.1f} MiB in the last")  # noqa: T201 - with -s
        assert last <= second * (1 + MEMORY_GROWTH)
        # It was a soak, and no calm.
        assert soak.changes >= LEAST_CHANGES_PER_SECOND * 1.5 * seconds
        assert soak.kills >= seconds // KILL_EVERY_SECONDS - 2
        assert all(" watches " in replica.log.read_text() for replica in soak.replicas), "one replica has never led"
