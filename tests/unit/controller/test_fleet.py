"""Running tasks looked at by Agora's list: what it costs, what it notices, and what happens without one.

The reconciler, its queue and the client are the real ones, and Agora is the simulator; only time is made up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from agora_transcription import agora
from agora_transcription.agora import AgoraClient, Dialect, Observation, State
from agora_transcription.controller import transitions
from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.calls import Caller
from agora_transcription.controller.credentials import CredentialStore, account_of
from agora_transcription.controller.fleet import AGAIN_SECONDS, PUT_OFF, Fleet
from agora_transcription.controller.memory import Memory, now
from agora_transcription.controller.queue import WorkQueue
from agora_transcription.controller.reconciler import Reconciler, Services
from agora_transcription.controller.store import Secret
from agora_transcription.controller.sweeps import ROUND
from agora_transcription.controller.translate import account_hash
from agora_transcription.simulator import Fault, SimulatorOptions, create_app
from agora_transcription.simulator import tasks as simulated
from agora_transcription.simulator.options import Account
from agora_transcription.telemetry.metrics import Metrics
from unit.controller.builders import SECRET, Clock, body_of, task_of
from unit.controller.kubernetes_model import Told, merged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.api import TranscriptionTask
    from agora_transcription.controller.events import EventPoster
    from agora_transcription.controller.store import Store

INTERVAL = 30.0
OPTIONS = SimulatorOptions.model_validate({"accounts": (Account.model_validate(SECRET),)})


class Stage:
    """Objects whose tasks run at the simulator, and everything of the operator that looks at them."""

    def __init__(self, clock: Clock, budgets: agora.Budgets | None = None) -> None:
        self.clock = clock
        app = create_app(OPTIONS, wall=lambda: clock.now().timestamp())
        self.agora = app.state.world
        self.client = AgoraClient("http://agora.test", transport=httpx.ASGITransport(app))
        self.cache = TaskCache()
        self.secret_data = dict(SECRET)
        self.bodies: dict[str, dict[str, Any]] = {}
        self.metrics = Metrics()
        self.reconciled: Counter[str] = Counter()
        self.writes = 0
        self._version = 0
        store = cast("Store", self)
        services = Services(
            store=store,
            cache=self.cache,
            credentials=CredentialStore(store, self._wake, clock=clock.monotonic),
            budgets=budgets or agora.Budgets(0, 1),
            caller=Caller(self.client, self.cache, INTERVAL, agora.TokenVersion.V007),
            events=cast("EventPoster", Told()),
            metrics=self.metrics,
        )
        self.reconciler = Reconciler(services, default=Dialect.V7, workers=32, poll_interval=INTERVAL)
        self.queue: WorkQueue[str] = WorkQueue(self._reconcile, clock=clock.monotonic)
        self.reconciler.attach(self.queue)
        self.fleet = Fleet(
            services, self.reconciler, self.client.dialect(Dialect.V7), default=Dialect.V7, interval=INTERVAL
        )

    # The store -----------------------------------------------------------------------------------------------------

    async def secret(self, _: str, __: str) -> Secret:
        return Secret(str(self.secret_data), dict(self.secret_data))

    async def write_status(self, task: TranscriptionTask, patch: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        body = self.bodies[task.metadata.uid]
        return self._keep({**body, "status": merged(body["status"], patch)})

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        uid = body["metadata"]["uid"]
        kept = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
        self.bodies[uid] = kept
        return kept

    # What happens --------------------------------------------------------------------------------------------------

    def run_task(self, task_id: str) -> None:
        """Agora runs a task."""
        now = self.clock.now().timestamp()
        task = simulated.Task(
            id=task_id,
            dialect=simulated.Dialect.V7,
            app_id=SECRET["appId"],
            name=f"name-of-{task_id}",
            channel="standup",
            bot_uids=frozenset(),
            settings={},
            idle_seconds=0,
            started_at=now,
            expires_at=now + 259200,
        )
        self.agora.tasks.start(task, 0)

    def have(self, count: int, first: int = 0, namespaces: int = 1) -> None:
        """Objects whose tasks run, as they are after a restart of the operator."""
        digest = account_hash(account_of(SECRET))
        for number in range(first, first + count):
            uid, task_id = f"uid-{number:04}", f"agora-{number:04}"
            self.run_task(task_id)
            # No conditions: the first reconciliation writes them.
            observation = Observation(task_id, "RUNNING", State.ACTIVE)
            lasts, now = timedelta(hours=72), self.clock.now()
            status = transitions.started(task_of(uid=uid, name=uid), Dialect.V7, observation, lasts, now)
            self.cache.offer(
                self._keep(
                    body_of(
                        {"restartPolicy": "Always"},
                        {**status.dump(), "accountHash": digest},
                        uid=uid,
                        name=uid,
                        namespace=f"team-{number % namespaces}",
                    )
                )
            )
            self.queue.add(uid)

    def edit(self, number: int, **spec: Any) -> None:
        body = self.bodies[f"uid-{number:04}"]
        generation = body["metadata"]["generation"] + 1
        changed = {**body, "spec": {**body["spec"], **spec}, "metadata": {**body["metadata"], "generation": generation}}
        self.cache.offer(self._keep(changed))
        self.queue.add(f"uid-{number:04}")

    def end(self, number: int) -> None:
        """An Agora task is stopped behind the operator's back."""
        task = self.agora.tasks.by_id[f"agora-{number:04}"]
        self.agora.tasks.end(task, self.clock.now().timestamp(), simulated.State.STOPPED, "OK")

    async def pass_time(self, seconds: float, *, lists: bool = True) -> None:
        """Let what comes due happen, second by second; at each interval the fleet is looked at."""
        for _ in range(int(seconds)):
            if lists and self.clock.monotonic() % INTERVAL == 0:
                await self.look()
            self.clock.advance(1)
            while self.queue._heap and self.queue._heap[0][0] <= self.clock.monotonic():
                when, _, uid = self.queue._heap.pop(0)
                if self.queue._due.get(uid) == when:
                    self.queue.add(uid)
                self.queue._heap.sort()
            await self.quiet()

    async def look(self) -> None:
        for account in self.fleet.due():
            await self.fleet.sweep(account)

    async def serve(self, seconds: float) -> None:
        """Let time pass for the budget, and what it admits happen."""
        self.clock.advance(seconds)
        budgets = self.reconciler.services.budgets
        for project in budgets._projects.values():
            budgets._serve(project)
        for _ in range(200):
            await asyncio.sleep(0)

    async def quiet(self) -> None:
        """Wait until nothing is being worked on."""
        async with asyncio.timeout(60):
            while self.queue.depth:
                await asyncio.sleep(0)

    def calls(self) -> Counter[str]:
        """What Agora was asked since the last time."""
        made = Counter(call.operation for call in self.agora.calls)
        self.agora.calls.clear()
        return made

    def phase(self, number: int) -> Any:
        return self.bodies[f"uid-{number:04}"]["status"]["phase"]

    def reason(self, number: int) -> Any:
        return self.bodies[f"uid-{number:04}"]["status"]["conditions"][0]["reason"]

    def task_id(self, number: int) -> Any:
        return self.bodies[f"uid-{number:04}"]["status"].get("taskId")

    @property
    def unowned(self) -> float | None:
        return self.metrics.registry.get_sample_value("agora_transcription_unowned_tasks", {"app_id": SECRET["appId"]})

    async def _reconcile(self, uid: str) -> None:
        self.reconciled[uid] += 1
        await self.reconciler.reconcile(uid)

    def _wake(self, uid: str) -> None:
        self.queue.add(uid)


