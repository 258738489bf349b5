"""The newest known version of every object; older echoes are dropped."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agora_transcription.controller.cache import FORMER_TASKS, GONE, TaskCache, is_newer
from unit.controller.builders import UID, body_of


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [
        ("10", "9", True),
        ("9", "10", False),
        ("10", "10", False),
        ("abc", "abd", True),
        ("abc", "abc", False),
        ("10", "abc", True),
    ],
)
def test_versions_are_compared_as_numbers_where_they_are_some(version: str, than: str, *, newer: bool) -> None:
    assert is_newer(version, than) is newer


def test_an_older_echo_is_dropped() -> None:
    cache = TaskCache()
    assert cache.offer(body_of(resourceVersion="100"))
    assert not cache.offer(body_of({"suspend": True}, resourceVersion="99"))
    assert not cache.offer(body_of({"suspend": True}, resourceVersion="100"))
    task = cache.get(UID)
    assert task is not None
    assert not task.spec.suspend


def test_a_newer_version_replaces() -> None:
    cache = TaskCache()
    cache.offer(body_of(resourceVersion="99"))
    assert cache.offer(body_of({"suspend": True}, resourceVersion="100"))
    task = cache.get(UID)
    assert task is not None
    assert task.spec.suspend


def test_an_object_that_is_gone_comes_back_only_by_a_newer_version() -> None:
    """What was wrongly taken for gone is not lost by it."""
    cache = TaskCache()
    cache.offer(body_of(resourceVersion="100"))
    cache.drop(UID)
    cache.drop(UID)
    assert not cache.offer(body_of(resourceVersion="99"))
    assert not cache.offer(body_of(resourceVersion="100"))
    assert cache.get(UID) is None
    assert cache.offer(body_of(resourceVersion="101"))


def test_only_the_last_of_what_is_gone_is_kept_in_mind() -> None:
    cache = TaskCache()
    for number in range(GONE + 1):
        cache.drop(f"uid-{number}", "1")
    cache.drop("uid-1", "2")
    assert len(cache.gone()) == GONE
    assert "uid-0" not in cache.gone()


def test_an_object_that_cannot_be_read_is_left_out_and_its_values_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = TaskCache()
    assert not cache.offer(body_of({"languages": ["no language at all"]}))
    assert len(cache) == 0
    assert "spec.languages" in caplog.text
    assert "no language at all" not in caplog.text


def test_a_name_that_is_given_again_is_another_object() -> None:
    cache = TaskCache()
    cache.offer(body_of(resourceVersion="5"))
    cache.offer(body_of(resourceVersion="3", uid="another"))
    assert len(cache) == 2
    assert cache.drop("another") is not None
    assert cache.drop("another") is None
    assert [task.metadata.uid for task in cache] == [UID]


def test_tasks_of_others_and_former_tasks_are_known() -> None:
    cache = TaskCache()
    history = [{"taskId": "mine-before", "endTime": "2026-11-21T08:00:00Z", "reason": "Idle"}]
    cache.offer(body_of(status={"observedGeneration": 1, "taskId": "mine", "history": history}))
    theirs = [{"taskId": "theirs-before", "endTime": "2026-11-21T08:00:00Z", "reason": "Idle"}]
    status = {"observedGeneration": 1, "taskId": "theirs", "retiring": {"taskId": "retiring"}, "history": theirs}
    cache.offer(body_of(status=status, uid="another"))
    assert cache.known_task_ids(but=UID) == {"mine-before", "theirs", "retiring", "theirs-before"}
    assert cache.known_task_ids(but="another") == {"mine-before", "mine", "retiring", "theirs-before"}


def test_the_owner_of_an_agora_task_is_found() -> None:
    cache = TaskCache()

    def offer(version: int, task_id: str | None, uid: str = UID) -> None:
        status = {"observedGeneration": 1, **({"taskId": task_id} if task_id else {})}
        cache.offer(body_of(status=status, resourceVersion=str(version), uid=uid))

    offer(1, None)
    assert cache.owner("first") is None
    offer(2, "first")
    offer(1, "old echo")
    assert (cache.owner("first"), cache.owner("old echo")) == (UID, None)
    offer(3, "second")
    assert (cache.owner("first"), cache.owner("second")) == (None, UID)
    offer(4, "second")
    offer(1, "first", "another")
    assert (cache.owner("first"), cache.owner("second")) == ("another", UID)
    offer(5, None)
    cache.drop("another")
    assert (cache.owner("first"), cache.owner("second")) == (None, None)


def test_an_owner_is_not_forgotten_with_another_that_claimed_the_same_task() -> None:
    cache = TaskCache()
    status = {"observedGeneration": 1, "taskId": "claimed"}
    cache.offer(body_of(status=status))
    cache.offer(body_of(status=status, uid="another"))
    cache.drop(UID)
    assert cache.owner("claimed") == "another"


def test_the_tasks_of_an_object_that_is_gone_stay_known_to_the_others() -> None:
    cache = TaskCache()
    cache.offer(body_of(status={"observedGeneration": 1, "taskId": "theirs"}, uid="another", name="another"))
    cache.drop("another")
    assert cache.known_task_ids(but=UID) == {"theirs"}
    assert cache.known_task_ids(but="another") == set(), "it was not gone after all"
    for number in range(FORMER_TASKS):
        cache.bury(UID, f"agora-{number}")
    assert "theirs" not in cache.known_task_ids(but="lecture"), "there is an end to it"
    assert len(cache.known_task_ids(but="lecture")) == FORMER_TASKS


def test_it_is_read_from_another_thread_while_objects_come_and_go() -> None:
    """As /metrics does."""
    cache, done = TaskCache(), threading.Event()
    for number in range(2000):
        cache.offer(body_of(uid=f"uid-{number}", name=f"name-{number}"))

    def count() -> int:
        counted = 0
        while not done.is_set():
            sum(1 for _ in cache)
            counted += 1
        return counted

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor() as threads:
            counting = threads.submit(count)
            for number in range(2000):
                cache.drop(f"uid-{number}")
            done.set()
            assert counting.result() > 0
    finally:
        sys.setswitchinterval(interval)
