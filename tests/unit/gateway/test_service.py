"""What may happen between two requests of a start or a stop, one thing at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription.gateway import passes
from agora_transcription.gateway.answers import Refusal
from agora_transcription.gateway.bodies import TaskRequest
from agora_transcription.gateway.files import Files
from agora_transcription.gateway.passes import Pass
from agora_transcription.gateway.service import Transcriptions
from agora_transcription.gateway.tasks import UNSEEN, manifest, name_of
from agora_transcription.kube.replies import StoreError
from unit.gateway.fakes import RUNNING, SIGNING_KEY, STALLED, FakeStore, failing, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.settings import GatewaySettings

NAME = name_of("test")


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return settings_of(tmp_path)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(RUNNING)


@pytest.fixture
def service(store: FakeStore, settings: GatewaySettings) -> Transcriptions:
    return Transcriptions(store, Files(settings), settings)


def request_of(uid: str, task_id: str = "agora-1") -> TaskRequest:
    return TaskRequest(task_id, passes.sign(Pass("rooms", NAME, uid, task_id), SIGNING_KEY.encode()))


async def test_an_answer_to_the_create_that_is_lost_costs_nothing(service: Transcriptions, store: FakeStore) -> None:
    async def lost() -> None:
        store.put(body, RUNNING)
        raise StoreError("create", None, "the connection was closed")

    body = manifest("test", service._settings, "another call")
    store.before["create"] = lost
    assert (await service.start("test")).task_id == "agora-1"
    assert store.calls.count("create") == 1


@pytest.mark.parametrize("code", [None, 500, 503, 429])
async def test_what_may_pass_is_tried_again(service: Transcriptions, store: FakeStore, code: int | None) -> None:
    for call in ("get", "create"):
        store.before[call] = failing(StoreError(call, code, "not now"))
    assert (await service.start("test")).task_id == "agora-1"


@pytest.mark.parametrize("code", [400, 403, 422])
async def test_what_will_not_pass_is_a_502_at_once(service: Transcriptions, store: FakeStore, code: int) -> None:
    store.before["create"] = failing(StoreError("create", code, "a quota says no"))
    with pytest.raises(Refusal, match=r"^502 the cluster does not answer, or refuses$"):
        await service.start("test")
    assert store.calls.count("create") == 1


async def test_a_task_that_comes_at_the_last_moment_is_answered(service: Transcriptions, store: FakeStore) -> None:
    """The delete is for the version without a task: with one, another call may have been answered already."""
    store.status = {"observedGeneration": 1}

    async def comes_up() -> None:
        store.write(NAME, RUNNING)

    store.before["delete"] = comes_up
    assert (await service.start("test")).task_id == "agora-1"
    assert store.calls.count("delete") == 1
    assert NAME in store.objects


async def test_only_the_call_that_has_made_an_object_takes_it_away(service: Transcriptions, store: FakeStore) -> None:
    store.put(manifest("test", service._settings, "another call"), {"observedGeneration": 1})
    with pytest.raises(Refusal, match="504 the transcription has not started in 1 s: Pending"):
        await service.start("test")
    assert "delete" not in store.calls
    assert NAME in store.objects


async def test_an_object_that_no_operator_has_seen_is_said_to_be_one(
    service: Transcriptions, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.status = {"observedGeneration": -1}
    with pytest.raises(Refusal) as refused:
        await service.start("test")
    assert str(refused.value) == f"504 the transcription has not started in 1 s: {UNSEEN}"
    # Its namespace is none of a caller's business.
    assert "rooms" not in str(refused.value)
    assert caplog.messages == [f"No operator has taken up rooms/{NAME}: does one watch rooms?"]


async def test_all_that_wait_for_a_failing_object_are_told(service: Transcriptions, store: FakeStore) -> None:
    store.status = {"observedGeneration": 1}
    starts = [asyncio.create_task(service.start("test")) for _ in range(5)]
    while store.calls.count("get") < 10:
        await asyncio.sleep(0.01)
    store.write(NAME, STALLED)
    ends = await asyncio.gather(*starts, return_exceptions=True)
    told = [end for end in ends if isinstance(end, Refusal) and end.status in {502, 504}]
    assert len(told) == 5
    assert any("CredentialsRefused" in end.text for end in told)
    assert NAME not in store.objects


@pytest.mark.parametrize(
    "status",
    [STALLED, {"observedGeneration": 1, "completionTime": "2026-11-21T08:00:00Z"}],
    ids=["failed", "over"],
)
async def test_what_an_earlier_start_has_left_is_replaced(
    service: Transcriptions, store: FakeStore, status: dict[str, Any]
) -> None:
    store.put(manifest("test", service._settings, "long ago"), status, uid="left")
    assert (await service.start("test")).task_id == "agora-1"
    assert store.objects[NAME]["metadata"]["uid"] != "left"


async def test_a_task_that_is_being_stopped_is_not_answered(service: Transcriptions, store: FakeStore) -> None:
    store.put(manifest("test", service._settings, "before"), {**RUNNING, "stopReason": "SpecChanged"})
    with pytest.raises(Refusal, match=r"^504"):
        await service.start("test")


@pytest.mark.parametrize("change", [{"labels": {}}, {"channel": "other"}])
async def test_another_object_under_the_name_is_refused(
    service: Transcriptions, store: FakeStore, change: dict[str, Any]
) -> None:
    body = manifest("test", service._settings, "a call")
    if "labels" in change:
        body["metadata"]["labels"] = {}
    else:
        body["spec"]["channel"] = "other"
    store.put(body, RUNNING)
    with pytest.raises(Refusal, match=r"502 .* another object has its name"):
        await service.start("test")
    assert "delete" not in store.calls


async def test_an_object_that_cannot_be_read_is_refused(service: Transcriptions, store: FakeStore) -> None:
    body = manifest("test", service._settings, "a call")
    body["spec"]["languages"] = []
    store.put(body)
    with pytest.raises(Refusal, match="502 the transcription's object cannot be read"):
        await service.start("test")


async def test_a_stop_waits_until_the_object_is_gone(service: Transcriptions, store: FakeStore) -> None:
    store.finalizers = True
    store.put(manifest("test", service._settings, "a call"), RUNNING, uid="this")
    stopping = asyncio.create_task(service.stop(request_of("this")))
    while store.calls.count("get") < 3:
        await asyncio.sleep(0.01)
    assert not stopping.done()
    assert store.calls.count("delete") == 1
    del store.objects[NAME]
    await stopping


async def test_a_stop_that_is_not_done_in_time_says_so(service: Transcriptions, store: FakeStore) -> None:
    store.finalizers = True
    store.put(manifest("test", service._settings, "a call"), RUNNING, uid="this")
    with pytest.raises(Refusal, match="504 the transcription is being stopped, and has not ended in 1 s"):
        await service.stop(request_of("this"))


async def test_a_stop_as_the_next_object_comes_leaves_that_alone(service: Transcriptions, store: FakeStore) -> None:
    async def replaced() -> None:
        store.put(manifest("test", service._settings, "the next"), RUNNING, uid="next")

    store.put(manifest("test", service._settings, "a call"), RUNNING, uid="this")
    store.before["delete"] = replaced
    await service.stop(request_of("this"))
    assert store.objects[NAME]["metadata"]["uid"] == "next"


async def test_a_stop_without_a_cluster_is_a_502(service: Transcriptions, store: FakeStore) -> None:
    store.before["get"] = failing(StoreError("get", None, "refused"))
    with pytest.raises(Refusal, match=r"^502"):
        await service.stop(request_of("this"))


@pytest.mark.parametrize("task_id", ["agora-2", ""])
async def test_a_task_id_that_is_not_the_tokens_is_a_403(service: Transcriptions, task_id: str) -> None:
    with pytest.raises(Refusal, match=r"^403"):
        await service.stop(TaskRequest(task_id, request_of("this").builder_token))


async def test_a_token_stays_good_when_the_operator_has_replaced_the_task(
    service: Transcriptions, store: FakeStore
) -> None:
    """A rollover, or a restart: the caller knows the first id only."""
    store.put(manifest("test", service._settings, "a call"), {**RUNNING, "taskId": "agora-2"}, uid="this")
    assert (await service.query(request_of("this"))).task_id == "agora-1"
    await service.stop(request_of("this"))
    assert NAME not in store.objects


@pytest.mark.parametrize(
    ("status", "metadata", "word"),
    [
        (RUNNING, {}, "IN_PROGRESS"),
        ({"observedGeneration": 1}, {}, "PREPARING"),
        (RUNNING, {"deletionTimestamp": "2026-11-21T08:00:01Z"}, "STOPPING"),
        (STALLED, {}, None),
        ({"observedGeneration": 1, "completionTime": "2026-11-21T08:00:00Z"}, {}, None),
        (RUNNING, {"uid": "next"}, None),
    ],
)
async def test_the_word_of_a_query(
    service: Transcriptions, store: FakeStore, status: dict[str, Any], metadata: dict[str, Any], word: str | None
) -> None:
    store.put(manifest("test", service._settings, "a call"), status, **{"uid": "this", **metadata})
    if word is None:
        with pytest.raises(Refusal, match="404 the transcription has ended"):
            await service.query(request_of("this"))
    else:
        assert (await service.query(request_of("this"))).status == word