@pytest.fixture
async def stage(clock: Clock) -> AsyncIterator[Stage]:
    stage = Stage(clock)
    yield stage
    await stage.quiet()
    await stage.client.aclose()


async def settled(stage: Stage, count: int) -> None:
    """Objects whose tasks run and are listed."""
    stage.have(count)
    await stage.quiet()
    await stage.pass_time(PUT_OFF * INTERVAL)
    stage.calls()


IN_TURN = 84
"""Of 5,000 tasks, those that are asked about with each list though it shows them."""


async def test_5000_tasks_cost_fifty_pages_a_sweep_few_queries_and_few_wake_ups(stage: Stage) -> None:
    stage.have(5000)
    await stage.quiet()
    stage.calls()
    await stage.look()
    await stage.quiet()
    stage.reconciled.clear()
    stage.writes = 0
    assert stage.calls() == {"list": 50, "query": IN_TURN}
    stage.clock.advance(1)
    await stage.pass_time(4 * INTERVAL - 1)
    calls = stage.calls()
    assert calls.pop("list") == 3 * 50
    assert 3 * IN_TURN <= calls["query"] <= 7 * IN_TURN, "each perhaps once more, before the next list"
    assert stage.reconciled.total() <= 2 * 5000 + 14 * IN_TURN
    assert stage.writes == 0
    assert stage.unowned == 0


async def test_a_task_that_was_stopped_behind_the_operators_back_is_noticed_within_one_interval(stage: Stage) -> None:
    """At the worst it ends right after it was listed."""
    await settled(stage, 20)
    await stage.pass_time(1)
    assert stage.calls()["list"] == 1
    stage.end(7)
    await stage.pass_time(INTERVAL)
    calls = stage.calls()
    assert (calls["list"], calls["join"]) == (1, 1)
    assert stage.task_id(7) not in {None, "agora-0007"}
    assert stage.agora.tasks.live(SECRET["appId"]) == 20


