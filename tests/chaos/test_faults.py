"""The fault table, played: every case at the same time, each with an object, a channel and an Agora account of its own.

An account of its own, because a 401 stops the calls of its credentials and a 429 those of its App ID.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio
import yaml

from chaos.fault_cases import CASES, ENDS, Case, Mend
from support.kube import API, ApiError, condition, is_settled
from support.world import World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

AT_ONCE: Final = 120
"""Cases that are played at the same time."""

LONGEST: Final = 60.0
"""Seconds for what is no matter of the case itself: so many objects are created at once."""

SLACK: Final = 2.0
"""How much slower than the table says it may be: all cases are played at once, on a small machine."""

SILENCE: Final = 6.0
"""Seconds in which a call that fails for a moment would have been made again, twice."""

STALLED: Final = {"CredentialsRefused", "ServiceNotEnabled", "RequestRefused"}
"""Reasons that somebody has to do something about."""


class Observer:
    """Sees every object, every call and every fault that is still to come, with one watch and one poll."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bodies: dict[str, Body] = {}
        self.versions: dict[str, list[Body]] = {}
        self.calls: list[Body] = []
        self.scripted: set[str] = set()
        """Channel, name or task of the faults that are still to come."""
        self.watches = False
        self._polling = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._failed: BaseException | None = None

    async def run(self) -> None:
        """Watch until cancelled; whoever waits learns if it fails."""
        try:
            await self._watch()
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited
            self._failed = error
            async with self._changed:
                self._changed.notify_all()

    async def _watch(self) -> None:
        """List and watch, and begin anew where the API server ends the watch, as it does with a kind that is new."""
        while True:
            listed = await self._list()
            self.bodies = {name: body for name, body in self.bodies.items() if name in _names(listed)}
            for body in listed["items"]:
                self._take({"type": "MODIFIED", "object": body})
            seen: list[Body] = []
            watching = asyncio.create_task(self.world.kube.watch(listed["metadata"]["resourceVersion"], seen))
            try:
                while not watching.done():
                    await self._look(seen)
                watching.result()
            finally:
                watching.cancel()

    async def _look(self, seen: list[Body]) -> None:
        news, seen[:] = list(seen), []
        for event in news:
            self._take(event)
        async with self._polling:
            self.calls += (await self.world.agora.get(f"/simulator/calls?since={len(self.calls)}")).json()
            faults = (await self.world.agora.get("/simulator/faults")).json()
            self.scripted = {value for fault in faults for value in fault["match"].values()}
        self.watches = True
        async with self._changed:
            self._changed.notify_all()
        await asyncio.sleep(0.1)

    async def _list(self) -> Body:
        """List the objects, once the API server has got the new kind ready."""
        async with asyncio.timeout(LONGEST):
            while True:
                try:
                    path = f"{API}/namespaces/{self.world.kube.namespace}/transcriptiontasks"
                    return await self.world.kube.request("GET", path)
                except ApiError as error:
                    if error.code != HTTPStatus.TOO_MANY_REQUESTS:
                        raise
                    await asyncio.sleep(0.1)

    async def script(self, fault: Body) -> None:
        async with self._polling:
            await self.world.faults(fault)
            self.scripted |= set(fault["match"].values())

    async def clear(self, match: Body) -> None:
        """Take the faults of one case away."""
        (await self.world.agora.delete("/simulator/faults", params=match)).raise_for_status()

    async def until(self, check: Callable[[], object], what: Callable[[], str], timeout: float = LONGEST) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self._failed is not None or bool(check()))
                if self._failed is not None:
                    raise AssertionError("nothing is seen any more") from self._failed
                return
        raise AssertionError(f"not in {timeout} s: {what()}")

    def _take(self, event: Body) -> None:
        body = event["object"]
        name = body["metadata"]["name"]
        if event["type"] == "DELETED":
            self.bodies.pop(name, None)
        else:
            self.bodies[name] = body
            self.versions.setdefault(name, []).append(body)


def _names(listed: Body) -> set[str]:
    return {body["metadata"]["name"] for body in listed["items"]}


