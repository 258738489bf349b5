"""v6: builderTokens that start one task each, its own limits, its own shapes of errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simulator.conftest import Client, Mint

SCHEMA = "body schema check fail, "
STORAGE = {"accessKey": "a", "secretKey": "s", "bucket": "b", "vendor": 1, "region": 0}
NOT_FOUND = {"message": "The task is not found"}


async def test_acquire_hands_out_a_long_token_that_needs_no_escaping(client: Client) -> None:
    answer = await client.v6("POST", "/builderTokens", json={"instanceId": "tt-a-1"})
    assert answer.status_code == 200
    assert set(answer.json()) == {"tokenName", "createTs", "instanceId"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{300,}", answer.json()["tokenName"])
    assert (answer.json()["createTs"], answer.json()["instanceId"]) == (1_800_000_000, "tt-a-1")


@pytest.mark.parametrize(
    "body", [{}, {"instanceId": ""}, {"instanceId": "a b"}, {"instanceId": "a" * 65}, {"instanceId": "a", "x": 1}]
)
async def test_bad_acquires(client: Client, body: dict[str, Any]) -> None:
    answer = await client.v6("POST", "/builderTokens", json=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(SCHEMA)


async def test_one_instance_may_have_several_tokens(client: Client) -> None:
    assert await client.acquired("tt-a-1") != await client.acquired("tt-a-1")


async def test_start_answers_id_creation_and_status(client: Client) -> None:
    answer = await client.start(await client.acquired())
    assert answer.status_code == 200
    assert set(answer.json()) == {"taskId", "createTs", "status"}
    assert answer.json()["status"] == "STARTED"
    assert re.fullmatch(r"[0-9a-f]{32}", answer.json()["taskId"])


@pytest.mark.parametrize(
    "changes",
    [
        {"maxIdleTime": 5},
        {"maxIdleTime": 2592000},
        {"rtcConfig__subscribeAudioUids": ["all"]},
        {"languages": ["en-US", "de-DE", "fr-FR", "es-ES"]},
        {"translateConfig": {"languages": [{"source": "en-US", "target": ["de-DE"]}]}},
        {"captionConfig": {"storage": {**STORAGE, "vendor": 6}}},
    ],
)
async def test_good_starts(client: Client, changes: dict[str, Any]) -> None:
    answer = await client.start(await client.acquired(), **changes)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "tt-a-1"}, "name: unknown field"),
        ({"keywords": ["word"]}, "keywords: unknown field"),
        ({"extensionParams": {}}, "extensionParams: unknown field"),
        ({"rtcConfig__subBotUid": ...}, "rtcConfig.subBotUid: Field required"),
        ({"rtcConfig__subBotUid": "1001"}, "rtcConfig.subBotUid: must differ from pubBotUid"),
        ({"rtcConfig__subscribeAudioUids": ["all", "1"]}, '"all" must stand alone'),
        ({"maxIdleTime": 0}, "maxIdleTime"),
        ({"maxIdleTime": 4}, "maxIdleTime"),
        ({"maxIdleTime": 2592001}, "maxIdleTime"),
        ({"captionConfig": {"sliceDuration": 60}}, "captionConfig.storage: Field required"),
        ({"captionConfig": {"storage": {**STORAGE, "vendor": 2}}}, "captionConfig.storage.vendor"),
        (
            {
                "translateConfig": {
                    "languages": [{"source": "en-US", "target": ["de-DE", "fr-FR", "es-ES", "it-IT", "ja-JP", "ko-KR"]}]
                }
            },
            "translateConfig.languages.0.target",
        ),
        (
            {
                "languages": ["en-US", "de-DE"],
                "translateConfig": {"languages": [{"source": "en-US", "target": ["en-US"]}]},
            },
            "must differ from the source",
        ),
        ({"translateConfig": {"enable": True, "languages": []}}, "translateConfig"),
    ],
)
async def test_bad_starts(client: Client, changes: dict[str, Any], text: str) -> None:
    token = await client.acquired()
    answer = await client.start(token, **changes)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(SCHEMA)
    assert text in answer.json()["message"]
    # A refused body does not use the token up.
    assert (await client.start(token)).status_code == 200


async def test_start_within_five_minutes_of_acquire(client: Client) -> None:
    first, second = await client.acquired(), await client.acquired()
    client.wall.pass_(300)
    assert (await client.start(first)).status_code == 200
    client.wall.pass_(1)
    answer = await client.start(second)
    assert answer.status_code == 400
    assert answer.json() == {"message": "resourceId reaches out the limited time interval!"}


async def test_repeated_start_of_a_live_task_names_it(client: Client) -> None:
    task_id, token = await client.started()
    client.wall.pass_(1000)
    answer = await client.start(token)
    assert answer.status_code == 409
    text = f"The task has been started, current status is STARTED, taskId is {task_id}"
    assert answer.json() == {"message": text}
    assert len(await client.tasks()) == 1


@pytest.mark.parametrize("ended", [False, True], ids=["live", "ended"])
async def test_the_age_of_a_used_token_is_refused_first_where_that_is_asked_for(client: Client, *, ended: bool) -> None:
    await client.options(tokenAgeFirst=True)
    task_id, token = await client.started()
    if ended:
        await client.v6("DELETE", f"/tasks/{task_id}?builderToken={token}")
    client.wall.pass_(300)
    young = await client.start(token)
    assert young.status_code == (400 if ended else 409)
    assert "reaches out the limited time interval" not in young.text
    client.wall.pass_(1)
    old = await client.start(token)
    assert (old.status_code, old.json()) == (400, {"message": "resourceId reaches out the limited time interval!"})
    assert len(await client.tasks()) == 1


async def test_repeated_start_of_an_ended_task_is_code_49(client: Client) -> None:
    task = await client.started()
    await client.v6("DELETE", f"/tasks/{task[0]}?builderToken={task[1]}")
    answer = await client.start(task[1])
    assert (answer.status_code, answer.json()["code"]) == (400, 49)


@pytest.mark.parametrize(
    ("query", "code"), [("", 2), ("?builderToken=", 2), ("?builderToken=unknown", 1001), ("?x=1", 2)]
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/tasks"), ("GET", "/tasks/1"), ("DELETE", "/tasks/1")])
async def test_builder_token_is_required_and_has_to_be_known(
    client: Client, method: str, path: str, query: str, code: int
) -> None:
    answer = await client.v6(method, path + query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_builder_token_belongs_to_its_project(client: Client) -> None:
    token = await client.acquired(app_id="0123456789abcdef0123456789abcdef", auth=("demo-customer", "demo-secret"))
    answer = await client.start(token)
    assert (answer.status_code, answer.json()["code"]) == (400, 1003)


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("DELETE", ""), ("PATCH", "&sequenceId=1&updateMask=x")])
async def test_every_call_about_a_task_needs_its_own_token(client: Client, method: str, query: str) -> None:
    task_id, _ = await client.started("tt-a-1")
    other = await client.acquired("tt-a-2")
    answer = await client.v6(method, f"/tasks/{task_id}?builderToken={other}{query}")
    assert answer.status_code == 400
    assert answer.json() == {"code": 53, "reason": "The taskId does not match with builderToken."}


async def test_unknown_task_is_not_found(client: Client) -> None:
    token = await client.acquired()
    answer = await client.v6("GET", f"/tasks/1?builderToken={token}")
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


async def test_agent_of_v7_is_not_a_task_of_v6(client: Client) -> None:
    agent_id = await client.joined()
    token = await client.acquired()
    assert (await client.v6("GET", f"/tasks/{agent_id}?builderToken={token}")).status_code == 404
    task_id, _ = await client.started(rtcConfig__pubBotUid="5")
    assert (await client.v7("GET", f"/agents/{task_id}")).status_code == 404


async def test_stop_answers_nothing_and_a_second_one_finds_nothing(client: Client) -> None:
    task_id, token = await client.started()
    path = f"/tasks/{task_id}?builderToken={token}"
    answer = await client.v6("DELETE", path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert await client.v6_status((task_id, token)) == "STOPPED"
    answer = await client.v6("DELETE", path)
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


async def test_repeated_stop_of_a_stopping_task_is_code_49(client: Client) -> None:
    await client.options(stopDelay=10)
    task_id, token = await client.started()
    path = f"/tasks/{task_id}?builderToken={token}"
    await client.v6("DELETE", path)
    answer = await client.v6("DELETE", path)
    assert (answer.status_code, answer.json()["code"]) == (400, 49)
    assert await client.v6_status((task_id, token)) == "STOPPING"


async def test_wrong_credentials_and_unknown_projects_are_refused(client: Client) -> None:
    answer = await client.v6("POST", "/builderTokens", auth=("bare", "wrong"))
    assert (answer.status_code, answer.json()) == (401, {"message": "Invalid authentication credentials"})
    answer = await client.v6("POST", "/builderTokens", app_id="9" * 32)
    assert (answer.status_code, answer.json()) == (400, {"message": "invalid_appid!"})
    answer = await client.v6("POST", "/builderTokens", app_id="2" * 32)
    assert (answer.status_code, answer.json()["code"]) == (400, 62)


async def test_project_with_certificate_needs_a_token_for_each_bot(client: Client, mint: Mint) -> None:
    demo: dict[str, Any] = {
        "app_id": "0123456789abcdef0123456789abcdef",
        "auth": ("demo-customer", "demo-secret"),
    }
    token = await client.acquired(**demo)
    rtc = {"channelName": "standup", "pubBotUid": "1001", "subBotUid": "1002", "pubBotToken": mint.token()}
    body = {"languages": ["en-US"], "rtcConfig": rtc}
    answer = await client.v6("POST", f"/tasks?builderToken={token}", json=body, **demo)
    assert (answer.status_code, answer.json()["code"]) == (400, 2)
    assert "rtcConfig.subBotToken: required" in answer.json()["reason"]


async def test_both_bots_uids_are_taken_for_both_dialects(client: Client) -> None:
    await client.started()
    for uid in ("1001", "1002"):
        assert (await client.join(rtcConfig__pubBotUid=uid)).status_code == 400
        token = await client.acquired()
        answer = await client.start(token, rtcConfig__pubBotUid="7", rtcConfig__subBotUid=uid)
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