async def test_nothing_ends_because_a_list_lacks_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> list[agora.ListedTask]:
        return []

    await settled(stage, 20)
    monkeypatch.setattr(stage.fleet._api, "list_running", nothing)
    await stage.pass_time(2 * INTERVAL)
    calls = stage.calls()
    assert set(calls) == {"query"}
    assert 40 <= calls["query"] <= 80
    assert {stage.task_id(number) for number in range(20)} == {f"agora-{number:04}" for number in range(20)}


@pytest.mark.parametrize(
    ("options", "fault", "tries"),
    [
        ({"listSupported": False}, None, 1),
        ({}, Fault.model_validate({"operation": "list", "status": 501, "times": 0}), 1),
        ({}, Fault.model_validate({"operation": "list", "status": 503, "times": 0}), 4),
    ],
    ids=["404", "501", "503"],
)
async def test_without_a_list_each_is_asked_about_once_per_interval(
    stage: Stage, options: dict[str, Any], fault: Fault | None, tries: int
) -> None:
    await settled(stage, 20)
    stage.agora.options = OPTIONS.changed_by(SimulatorOptions.model_validate(options))
    stage.agora.faults.remaining.extend([fault] if fault else [])
    await stage.pass_time(4 * INTERVAL)
    calls = stage.calls()
    assert calls.pop("list") == tries
    assert set(calls) == {"query"}
    assert 3 * 20 <= calls["query"] <= 5 * 20
    stage.agora.options, stage.agora.faults.remaining[:] = OPTIONS, []
    await stage.pass_time(AGAIN_SECONDS + INTERVAL)
    stage.calls()
    await stage.pass_time(4 * INTERVAL)
    calls = stage.calls()
    assert calls["list"] == 4, "it is tried again"
    assert calls["query"] <= 2 * 4


async def test_a_task_is_noticed_within_an_interval_when_the_list_stops_working(stage: Stage) -> None:
    """Its own look was put off for longer."""
    await settled(stage, 20)
    stage.agora.faults.remaining.append(Fault.model_validate({"operation": "list", "status": 503, "times": 0}))
    stage.end(7)
    await stage.pass_time(INTERVAL + 2)
    assert stage.task_id(7) not in {None, "agora-0007"}


async def test_few_tasks_are_asked_about_one_by_one_and_listed_now_and_then_to_count(stage: Stage) -> None:
    stage.have(9)
    stage.run_task("stranger")
    await stage.quiet()
    await stage.pass_time(AGAIN_SECONDS)
    calls = stage.calls()
    assert calls["list"] == 0
    assert calls["query"] >= 9 * AGAIN_SECONDS / INTERVAL * 0.9
    assert stage.unowned is None
    await stage.pass_time(INTERVAL)
    assert stage.calls()["list"] == 1
    assert stage.unowned == 1


async def test_those_that_are_left_when_a_list_is_worth_it_no_more_are_asked_about_within_an_interval(
    stage: Stage,
) -> None:
    await settled(stage, 10)
    stage.edit(0, suspend=True)
    await stage.quiet()
    stage.end(7)
    await stage.pass_time(INTERVAL + 2)
    assert stage.task_id(7) not in {None, "agora-0007"}