class Played:
    """One case."""

    def __init__(self, number: int, case: Case, observer: Observer) -> None:
        self.case = case
        self.name = f"case-{number}"
        self.channel = f"room-{self.name}"
        self.observer = observer
        self.world = observer.world
        self.credentials = {"appId": f"{number:032x}", "customerId": self.name, "customerSecret": f"first-{self.name}"}
        self.renewed = {**self.credentials, "customerSecret": f"second-{self.name}"}
        self._match = {"channel": self.channel}
        self._seen_before = 0
        """How many versions of the object are from before the fault."""
        self._lost: str | None = None
        """The task that Agora has ended."""

    async def play(self) -> None:
        await self.world.kube.put_secret(self.name, self.credentials)
        begin = self._when_it_runs if self.case.call in {"query", "update", *ENDS} else self._from_the_start
        begun = await begin()
        if self.case.then:
            await self._until(self._complaint, f"says {self.case.then}")
            self._check_complaint()
        if self.case.mend is Mend.BY_ITSELF:
            await self._until(self._fault_is_over, f"{self.case.times} calls that go wrong")
        else:
            await self._check_silence()
            await self.observer.clear(self._match)
            begun = time.monotonic()
            await self._mend()
        within = begun + self.case.within * SLACK - time.monotonic()
        await self._until(self._gone if self.case.call in ENDS else self._recovered, "has recovered", within)
        if self.case.call == "query":
            await self._check_queries()
        await self._check_tasks()
        if self.case.call not in ENDS:
            await self.world.kube.delete(self.name)
            await self._until(self._gone, "is gone after its deletion")
        assert await self.world.live(self.name) == []

    # What brings the object to the fault ---------------------------------------------------------------------------

    async def _from_the_start(self) -> float:
        if self.case.call == "list":
            # Only a conflict that does not name its task has the operator look for it.
            await self.world.faults({"operation": "join", "match": {"channel": self.channel}, "drop": "after"})
        if self.case.call == "acquire":
            # It is known by its name only, and that by the object's uid.
            created = await self._create(suspend=True)
            await self._until(self._settled, "is suspended")
            self._match = {"name": f"tt-{created['metadata']['uid']}-0"}
            self._seen_before = len(self._versions)
            await self.observer.script({**self.case.scripted, "match": self._match})
            await self.world.kube.patch(self.name, {"suspend": False})
        else:
            await self.observer.script({**self.case.scripted, "match": self._match})
            await self._create()
        return time.monotonic()

    async def _when_it_runs(self) -> float:
        await self._create()
        await self._until(self._settled, "runs")
        self._seen_before = len(self._versions)
        begun = time.monotonic()
        if self.case.fault.endswith("ended"):
            # A task so young is not taken for gone: what it is answered before its end does no harm.
            self._lost = self._status["taskId"]
            await self.world.faults({**self.case.scripted, "match": {"taskId": self._lost}})
            await self.world.end(self._lost, "STOPPED", "OK")
            return begun
        await self.observer.script({**self.case.scripted, "match": self._match})
        if self.case.call == "update":
            await self.world.kube.patch(self.name, {"languages": ["de-DE"]})
        elif self.case.call in ENDS:
            await self.world.kube.delete(self.name)
        return begun

    async def _create(self, *, suspend: bool = False) -> Body:
        secret = {"name": self.name}
        return await self.world.create(
            self.name, agoraApi=self.case.dialect, credentialsSecretRef=secret, suspend=suspend
        )

    async def _mend(self) -> None:
        if self.case.mend is Mend.SECRET:
            await self.world.kube.put_secret(self.name, self.renewed)
        elif self.case.call in {"query", *ENDS}:
            await self.world.kube.patch(self.name, {"restartPolicy": "Always"})
        else:
            await self.world.kube.patch(self.name, {"languages": ["fr-FR"]})

    # What is seen of it --------------------------------------------------------------------------------------------

    async def _until(self, check: Callable[[], object], what: str, timeout: float = LONGEST) -> None:
        def state() -> str:
            calls = [(call["operation"], call["code"]) for call in self._calls()][-12:]
            return f"{self.case} {what}\n{yaml.safe_dump(self.observer.bodies.get(self.name))}\n{calls}"

        await self.observer.until(check, state, timeout)

    @property
    def _status(self) -> Body:
        status: Body = self.observer.bodies[self.name].get("status", {})
        return status

    @property
    def _versions(self) -> list[Body]:
        return self.observer.versions.get(self.name, [])

    def _calls(self, operation: str | None = None) -> list[Body]:
        versions = self._versions
        ours = f"tt-{versions[0]['metadata']['uid']}-" if versions else "tt-none"
        return [
            call
            for call in self.observer.calls
            if operation in {None, call["operation"]}
            and (call["channel"] == self.channel or (call["name"] or "").startswith(ours))
        ]

    def _settled(self) -> bool:
        body = self.observer.bodies.get(self.name)
        return body is not None and is_settled(body)

    def _gone(self) -> bool:
        return self.name not in self.observer.bodies

    def _recovered(self) -> bool:
        body = self.observer.bodies.get(self.name)
        if body is None:
            return False  # the operator may hear of it before this watch does
        runs = self._settled() and self._status.get("phase") == "Running"
        applied = runs and self._status["applied"]["languages"] == body["spec"]["languages"]
        return applied and self._status["taskId"] != self._lost

    def _fault_is_over(self) -> bool:
        return not self.observer.scripted.intersection(self._match.values())

    def _complaint(self) -> Body | None:
        for body in self._versions[self._seen_before :]:
            ready = condition(body, "Ready")
            if ready and ready["reason"] == self.case.then and self.case.says in ready["message"]:
                return body
        return None

    # What must hold ------------------------------------------------------------------------------------------------

    def _check_complaint(self) -> None:
        """Who has to do something is told so, and nobody else."""
        body = self._complaint()
        assert body is not None
        stalled, reconciling = condition(body, "Stalled"), condition(body, "Reconciling")
        assert (stalled is not None, reconciling is not None) == (
            self.case.then in STALLED,
            self.case.then not in STALLED,
        )
        ready = condition(body, "Ready")
        assert ready is not None
        assert ready["status"] != "True"

    async def _check_silence(self) -> None:
        """Agora is not asked again before somebody has done something."""
        await self._until(self._refusals, "is refused")
        await asyncio.sleep(SILENCE)  # that nothing happens can only be seen by waiting for it
        assert self._refusals() == 1

    def _refusals(self) -> int:
        """How often Agora has refused; what it was asked before the fault was placed went well."""
        return sum((call["code"] or 0) >= HTTPStatus.BAD_REQUEST for call in self._calls(self.case.call))

    async def _check_queries(self) -> None:
        """The next look goes well; and what is nobody's business has not been said."""
        looks = len(self._calls("query"))
        await self._until(lambda: len(self._calls("query")) > looks, "is looked at again")
        if not self.case.then:
            said = {(condition(body, "Ready") or {})["reason"] for body in self._versions[self._seen_before :]}
            assert said <= {"Running"}

    async def _check_tasks(self) -> None:
        tasks = await self.world.tasks(channel=self.channel)
        assert len(tasks) == self.case.tasks
        live = [task for task in tasks if task["endedAt"] is None]
        assert [task["taskId"] for task in live] == ([] if self._gone() else [self._status["taskId"]])
        if live:
            [task] = live
            assert task["settings"]["languages"] == self.observer.bodies[self.name]["spec"]["languages"]
        numbers = [int(call["sequenceId"]) for call in self._calls("update")]
        assert numbers == sorted(set(numbers))


class Table:
    """All cases, and what came of each."""

    def __init__(self, observer: Observer) -> None:
        self._played = [Played(number, case, observer) for number, case in enumerate(CASES, start=1)]
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.results: dict[Case, asyncio.Task[None]] = {}

    async def begin(self, world: World) -> None:
        """Open an account for every case, with both versions of its Secret, and play."""
        accounts = [account for played in self._played for account in (played.credentials, played.renewed)]
        await world.options(accounts=accounts)
        self.results = {played.case: asyncio.create_task(self._play(played)) for played in self._played}

    async def _play(self, played: Played) -> None:
        async with self._slots:
            await played.play()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def table(
    control_plane: ControlPlane, operator_kubeconfig: Path, module_namespace: str, logs: Path
) -> AsyncIterator[Table]:
    flags = ("--poll-interval=2",)
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, module_namespace, logs, *flags) as world:
        observer = Observer(world)
        watching = asyncio.create_task(observer.run())
        await observer.until(lambda: observer.watches, lambda: "the watch")
        played = Table(observer)
        await played.begin(world)
        yield played
        await asyncio.wait(played.results.values())
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_fault(table: Table, case: Case) -> None:
    await table.results[case]
