"""What the gateway's store says to the real API server, with the gateway's rights: its deletes hit one object only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from agora_transcription.gateway.store import KubernetesTaskStore
from agora_transcription.gateway.tasks import ChannelTask
from agora_transcription.kube.connection import connect
from agora_transcription.kube.replies import NotFound, Outdated, StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.conftest import Rooms
    from support.kube import Body

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def store(world: Rooms) -> AsyncIterator[KubernetesTaskStore]:
    world.operator.stop()  # the objects here are nobody else's
    api = await connect(str(world.kubeconfig))
    yield KubernetesTaskStore(api, world.kube.namespace)
    await api.close()  # type: ignore[no-untyped-call]


def body(name: str) -> Body:
    return {
        "apiVersion": "transcription.dev/v1alpha1",
        "kind": "TranscriptionTask",
        "metadata": {"name": name},
        "spec": {"channel": "store", "languages": ["en-US"]},
    }


async def test_an_object_is_created_once(store: KubernetesTaskStore) -> None:
    made = await store.create(body("once"))
    assert await store.get("once") == made
    with pytest.raises(Outdated):
        await store.create(body("once"))


async def test_what_is_not_there_is_not_found(store: KubernetesTaskStore) -> None:
    with pytest.raises(NotFound):
        await store.get("nobody")


async def test_a_delete_is_for_one_object_and_not_for_the_next_of_its_name(store: KubernetesTaskStore) -> None:
    first = ChannelTask.model_validate(await store.create(body("replaced")))
    await store.delete(first, unchanged=False)
    second = await store.create(body("replaced"))
    for unchanged in (True, False):
        with pytest.raises(Outdated):
            await store.delete(first, unchanged=unchanged)
    assert await store.get("replaced") == second


async def test_a_delete_of_what_was_read_is_not_for_what_it_has_become(
    store: KubernetesTaskStore, world: Rooms
) -> None:
    read = ChannelTask.model_validate(await store.create(body("changed")))
    await world.kube.patch("changed", {"suspend": True})
    with pytest.raises(Outdated):
        await store.delete(read, unchanged=True)
    await store.delete(read, unchanged=False)
    with pytest.raises(NotFound):
        await store.get("changed")


async def test_an_object_that_the_crd_refuses_is_an_error_of_ours(store: KubernetesTaskStore) -> None:
    wrong = body("wrong")
    wrong["spec"]["channel"] = "a/b"
    with pytest.raises(StoreError) as refused:
        await store.create(wrong)
    assert refused.value.code == 422
