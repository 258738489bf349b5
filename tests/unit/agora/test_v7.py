"""The V7 dialect, as it goes over the wire and back: method, path, raw query, headers and body."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agora_transcription.agora import (
    Ambiguous,
    Field,
    Handle,
    ListedTask,
    LiveSettings,
    State,
    Translation,
    TranslationPair,
    UidLanguages,
    Update,
    Upstream,
)

if TYPE_CHECKING:
    from agora_transcription.agora import Account, Agora, StartRequest
    from support.agora import ScriptedAgora

PROJECT = "https://agora.test/api/speech-to-text/v1/projects/0123456789abcdef0123456789abcdef"
RUNNING = {"agent_id": "1NT29X10YH", "create_ts": 1700000000, "status": "RUNNING"}


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


async def test_v7_has_no_token_to_acquire_and_asks_nobody(v7: Agora, account: Account, scripted: ScriptedAgora) -> None:
    assert await v7.acquire(account, "ttask-1b2c-1") is None
    assert scripted.requests == []


@pytest.mark.parametrize("named", ["", "x" * 129, ".", "..", "a\nb", "\u202e", 7, None, ["a"]])
async def test_a_start_that_names_no_task_that_could_be_kept_is_ambiguous(
    v7: Agora, account: Account, scripted: ScriptedAgora, smallest_request: StartRequest, named: object
) -> None:
    """It is made again under the same name: the conflict and the list tell the task."""
    scripted.answers(httpx.Response(200, json={"agent_id": named, "status": "RUNNING"}))
    with pytest.raises(Ambiguous, match="names no task"):
        await v7.start(account, smallest_request, None)


async def test_smallest_join_sends_what_is_required_and_nothing_else(
    v7: Agora, account: Account, scripted: ScriptedAgora, smallest_request: StartRequest
) -> None:
    scripted.answers(httpx.Response(200, json={"agent_id": "1NT29X10YH", "create_ts": None, "status": "STARTING"}))
    started = await v7.start(account, smallest_request, None)
    assert (scripted.request.method, str(scripted.request.url)) == ("POST", f"{PROJECT}/join")
    assert scripted.request.headers["authorization"] == "Basic ZGVtby1jdXN0b21lcjpkZW1vLXNlY3JldA=="
    assert scripted.request.headers["content-type"] == "application/json"
    assert body_of(scripted.request) == {
        "name": "ttask-1b2c-1",
        "languages": ["en-US"],
        "maxIdleTime": 60,
        "rtcConfig": {"channelName": "room", "pubBotUid": "1001"},
    }
    assert (started.task_id, started.status, started.state) == ("1NT29X10YH", "STARTING", State.STARTING)
    assert started.created is None


async def test_fullest_join_names_every_field_as_agora_does(
    v7: Agora, account: Account, scripted: ScriptedAgora, fullest_request: StartRequest
) -> None:
    assert fullest_request.captions.storage is not None
    minio = replace(fullest_request.captions.storage, vendor=11, endpoint="https://minio.example.com")
    request = replace(
        fullest_request, keywords=("Agora", "kopf"), captions=replace(fullest_request.captions, storage=minio)
    )
    scripted.answers(httpx.Response(200, json=RUNNING))
    await v7.start(account, request, None)
    assert body_of(scripted.request) == {
        "name": "ttask-1b2c-2",
        "languages": ["en-US", "de-DE"],
        "maxIdleTime": 120,
        "keywords": ["Agora", "kopf"],
        "uidLanguagesConfig": [
            {"uid": "17", "languages": ["en-US"]},
            {"uid": "18", "languages": ["de-DE", "fr-FR"]},
        ],
        "rtcConfig": {
            "channelName": "room",
            "pubBotUid": "1001",
            "pubBotToken": "bot-token",
            "subBotUid": "1002",
            "subBotToken": "subscriber-token",
            "subscribeAudioUids": ["17", "18"],
            "unSubscribeAudioUids": ["99"],
            "enableJsonProtocol": True,
            "cryptionMode": 8,
            "secret": "channel-secret",
            "salt": "c2FsdA==",
        },
        "translateConfig": {
            "languages": [
                {"source": "en-US", "target": ["de-DE", "fr-FR"]},
                {"source": "de-DE", "target": ["en-US"]},
            ]
        },
        "captionConfig": {
            "sliceDuration": 30,
            "storage": {
                "vendor": 11,
                "region": 3,
                "bucket": "captions",
                "accessKey": "access",
                "secretKey": "storage-secret",
                "fileNamePrefix": ["team", "calls"],
            },
        },
        "extensionParams": {"endpoint": "https://minio.example.com", "type": "s3"},
    }


async def test_join_leaves_out_a_translation_that_is_switched_off(
    v7: Agora, account: Account, scripted: ScriptedAgora, smallest_request: StartRequest
) -> None:
    off = Translation(enabled=False, languages=(TranslationPair("en-US", ("de-DE",)),))
    scripted.answers(httpx.Response(200, json=RUNNING))
    await v7.start(
        account, replace(smallest_request, settings=replace(smallest_request.settings, translation=off)), None
    )
    assert "translateConfig" not in body_of(scripted.request)


async def test_query_reads_status_message_and_time(v7: Agora, account: Account, scripted: ScriptedAgora) -> None:
    scripted.answers(httpx.Response(200, json={**RUNNING, "message": "Idle for too long"}))
    seen = await v7.query(account, Handle("1NT29X10YH"))
    assert (scripted.request.method, str(scripted.request.url)) == ("GET", f"{PROJECT}/agents/1NT29X10YH")
    assert scripted.request.content == b""
    assert (seen.status, seen.state, seen.message) == ("RUNNING", State.ACTIVE, "Idle for too long")
    assert seen.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


async def test_an_id_is_one_path_segment_whatever_is_in_it(
    v7: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    scripted.answers(httpx.Response(200, json=RUNNING))
    await v7.query(account, Handle("a/b?c#d e%"))
    assert scripted.request.url.raw_path.decode().endswith("/agents/a%2Fb%3Fc%23d%20e%25")


ALL_FIELDS = frozenset(Field)
SETTINGS = LiveSettings(
    languages=("en-US", "fr-FR"),
    subscribe_audio_uids=("7",),
    uid_languages=(UidLanguages("7", ("fr-FR",)),),
    translation=Translation(enabled=True, languages=(TranslationPair("en-US", ("fr-FR",)),)),
)
CLEARED = LiveSettings(
    languages=("en-US",),
    translation=Translation(enabled=False, languages=(TranslationPair("en-US", ("fr-FR",)),)),
)
NEVER = LiveSettings(languages=("en-US",))

UPDATES = [
    pytest.param(
        frozenset({Field.LANGUAGES}), SETTINGS, "languages", {"languages": ["en-US", "fr-FR"]}, id="languages"
    ),
    pytest.param(
        frozenset({Field.SUBSCRIBE_AUDIO_UIDS}),
        SETTINGS,
        "rtcConfig.subscribeAudioUids",
        {"rtcConfig": {"subscribeAudioUids": ["7"]}},
        id="speakers",
    ),
    pytest.param(
        frozenset({Field.SUBSCRIBE_AUDIO_UIDS}),
        CLEARED,
        "rtcConfig.subscribeAudioUids",
        {"rtcConfig": {"subscribeAudioUids": ["all"]}},
        id="all speakers",
    ),
    pytest.param(
        frozenset({Field.UID_LANGUAGES}),
        CLEARED,
        "uidLanguagesConfig",
        {"uidLanguagesConfig": []},
        id="uid languages cleared",
    ),
    pytest.param(
        frozenset({Field.TRANSLATION}),
        CLEARED,
        "translateConfig.enable,translateConfig.languages",
        {"translateConfig": {"enable": False, "languages": [{"source": "en-US", "target": ["fr-FR"]}]}},
        id="translation off keeps its languages",
    ),
    pytest.param(
        frozenset({Field.TRANSLATION}),
        NEVER,
        "translateConfig.enable",
        {"translateConfig": {"enable": False}},
        id="translation removed",
    ),
    pytest.param(
        ALL_FIELDS,
        SETTINGS,
        "languages,rtcConfig.subscribeAudioUids,uidLanguagesConfig,translateConfig.enable,translateConfig.languages",
        {
            "languages": ["en-US", "fr-FR"],
            "rtcConfig": {"subscribeAudioUids": ["7"]},
            "uidLanguagesConfig": [{"uid": "7", "languages": ["fr-FR"]}],
            "translateConfig": {"enable": True, "languages": [{"source": "en-US", "target": ["fr-FR"]}]},
        },
        id="everything at once",
    ),
]


@pytest.mark.parametrize(("fields", "settings", "mask", "body"), UPDATES)
async def test_update_masks_what_it_sends_with_bare_commas(
    v7: Agora,
    account: Account,
    scripted: ScriptedAgora,
    fields: frozenset[Field],
    settings: LiveSettings,
    mask: str,
    body: dict[str, object],
) -> None:
    scripted.answers(httpx.Response(200, json=RUNNING))
    await v7.update(account, Handle("1NT29X10YH"), Update(7, fields, settings))
    assert scripted.request.method == "POST"
    assert str(scripted.request.url) == f"{PROJECT}/agents/1NT29X10YH/update?sequenceId=7&updateMask={mask}"
    assert body_of(scripted.request) == body


@pytest.mark.parametrize("body", [b"", b"not JSON", b'{"status": 1'])
async def test_leave_sends_no_body_and_needs_none(
    v7: Agora, account: Account, scripted: ScriptedAgora, body: bytes
) -> None:
    scripted.answers(httpx.Response(200, content=body))
    await v7.stop(account, Handle("1NT29X10YH"))
    assert (scripted.request.method, str(scripted.request.url)) == ("POST", f"{PROJECT}/agents/1NT29X10YH/leave")
    assert scripted.request.content == b""


UNREADABLE = [
    b"",
    b"null",
    b"[]",
    b'"RUNNING"',
    b"{}",
    b'{"agent_id": ""}',
    b'{"agent_id": 7}',
    b'{"agent_id": "x"',
    b"\xff",
]


@pytest.mark.parametrize("body", UNREADABLE)
async def test_join_whose_200_names_no_agent_may_have_had_its_effect(
    v7: Agora, account: Account, scripted: ScriptedAgora, smallest_request: StartRequest, body: bytes
) -> None:
    scripted.answers(httpx.Response(200, content=body))
    with pytest.raises(Ambiguous):
        await v7.start(account, smallest_request, None)


@pytest.mark.parametrize("body", [*UNREADABLE, b'{"agent_id": "x", "status": null}'])
async def test_query_whose_200_has_no_status_says_nothing_about_the_agent(
    v7: Agora, account: Account, scripted: ScriptedAgora, body: bytes
) -> None:
    scripted.answers(httpx.Response(200, content=body))
    with pytest.raises(Upstream):
        await v7.query(account, Handle("1NT29X10YH"))


def page(*ids: str, cursor: str = "", status: str = "RUNNING", total: int | None = None) -> httpx.Response:
    rows = [{"agent_id": task_id, "status": status, "start_ts": 1700000000} for task_id in ids]
    return httpx.Response(
        200,
        json={
            "data": {"count": len(rows), "list": rows},
            "meta": {"cursor": cursor, "total": len(rows) if total is None else total},
            "status": "ok",
        },
    )


SINCE = datetime(2023, 11, 14, 22, 0, tzinfo=UTC)


async def test_list_asks_for_each_live_state_with_an_explicit_window(
    v7: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    scripted.answers(page(), page("a", status="STARTING"), page("b"), page(), page("c", status="RECOVERING"))
    found = await v7.list_live(account, "my room/1", SINCE)
    started = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert found == [
        ListedTask("a", "STARTING", started),
        ListedTask("b", "RUNNING", started),
        ListedTask("c", "RECOVERING", started),
    ]
    assert [request.url.raw_path.decode().partition("?")[2] for request in scripted.requests] == [
        f"channel=my%20room%2F1&from_time=1699999200&limit=100&state={state}" for state in (0, 1, 2, 3, 5)
    ]


async def test_list_follows_the_cursor_through_short_pages_to_the_empty_one(
    v7: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    scripted.answers(page(), page(), page("a", cursor="a"), page("b", cursor="b"), page(cursor="b"), page(), page())
    found = await v7.list_live(account, "room", SINCE)
    assert [row.task_id for row in found] == ["a", "b"]
    assert [request.url.params.get("cursor") for request in scripted.requests] == [
        None,
        None,
        None,
        "a",
        "b",
        None,
        None,
    ]


async def test_list_does_not_circle_when_a_cursor_repeats(v7: Agora, account: Account, scripted: ScriptedAgora) -> None:
    circle = [page("a", cursor="x"), page("b", cursor="y"), page("a", cursor="x")]
    scripted.answers(page(), page(), *circle, page(), page())
    assert [row.task_id for row in await v7.list_live(account, "room", SINCE)] == ["a", "b"]
    assert len(scripted.requests) == 7


async def test_a_list_that_goes_in_circles_before_it_has_shown_all_is_none(
    v7: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    """A server that does not know cursors answers the first page again and again: the others must not seem gone."""
    scripted.answers(page("a", "b", cursor="b", total=5), page("a", "b", cursor="b", total=5))
    with pytest.raises(Upstream, match="no end"):
        await v7.list_running(account, SINCE)


async def test_a_list_without_an_end_is_none(v7: Agora, account: Account, scripted: ScriptedAgora) -> None:
    scripted.answers(*(page(f"task-{number}", cursor=f"task-{number}") for number in range(1001)))
    with pytest.raises(Upstream, match="no end"):
        await v7.list_running(account, SINCE)
    assert len(scripted.requests) == 1000


async def test_running_tasks_of_all_channels_are_listed_with_a_wait_before_each_further_page(
    v7: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    waits: list[int] = []

    async def more() -> None:
        waits.append(len(scripted.requests))

    scripted.answers(page("a", cursor="a"), page("b", cursor="b"), page("c"))
    assert [row.task_id for row in await v7.list_running(account, SINCE, more)] == ["a", "b", "c"]
    assert waits == [1, 2]
    assert [request.url.raw_path.decode().partition("?")[2] for request in scripted.requests] == [
        "from_time=1699999200&limit=100&state=2",
        "from_time=1699999200&limit=100&state=2&cursor=a",
        "from_time=1699999200&limit=100&state=2&cursor=b",
    ]


async def test_the_live_tasks_of_a_project_cost_a_wait_for_each_state_but_the_first(
    v7: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    waits: list[int] = []

    async def more() -> None:
        waits.append(len(scripted.requests))

    scripted.answers(*(page(str(state)) for state in range(5)))
    assert len(await v7.list_live(account, None, SINCE, more)) == 5
    assert waits == [1, 2, 3, 4]
    assert all("channel" not in request.url.params for request in scripted.requests)


async def test_list_names_a_task_once_that_changes_state_meanwhile(
    v7: Agora, account: Account, scripted: ScriptedAgora
) -> None:
    scripted.answers(page(), page("a", status="STARTING"), page("a"), page(), page())
    assert [(row.task_id, row.status) for row in await v7.list_live(account, "room", SINCE)] == [("a", "RUNNING")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"data": []}',
        b'{"data": {"list": [{"status": "RUNNING"}]}}',
        b'{"data": {"list": [{"agent_id": ".."}]}}',
        b'{"data": {"list": [{"agent_id": 7}]}}',
    ],
)
async def test_list_that_cannot_be_read_is_not_an_empty_one(
    v7: Agora, account: Account, scripted: ScriptedAgora, body: bytes
) -> None:
    scripted.answers(httpx.Response(200, content=body))
    with pytest.raises(Upstream):
        await v7.list_live(account, "room", SINCE)
