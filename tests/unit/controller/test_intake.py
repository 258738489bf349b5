"""What is made of events, in the shapes that kopf and its watch give them."""

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

    def gone(self, uid: str) -> None:
        self.cache.drop(uid)
        self.gone_.append(uid)

    def relisted(self) -> None:
        self.relists += 1

    def lists(self, body: dict[str, Any]) -> None:
        """kopf gives what it lists the type None."""
        self._intake({"type": None, "object": cast("Any", body)})

    def tells(self, kind: Kind, body: dict[str, Any]) -> bool:
        """The watch tells; answers whether kopf has to know too, and has handed it on."""
        event: Any = {"type": kind, "object": body}
        if self._intake.at_the_door(event):
            return False
        self._intake(event)
        return True


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_an_object_that_is_listed_again_tells_of_a_re_list(watch: Watch) -> None:
    """Which says nothing of the objects that were deleted before it."""
    watch.lists(body_of())
    watch.tells("MODIFIED", body_of(resourceVersion="11"))
    assert watch.relists == 0
    watch.lists(body_of(resourceVersion="11"))
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


def test_kopf_is_told_of_the_end_of_what_it_has_listed(watch: Watch) -> None:
    """It keeps something for each object that it was given, and would for ever."""
    watch.lists(body_of(resourceVersion="5"))
    assert not watch.tells("MODIFIED", body_of(resourceVersion="6"))
    assert watch.tells("DELETED", body_of(resourceVersion="7"))
    assert watch.gone_ == [UID]
    watch.tells("ADDED", body_of(uid="another"))
    assert not watch.tells("DELETED", body_of(uid="another"))
    assert watch.gone_ == [UID, "another"]


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
