"""Whatever happens, in whichever order: exactly one Agora task, and in the end what the spec asks for.

Hypothesis plays users, Agora, the API server, the watch and the reaper against the real reconciler. Both servers are
models with a clock that only moves when it is told to; the operator's process dies at every point that can matter.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agora_transcription.agora import Dialect, State
from agora_transcription.api import FINALIZER, Phase, Reason, RestartPolicy, TranscriptionTask
from agora_transcription.controller.grounds import ABANDON_AFTER
from agora_transcription.controller.notifications import Event, Notification
from agora_transcription.controller.steps import Farewell
from agora_transcription.controller.translate import live_settings, settings_of
from unit.controller.agora_model import TOKEN_LIFETIME, AgoraModel, AgoraTask, Character, Crash
from unit.controller.builders import SECRET, UID, Clock, api_of
from unit.controller.kubernetes_model import ApiServer, Body, Process
from unit.controller.life_events import BOUTS, CHARACTERS, DELETION, EDITS, LASTING, PAUSES, POLICY_EDITS, Bout

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agora_transcription import agora

SETTLING_SECONDS = 1500.0
"""Longer than any pause after a failure."""

GROWN_UP = 3
"""What has to have happened before the object is deleted: afterwards there is little left to see."""

LONGEST_REST = 300.0
POLL_INTERVAL = 120.0

SECRET_KEPT_SECONDS = 31.0
"""A Secret that was read is taken for current a little less long."""


class Life(RuleBasedStateMachine):
    """One object from its creation on."""

    dialect: ClassVar[Dialect]

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.clock.install(self.patch)
        self.server = ApiServer(self.clock)
        self.server.tell = self._changed
        self.watched: list[tuple[str, Body]] = []
        self.retired: set[str] = set()
        """Tasks that a rollover with overlap has replaced."""
        self.age = 0
        """How much has happened."""
        self.stripped = False
        """Somebody else has removed the finalizer."""
        self.disturbed = False
        """Agora or the Secret has stood in the way of a stop."""
        self.let_go = False
        """The object went, and its task may go on."""

    @initialize(
        character=CHARACTERS,
        guarded=st.booleans(),
        operator_first=st.booleans(),
        suspend=st.booleans(),
        policies=st.sampled_from(POLICY_EDITS),
        rollover=st.sampled_from(["Replace", "Overlap"]),
        head_start=st.booleans(),
    )
    def begin(
        self,
        character: Character,
        policies: Body,
        rollover: str,
        *,
        guarded: bool,
        operator_first: bool,
        suspend: bool,
        head_start: bool,
    ) -> None:
        self.agora = AgoraModel(self.clock, character)
        self.agora.before_call = self._check_call
        if operator_first:
            self.process = self._new_process()
        # An admission policy may have added the finalizer at creation.
        spec = {**api_of(self.dialect), "suspend": suspend, "rollover": rollover, **policies}
        self.server.create(spec, guarded=guarded)
        if operator_first:
            self._hear_all()
        else:
            self.process = self._new_process()
        if head_start:
            self._rest()

    # What happens; after it the operator works ---------------------------------------------------------------------

    @precondition(lambda self: self.exists)
    @rule(edit=st.sampled_from(EDITS), heard=st.booleans(), bout=BOUTS)
    def edit(self, edit: Body, bout: Bout, *, heard: bool) -> None:
        self._edit(edit)
        self._work_on(bout, heard=heard)

    @precondition(lambda self: self.exists and self.age >= GROWN_UP)
    @rule(heard=st.booleans(), bout=BOUTS)
    def delete(self, bout: Bout, *, heard: bool) -> None:
        self.server.request_deletion()
        self._work_on(bout, heard=heard)

    @precondition(lambda self: self.exists and not self.stripped and self.is_written)
    @rule(bout=BOUTS)
    def replace_without_finalizers(self, bout: Bout) -> None:
        """Not before the first status write: until then the finalizer is all that tells of a start that may be out."""
        if self.server.strip_finalizers():
            self.stripped = True
        self._work_on(bout)

    @rule(seconds=PAUSES, bout=BOUTS)
    def time_passes(self, seconds: float, bout: Bout) -> None:
        self.clock.advance(seconds)
        self._work_on(bout)

    @precondition(lambda self: bool(self.agora.running()))
    @rule(state=st.sampled_from([State.STOPPED, State.FAILED]), bout=BOUTS)
    def agora_ends_a_task(self, state: State, bout: Bout) -> None:
        self.agora.end(self.agora.running()[0], state)
        self._work_on(bout)

    @precondition(lambda self: self.process.cache.get(UID) is not None)
    @rule(message=st.sampled_from(["OK", "Idle for too long", "Fatal ASR error"]), earlier=st.booleans(), bout=BOUTS)
    def agora_notifies_an_end(self, message: str, bout: Bout, *, earlier: bool) -> None:
        """True or not, of the current task or of the first."""
        task = self.process.cache.get(UID)
        task_id = "agora-1" if earlier or task is None or task.status.task_id is None else task.status.task_id
        farewell = Farewell(task_id, State.FAILED if message.startswith("Fatal") else State.STOPPED, message)
        notification = Notification("notice", Event.LEFT, task_id, None, farewell, is_test=False)
        self.process.reconciler.notified(UID, notification)
        self._work_on(bout)

    @rule(there=st.booleans(), bout=BOUTS)
    def secret_changes(self, bout: Bout, *, there: bool) -> None:
        if not there:
            self.disturbed = True
        self.server.set_secret(dict(SECRET) if there else None)
        self.clock.advance(SECRET_KEPT_SECONDS)
        self._work_on(bout)

    @precondition(lambda self: self.process.cache.get(UID) is not None)
    @rule(age=st.integers(min_value=1, max_value=8), bout=BOUTS)
    def watch_repeats_an_old_version(self, age: int, bout: Bout) -> None:
        self.process.hear("MODIFIED", self._version(age))
        self._work_on(bout, heard=False)

    @rule(bout=BOUTS)
    def operator_is_killed(self, bout: Bout) -> None:
        self.process = self._new_process()
        self._work_on(bout)

    @precondition(lambda self: self.exists and not self.stripped)
    @rule(age=st.integers(min_value=2, max_value=6), bout=BOUTS)
    def another_operator_acts_on_an_old_version(self, age: int, bout: Bout) -> None:
        """One that has lost its lease, or has not heard of it yet.

        What only the lease prevents is left out: such an operator starting a task that was not wanted any more.
        """
        old, before = self._version(age), self.server.object
        other = Process(self.server, self.agora, default=self.dialect, poll_interval=POLL_INTERVAL)
        if "taskId" in old["status"] and before is not None and old["status"] != before["status"]:
            other.hear(None, old)
            self.agora.fault = self.agora.meanwhile = self.server.fault = None
        while (known := other.cache.get(UID)) and known.metadata.resource_version == old["metadata"]["resourceVersion"]:
            if not other.is_due:
                break
            self._run(other.reconcile())
        assert self.server.object == before, "a decision on an old version has been written"
        self._work_on(bout)

    def teardown(self) -> None:
        try:
            if hasattr(self, "process"):
                self._settle()
                self.no_task_is_doubled()
                self.nothing_outlives_the_object()
        finally:
            self._run(asyncio.sleep(0))
            self.loop.close()
            self.patch.undo()

    # What must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def no_task_is_doubled(self) -> None:
        if self.let_go:
            return
        current = [task.id for task in self.agora.live() if task.id not in self.retired]
        assert len(current) <= 1, f"{current} run at the same time"
        retired = [task.id for task in self.agora.running() if task.id in self.retired]
        assert len(retired) <= 1, f"{retired} should have been stopped"

    @invariant()
    def nothing_outlives_the_object(self) -> None:
        if self.server.object is None and not self.let_go:
            assert not self.agora.running()

    def _check_call(self, operation: str) -> None:
        body = self.server.object
        assert body is not None, f"{operation} for an object that is gone"
        assert FINALIZER in body["metadata"]["finalizers"], f"{operation} before the finalizer"

    # The machinery -------------------------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        return self.server.object is not None

    @property
    def is_written(self) -> bool:
        return self.server.object is not None and self.server.object["status"]["observedGeneration"] >= 0

    def _new_process(self) -> Process:
        process = Process(self.server, self.agora, default=self.dialect, poll_interval=POLL_INTERVAL)
        self.watched.clear()
        if self.server.object is not None:
            process.hear(None, self.server.object)
        return process

    def _changed(self, kind: str, body: Body) -> None:
        if "retiring" in body["status"]:
            self.retired.add(body["status"]["retiring"]["taskId"])
        if body["metadata"]["finalizers"]:
            self.stripped = False
        if kind == "DELETED":
            orphaned = body["spec"].get("deletionPolicy") == "Orphan"
            self.let_go = self.stripped or orphaned or self._may_be_abandoned(TranscriptionTask.parse(body))
        self.watched.append((kind, body))

    def _may_be_abandoned(self, task: TranscriptionTask) -> bool:
        """Only a refusal, a missing Secret or a task that Agora does not name excuses it, and only after a while."""
        deleted, ready = task.metadata.deletion_timestamp, task.status.ready
        excused = self.disturbed or (ready is not None and ready.reason == Reason.ADOPTION_UNDECIDED)
        return excused and deleted is not None and self.clock.now() >= deleted + ABANDON_AFTER

    def _hear_all(self) -> None:
        told, self.watched = self.watched, []
        for kind, body in told:
            self.process.hear(kind, body)

    def _edit(self, edit: Body) -> None:
        if self.server.object is None:
            return
        if edit == {"translation": {"enabled": False}} and "translation" not in self.server.object["spec"]:
            return
        self.server.edit(**edit)

    def _version(self, age: int) -> Body:
        return self.server.versions[-min(age, len(self.server.versions))]

    def _event(self, event: Body | str, *, heard: bool) -> Callable[[], None]:
        def happen() -> None:
            if self.server.object is None:
                return
            if isinstance(event, str):
                self.server.request_deletion()
            else:
                self._edit(event)
            if heard:
                self._hear_all()

        return happen

    def _work_on(self, bout: Bout, *, heard: bool = True) -> None:
        self.age += 1
        if heard:
            self._hear_all()
        meanwhile = bout.meanwhile if bout.meanwhile != DELETION or self.age >= GROWN_UP else None
        self.disturbed = self.disturbed or (bout.call is not None and bout.call.name in LASTING)
        self.agora.spared = {"query"} if bout.spares_queries else set()
        self.agora.fault, self.server.fault = bout.call, bout.write
        self.agora.meanwhile = None if meanwhile is None else self._event(meanwhile, heard=bout.heard)
        for _ in range(bout.steps):
            self._work()
            self._wait(at_most=10.0)

    def _work(self) -> None:
        """One reconciliation; one that is not due may come at any time, too."""
        try:
            self._run(self.process.reconcile())
        except Crash:
            self.process = self._new_process()

    def _wait(self, at_most: float) -> None:
        """Let the time pass until something is due."""
        if not self.process.is_due:
            due = self.process.queue.due
            pause = at_most if due is None else due - self.clock.monotonic()
            self.clock.advance(min(at_most, max(0.001, pause)))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    def _settle(self) -> None:
        """Without any more faults all comes to rest at what the spec asks for, and then nothing is written any more."""
        self.agora.fault = self.agora.meanwhile = self.server.fault = None
        self.server.set_secret(dict(SECRET))
        self._hear_all()
        self.clock.advance(SECRET_KEPT_SECONDS)
        self.process.queue.add(UID)
        self._rest_for(SETTLING_SECONDS)
        if self._ready_reason() == Reason.ADOPTION_UNDECIDED:
            # V6 cannot be asked which task it is that stands in the way: its lifetime is waited for.
            self.clock.advance(TOKEN_LIFETIME)
            self._rest_for(SETTLING_SECONDS)
        for _ in range(30):
            before = self.server.writes
            for _ in range(3):
                self.process.queue.add(UID)
                self._rest()
            if self.server.writes == before:
                break
        else:
            raise AssertionError("the operator never stops writing")
        if self.server.object is not None:
            self._check_end(TranscriptionTask.parse(self.server.object))

    def _ready_reason(self) -> str | None:
        if self.server.object is None:
            return None
        ready = TranscriptionTask.parse(self.server.object).status.ready
        return ready.reason if ready else None

    def _rest_for(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self._rest()

    def _rest(self) -> None:
        """Work until nothing is due, and then let the time pass until something is."""
        for _ in range(40):
            self._hear_all()
            if not self.process.is_due:
                break
            self._work()
        else:
            raise AssertionError("the operator does not come to rest")
        self._wait(at_most=LONGEST_REST)

    def _check_end(self, task: TranscriptionTask) -> None:
        assert not task.deleting, "a deleted object is let go"
        status, spec = task.status, task.spec
        assert status.observed_generation == task.metadata.generation
        conditions = {condition.type.value: condition.status for condition in status.conditions}
        match status.phase:
            case Phase.RUNNING:
                assert not spec.suspend
                assert conditions == {"Ready": "True"}
                (running,) = self.agora.live()
                self._check_task(running, task)
                if spec.active_deadline_seconds is not None:
                    assert status.first_start_time is not None
                    assert self.clock.now() < status.first_start_time + timedelta(seconds=spec.active_deadline_seconds)
            case Phase.SUSPENDED:
                assert spec.suspend
                assert conditions == {"Ready": "True"}
                assert not self.agora.live()
            case Phase.COMPLETED:
                assert conditions == {"Ready": "True"}
                assert spec.restart_policy is not RestartPolicy.ALWAYS
                assert not self.agora.live()
            case Phase.FAILED:
                assert conditions == {"Ready": "False", "Stalled": "True"}
                assert spec.active_deadline_seconds is not None or spec.restart_policy is RestartPolicy.NEVER
                assert not self.agora.live()
            case other:
                raise AssertionError(f"{other} is no end: {status.conditions}")

    def _check_task(self, running: AgoraTask, task: TranscriptionTask) -> None:
        """Agora has what the spec says, in what an update can change and in what only a restart can."""
        assert running.id == task.status.task_id
        wanted = live_settings(settings_of(task.spec))
        has = running.settings
        assert set(has.languages) == set(wanted.languages)
        assert set(has.subscribe_audio_uids or ()) == set(wanted.subscribe_audio_uids or ())
        assert has.uid_languages == wanted.uid_languages
        assert _translated(has) == _translated(wanted)
        assert running.request.idle_timeout_seconds == task.spec.idle_timeout_seconds
        assert running.request.captions.json_protocol == (task.spec.captions.format == "Json")
        assert running.request.bot_uid == task.status.bot_uid
        if task.spec.bot.uid is not None:
            assert running.request.bot_uid == task.spec.bot.uid


def _translated(has: agora.LiveSettings) -> agora.Translation | None:
    return has.translation if has.translation and has.translation.enabled else None


class LifeV7(Life):
    dialect = Dialect.V7


class LifeV6(Life):
    dialect = Dialect.V6


EFFORT = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestLifeV7 = LifeV7.TestCase
TestLifeV7.settings = EFFORT
TestLifeV6 = LifeV6.TestCase
TestLifeV6.settings = EFFORT