async def test_a_stop_while_the_list_is_under_way_is_not_taken_back_by_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list still shows the task as running: it was asked before."""
    await settled(stage, 20)
    stage.agora.options = OPTIONS.changed_by(SimulatorOptions.model_validate({"stopDelay": 20}))
    list_running = stage.fleet._api.list_running

    async def meanwhile(*arguments: Any) -> Any:
        rows = await list_running(*arguments)
        stage.edit(7, suspend=True)
        await stage.quiet()
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(stage.fleet._api, "list_running", meanwhile)
        await stage.look()
        await stage.quiet()
    await stage.pass_time(INTERVAL - 1)
    assert stage.phase(7) == "Suspended"
    assert stage.calls()["leave"] == 1


async def test_one_that_waits_for_the_turn_of_its_own_look_needs_none_once_it_is_listed(clock: Clock) -> None:
    stage = Stage(clock, agora.Budgets(1, 1, clock=clock.monotonic))
    stage.have(20)
    for uid in stage.bodies:
        memory = stage.reconciler._memory(uid)
        memory.poll_at = clock.now()
    await stage.serve(0)
    assert stage.calls() == {"query": 1}, "the others wait"
    looking = asyncio.create_task(stage.look())
    while not looking.done():
        await stage.serve(1)
    assert clock.monotonic() <= 12, "polls of a tenant take turns with the list"
    while stage.queue.depth:
        await stage.serve(1)
    calls = stage.calls()
    assert calls["list"] == 1
    assert calls["query"] <= 13
    await stage.client.aclose()


async def test_a_list_does_not_wait_for_the_looks_that_it_makes_needless(clock: Clock) -> None:
    """However many namespaces take turns with theirs: a page stands for a hundred of them."""
    stage = Stage(clock, agora.Budgets(20, 20, clock=clock.monotonic))
    stage.have(1000, namespaces=200)
    for uid in stage.bodies:
        stage.reconciler._memory(uid).poll_at = clock.now()
    await stage.serve(0)
    assert stage.calls() == {"query": 20}, "the others wait"
    looking = asyncio.create_task(stage.look())
    while not looking.done():
        await stage.serve(0.05)
        assert clock.monotonic() < 5
    while stage.queue.depth:
        await stage.serve(1)
    calls = stage.calls()
    assert calls["list"] == 10
    assert calls["query"] <= 80 + 17
    await stage.client.aclose()


async def test_refused_credentials_are_told_of_though_the_tasks_are_only_listed(stage: Stage) -> None:
    await settled(stage, 20)
    stage.secret_data["customerSecret"] = "another"
    await stage.pass_time(2 * PUT_OFF * INTERVAL)
    assert {stage.reason(number) for number in range(20)} == {"CredentialsRefused"}
    stage.secret_data["customerSecret"] = SECRET["customerSecret"]
    await stage.pass_time(400)
    assert {stage.reason(number) for number in range(20)} == {"Running"}
    assert stage.agora.tasks.live(SECRET["appId"]) == 20


async def test_a_list_of_several_pages_is_made_again_after_its_credentials_were_refused(clock: Clock) -> None:
    stage = Stage(clock, agora.Budgets(0, 1, clock=clock.monotonic))
    await settled(stage, 250)
    credentials = stage.reconciler.services.credentials.last_good("uid-0000")
    assert credentials is not None
    stage.reconciler.services.budgets.report(credentials.account, agora.CredentialsRefused("list", code=403))
    clock.advance(300)
    await stage.look()
    assert stage.calls() == {"list": 3}
    await stage.quiet()
    await stage.client.aclose()


async def test_a_list_ends_what_failed_looks_have_said(stage: Stage) -> None:
    await settled(stage, 20)
    faults = [{"operation": operation, "status": 503, "times": 0} for operation in ("list", "query")]
    stage.agora.faults.remaining.extend(Fault.model_validate(fault) for fault in faults)
    await stage.pass_time(3 * INTERVAL)
    assert stage.reason(3) == "AgoraUnavailable"
    del stage.agora.faults.remaining[0]  # queries go on failing
    await stage.pass_time(2 * INTERVAL)
    reasons = Counter(stage.reason(number) for number in range(20))
    assert reasons["Running"] >= 18, "all but who was asked about in his turn"


async def test_a_row_that_is_stuck_hides_no_end_for_more_than_a_round_of_lists(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(stage, 20)
    rows = [agora.ListedTask(f"agora-{number:04}", "RUNNING", None) for number in range(20)]

    async def stuck(*_: object) -> list[agora.ListedTask]:
        return rows

    monkeypatch.setattr(stage.fleet._api, "list_running", stuck)
    stage.end(7)
    await stage.pass_time((ROUND + 1) * INTERVAL)
    assert stage.task_id(7) not in {None, "agora-0007"}


async def test_what_nobody_owns_is_not_told_while_the_list_fails(stage: Stage) -> None:
    await settled(stage, 20)
    assert stage.unowned == 0
    stage.agora.faults.remaining.append(Fault.model_validate({"operation": "list", "status": 503, "times": 0}))
    await stage.pass_time(INTERVAL + 1)
    assert stage.unowned is None


async def test_what_nobody_owns_is_counted_once_it_is_a_minute_old(stage: Stage) -> None:
    await settled(stage, 20)
    stage.run_task("stranger")
    await stage.pass_time(INTERVAL)
    assert stage.unowned == 0
    await stage.pass_time(2 * INTERVAL + 1)
    assert stage.unowned == 1
    for uid in list(stage.bodies):
        stage.reconciler.gone(uid)
    await stage.look()
    assert stage.unowned is None, "nobody tells any more"


def test_a_look_makes_the_next_one_due_after_the_next_list_and_no_tenth_later() -> None:
    """A task that was asked about with a list is in the next one: a look of its own before that is for nothing."""
    for _ in range(200):
        began = now()
        memory = Memory(poll_at=began, last_sent=began)
        memory.see(Observation("agent", "RUNNING", State.ACTIVE), 30.0)
        assert began + timedelta(seconds=30) <= memory.poll_at <= now() + timedelta(seconds=33)
