"""The look at all objects: it finds what the watch has missed, and blames it for nothing else."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, cast

import pytest

from agora_transcription.controller.resync import Resync
from unit.controller.builders import UID
from unit.controller.kubernetes_model import METRICS
from unit.controller.test_strays import vanish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.store import Secret
    from unit.controller.kubernetes_model import Body
    from unit.controller.scene import Scene


@pytest.fixture
def resync(scene: Scene) -> Resync:
    process = scene.process
    queue = cast("WorkQueue[str]", process.queue)
    return Resync(scene.server, process.cache, queue, process.reconciler, METRICS, grace=0)


async def test_a_watch_that_tells_everything_is_well(scene: Scene, resync: Resync) -> None:
    await scene.running()
    for languages in (["de-DE"], ["fr-FR"], ["it-IT"]):
        scene.server.edit(languages=languages)
        await resync.look()
    assert resync.check() is None


async def test_an_object_that_cannot_be_read_is_no_fault_of_the_watch(
    scene: Scene, resync: Resync, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.running()
    unreadable = copy.deepcopy(scene.server.object)
    assert unreadable is not None
    unreadable["metadata"]["uid"] = "unreadable"
    unreadable["spec"]["languages"] = []

    async def everything() -> AsyncIterator[Body]:
        assert scene.server.object is not None
        for body in (scene.server.object, unreadable):
            yield copy.deepcopy(body)

    monkeypatch.setattr(scene.server, "all", everything)
    for _ in range(3):
        await resync.look()
    assert "cannot be read" in caplog.text
    assert resync.check() is None
    assert not scene.process.is_due


async def test_what_the_watch_has_missed_is_worked_on_and_twice_in_a_row_says_that_it_is_dead(
    scene: Scene, resync: Resync
) -> None:
    await scene.running()
    scene.deaf()
    scene.server.edit(languages=["de-DE"])
    await resync.look()
    assert scene.process.queue.is_dirty
    assert resync.check() is None, "once can be bad luck"
    scene.server.edit(languages=["fr-FR"])
    await resync.look()
    assert resync.check() == "the last 2 resyncs found changes that the watch has not told"
    task = scene.process.cache.get(UID)
    assert task is not None
    assert task.spec.languages == ("fr-FR",)
    await resync.look()
    assert resync.check() is None, "nothing was missed any more"


async def test_what_the_watch_tells_within_its_grace_is_not_missed(scene: Scene, resync: Resync) -> None:
    await scene.running()
    scene.deaf()
    for languages in (["de-DE"], ["fr-FR"], ["it-IT"]):
        scene.server.edit(languages=languages)

        async def late(body: Body) -> None:
            scene.process.hear("MODIFIED", body)

        assert scene.server.object is not None
        telling = asyncio.create_task(late(copy.deepcopy(scene.server.object)))
        await resync.look()
        await telling
    assert resync.check() is None


async def test_an_object_that_vanished_unseen_is_dropped(scene: Scene, resync: Resync) -> None:
    await scene.running()
    scene.server.object = None
    await resync.look()
    assert scene.process.cache.get(UID) is None
    assert resync.check() is None
    await resync.look()
    assert resync.check() is None, "it is missed once only"


@pytest.mark.parametrize("by_watch", [True, False])
async def test_an_object_that_was_wrongly_taken_for_gone_comes_back(
    scene: Scene, resync: Resync, *, by_watch: bool
) -> None:
    """Unchanged, too: one event, or one list, can be wrong."""
    await scene.running()
    body = scene.server.object
    assert body is not None
    if by_watch:
        scene.process.hear("DELETED", copy.deepcopy(body))
    else:
        scene.server.object = None
        await resync.look()
        scene.server.object = body
    assert scene.process.cache.get(UID) is None
    await resync.look()
    assert scene.process.cache.get(UID) is not None
    assert scene.process.queue.is_dirty


@pytest.mark.parametrize("during", ["the list", "the grace"])
async def test_an_object_that_goes_during_a_look_does_not_come_back(
    scene: Scene, resync: Resync, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    scene.deaf()
    scene.server.create({}, guarded=False)
    body = scene.server.object
    assert body is not None
    gone = body | {"metadata": body["metadata"] | {"resourceVersion": "99"}}

    async def listed() -> AsyncIterator[Body]:
        yield body
        if during == "the list":
            scene.process.hear("DELETED", gone)
        else:
            asyncio.get_running_loop().call_soon(scene.process.hear, "DELETED", gone)

    monkeypatch.setattr(scene.server, "all", listed)
    await resync.look()
    assert scene.process.cache.gone() == {UID}
    assert scene.process.cache.get(UID) is None


async def test_a_re_list_brings_the_look_forward(scene: Scene, resync: Resync) -> None:
    """kopf's list does not tell of what was deleted before it: nothing may be kept of that."""
    await scene.running()
    scene.server.object = None
    running = asyncio.create_task(resync.run())
    resync.relisted()
    async with asyncio.timeout(5):
        while scene.process.cache.get(UID) is not None:
            await asyncio.sleep(0)
    running.cancel()
    assert resync.check() is None


async def test_deletions_that_re_lists_have_hidden_are_no_sign_of_a_dead_watch(scene: Scene, resync: Resync) -> None:
    await scene.running()
    scene.server.object = None
    await resync.look(after_relist=True)
    assert scene.process.cache.get(UID) is None
    assert resync._missed_in_a_row == 0


async def test_of_an_object_whose_end_the_watch_has_missed_nothing_is_kept(scene: Scene) -> None:
    """The removal of the finalizer was its end, so that no list can show that it vanished."""
    await scene.running()
    scene.server.request_deletion()
    scene.deaf()
    await scene.process.work()
    assert not scene.exists()
    assert scene.process.reconciler.recall(UID) is None
    assert scene.process.credentials.last_good(UID) is None


async def test_an_object_that_goes_while_its_secret_is_read_leaves_no_credentials(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.running()
    read = scene.server.secret

    async def read_slowly(namespace: str, name: str) -> Secret:
        vanish(scene)
        return await read(namespace, name)

    scene.clock.advance(61)
    monkeypatch.setattr(scene.server, "secret", read_slowly)
    scene.process.queue.add(UID)
    await scene.process.reconcile()
    assert scene.process.credentials.last_good(UID) is None
