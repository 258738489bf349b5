"""What is made of lists and of what a watch tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.intake import Intake
from unit.controller.builders import UID, body_of

if TYPE_CHECKING:
    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.reconciler import Reconciler
    from agora_transcription.controller.resync import Resync

Kind = Literal["ADDED", "MODIFIED", "DELETED"]


class Watch:
    """The intake, and what it has told the others."""

    def __init__(self) -> None:
        self.cache = TaskCache()
        self.created_: list[str] = []
        self.gone_: list[str] = []
        self.added: list[str] = []
        self.relists = 0
        self._intake = Intake(self.cache, cast("WorkQueue[str]", self), cast("Reconciler", self), cast("Resync", self))

    def add(self, uid: str) -> None:
        self.added.append(uid)

    def created(self, uid: str) -> None:
        self.created_.append(uid)

    def gone(self, uid: str, version: str) -> None:
        self.cache.drop(uid, version)
        self.gone_.append(uid)

    def relisted(self) -> None:
        self.relists += 1

    def lists(self, *bodies: dict[str, Any], begins: bool = True) -> None:
        self._intake.listed("/tasks", bodies, begins=begins)

    def tells(self, kind: Kind, body: dict[str, Any]) -> None:
        self._intake.told(cast("Any", {"type": kind, "object": body}))


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_a_list_that_begins_again_is_a_re_list(watch: Watch) -> None:
    """It says nothing of the objects that were deleted before it; also if it has none."""
    watch.lists(body_of())
    watch.tells("MODIFIED", body_of(resourceVersion="11"))
    watch.lists(body_of(uid="another"), begins=False)
    assert watch.relists == 0
    watch.lists()
    assert watch.relists == 1


def test_a_listed_object_may_have_been_started_by_an_earlier_process(watch: Watch) -> None:
    watch.lists(body_of())
    assert watch.created_ == []
    assert watch.added == [UID]


def test_an_object_that_comes_into_being_has_not_been_started(watch: Watch) -> None:
    watch.tells("ADDED", body_of())
    assert watch.created_ == [UID]
    assert watch.added == [UID]


def test_an_object_that_is_known_is_not_new(watch: Watch) -> None:
    watch.lists(body_of(resourceVersion="5"))
    watch.tells("ADDED", body_of(resourceVersion="6"))
    assert watch.created_ == []
    assert watch.added == [UID, UID]


@pytest.mark.parametrize("version", ["4", "5"])
def test_an_older_version_is_nothing_to_work_on(watch: Watch, version: str) -> None:
    watch.tells("ADDED", body_of(resourceVersion="5"))
    older = body_of({"suspend": True}, resourceVersion=version)
    watch.tells("ADDED", older)
    watch.tells("MODIFIED", older)
    watch.lists(older)
    assert watch.created_ == [UID]
    assert watch.added == [UID]
    task = watch.cache.get(UID)
    assert task is not None
    assert not task.spec.suspend


def test_a_version_that_comes_again_does_not_bring_an_object_back(watch: Watch) -> None:
    """It is gone with the answer to the write that let it go; a watch that begins anew then tells of its whole life."""
    life: list[tuple[Kind, dict[str, Any]]] = [
        ("ADDED", body_of(resourceVersion="5")),
        ("MODIFIED", body_of(deletionTimestamp="2026-01-01T00:00:00Z", resourceVersion="6")),
    ]
    for kind, body in life:
        watch.tells(kind, body)
    watch.cache.drop(UID)
    for kind, body in life:
        watch.tells(kind, body)
        watch.lists(body)
    assert watch.cache.get(UID) is None
    assert watch.created_ == [UID]
    assert watch.added == [UID, UID]


@pytest.mark.parametrize("known", [True, False])
def test_what_was_listed_before_its_end_does_not_bring_an_object_back(watch: Watch, *, known: bool) -> None:
    """Lists come from other connections than the watch."""
    if known:
        watch.tells("ADDED", body_of(resourceVersion="5"))
    watch.tells("DELETED", body_of(resourceVersion="9"))
    watch.lists(body_of(resourceVersion="8"))
    assert watch.cache.get(UID) is None
    assert watch.added == [UID] * known


def test_a_fault_that_one_object_brings_up_is_not_the_others(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    headless = {name: value for name, value in body_of().items() if name != "metadata"}
    unnamed = body_of()
    del unnamed["metadata"]["uid"]
    watch.lists(headless, unnamed, body_of())
    watch.tells("MODIFIED", cast("Any", None))
    assert watch.added == [UID]
    told = [record.getMessage() for record in caplog.records]
    assert [text.split()[0] for text in told] == ["None/None", "calls/standup", "None/None"]


def test_a_change_is_worked_on(watch: Watch) -> None:
    watch.tells("ADDED", body_of(resourceVersion="5"))
    watch.tells("MODIFIED", body_of({"suspend": True}, resourceVersion="6"))
    assert watch.added == [UID, UID]
    task = watch.cache.get(UID)
    assert task is not None
    assert task.spec.suspend


def test_an_object_that_cannot_be_read_is_not_worked_on(watch: Watch) -> None:
    watch.tells("ADDED", body_of({"languages": []}))
    assert (watch.created_, watch.added) == ([], [])


def test_the_end_of_an_object_is_no_work(watch: Watch) -> None:
    watch.tells("ADDED", body_of(resourceVersion="5"))
    watch.tells("DELETED", body_of(resourceVersion="6"))
    assert watch.gone_ == [UID]
    assert watch.added == [UID]
    assert len(watch.cache) == 0
