"""What is made of the watch's events, in the shapes that kopf gives them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import pytest

from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.handlers import LONGEST_BACKOFF_SECONDS, make_registry, make_settings
from unit.controller.builders import UID, body_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import kopf

    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.reconciler import Reconciler
    from agora_transcription.controller.resync import Resync


class Watch:
    """The handler, and what it has told the others."""

    def __init__(self) -> None:
        self.cache = TaskCache()
        self.created_: list[str] = []
        self.gone_: list[str] = []
        self.added: list[str] = []
        self.relists = 0
        registry = make_registry(
            self.cache, cast("WorkQueue[str]", self), cast("Reconciler", self), cast("Resync", self), self.login
        )
        (handler,) = registry._watching.get_all_handlers()  # kopf has no other way to ask
        self._handler = cast("Callable[..., Awaitable[None]]", handler.fn)

    async def login(self) -> kopf.AiohttpSession:
        raise NotImplementedError

    def add(self, uid: str) -> None:
        self.added.append(uid)

    def created(self, uid: str) -> None:
        self.created_.append(uid)

    def gone(self, uid: str) -> None:
        self.cache.drop(uid)
        self.gone_.append(uid)

    def relisted(self) -> None:
        self.relists += 1

    async def tell(self, kind: str | None, body: dict[str, Any]) -> None:
        await self._handler(event={"type": kind, "object": body}, memo=None, patch=None)


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def test_an_object_that_is_listed_again_tells_of_a_re_list(watch: Watch) -> None:
    """Which says nothing of the objects that were deleted before it."""
    await watch.tell(None, body_of())
    await watch.tell("MODIFIED", body_of(resourceVersion="11"))
    assert watch.relists == 0
    await watch.tell(None, body_of(resourceVersion="11"))
    assert watch.relists == 1


def test_the_api_server_may_be_away_for_long() -> None:
    """kopf ends the operator with the last of the pauses: there is none, and all are short."""
    pauses = list(islice(cast("Iterable[float]", make_settings().networking.error_backoffs), 500))
    assert sum(pauses) > 3600
    assert max(pauses) <= LONGEST_BACKOFF_SECONDS


async def test_a_listed_object_may_have_been_started_by_an_earlier_process(watch: Watch) -> None:
    """kopf gives what it lists the type None: it may be as old as can be."""
    await watch.tell(None, body_of())
    assert watch.created_ == []
    assert watch.added == [UID]


async def test_an_object_that_comes_into_being_has_not_been_started(watch: Watch) -> None:
    await watch.tell("ADDED", body_of())
    assert watch.created_ == [UID]
    assert watch.added == [UID]


async def test_an_object_that_is_known_is_not_new(watch: Watch) -> None:
    await watch.tell(None, body_of(resourceVersion="5"))
    await watch.tell("ADDED", body_of(resourceVersion="6"))
    assert watch.created_ == []
    assert watch.added == [UID, UID]


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", None])
async def test_an_older_echo_is_nothing_to_work_on(watch: Watch, kind: str | None) -> None:
    await watch.tell("ADDED", body_of(resourceVersion="5"))
    for version in ("4", "5"):
        await watch.tell(kind, body_of({"suspend": True}, resourceVersion=version))
    assert watch.created_ == [UID]
    assert watch.added == [UID]
    task = watch.cache.get(UID)
    assert task is not None
    assert not task.spec.suspend


async def test_a_change_is_worked_on(watch: Watch) -> None:
    await watch.tell("ADDED", body_of(resourceVersion="5"))
    await watch.tell("MODIFIED", body_of({"suspend": True}, resourceVersion="6"))
    assert watch.added == [UID, UID]
    task = watch.cache.get(UID)
    assert task is not None
    assert task.spec.suspend


async def test_an_object_that_cannot_be_read_is_not_worked_on(watch: Watch) -> None:
    await watch.tell("ADDED", body_of({"languages": []}))
    assert (watch.created_, watch.added) == ([], [])


async def test_the_end_of_an_object_is_no_work(watch: Watch) -> None:
    await watch.tell("ADDED", body_of(resourceVersion="5"))
    await watch.tell("DELETED", body_of(resourceVersion="6"))
    assert watch.gone_ == [UID]
    assert watch.added == [UID]
    assert len(watch.cache) == 0


def test_kopf_writes_nothing_and_scans_nothing() -> None:
    settings = make_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.queueing.worker_limit is None
