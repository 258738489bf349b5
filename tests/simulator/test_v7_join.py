"""v7's join: whose call it is, what its body may say, whose tokens count, and that a name is given once."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simulator.conftest import Client, Mint

DEMO_APP_ID = "0123456789abcdef0123456789abcdef"
DEMO = {"app_id": DEMO_APP_ID, "auth": ("demo-customer", "demo-secret")}
STORAGE = {"accessKey": "a", "secretKey": "s", "bucket": "b", "vendor": 1, "region": 0}
SALT = base64.b64encode(bytes(32)).decode()


def pairs(count: int, targets: int = 1) -> list[dict[str, Any]]:
    sources = ["en-US", "de-DE", "fr-FR", "es-ES", "it-IT"][:count]
    others = ["ja-JP", "ko-KR", "zh-CN", "pl-PL", "pt-BR", "ru-RU", "tr-TR", "uk-UA", "vi-VN", "th-TH", "sv-SE"]
    return [{"source": source, "target": others[:targets]} for source in sources]


async def test_join_answers_id_creation_and_status(client: Client) -> None:
    answer = await client.join()
    assert answer.status_code == 200
    assert set(answer.json()) == {"agent_id", "create_ts", "status"}
    assert answer.json()["create_ts"] == 1_800_000_000
    assert answer.json()["status"] == "RUNNING"
    assert len(answer.json()["agent_id"]) == 26
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"languages": ["en-US", "de-DE", "fr-FR", "zh-CN-sichuan"]},
        {"maxIdleTime": 0},
        {"maxIdleTime": 259200},
        {"keywords": ["word"] * 500},
        {"uidLanguagesConfig": [{"uid": str(uid), "languages": ["de-DE"]} for uid in range(1, 6)]},
        {"uidLanguagesConfig": []},
        {"rtcConfig__subscribeAudioUids": [str(uid) for uid in range(1, 33)]},
        {"rtcConfig__unSubscribeAudioUids": ["1", "2", "3", "4", "4294967295"]},
        {"rtcConfig__subBotUid": "1001"},
        {"rtcConfig__subBotUid": "1002"},
        {"rtcConfig__enableJsonProtocol": True},
        {"rtcConfig__cryptionMode": 6, "rtcConfig__secret": "s"},
        {"rtcConfig__cryptionMode": 7, "rtcConfig__secret": "s", "rtcConfig__salt": SALT},
        {"translateConfig": {"languages": pairs(4, 10)}},
        {"languages": ["en-US", "de-DE"], "translateConfig": {"languages": [{"source": "en-US", "target": ["en-US"]}]}},
        {"captionConfig": {"sliceDuration": 28800}},
        {"captionConfig": {"storage": {**STORAGE, "fileNamePrefix": ["team-1", "standup"]}}},
        {"captionConfig": {"storage": {**STORAGE, "vendor": 11}}, "extensionParams": {"endpoint": "https://s3.test"}},
        {"name": "a" * 64},
        {"rtcConfig__channelName": "A channel: 1/2".replace("/", "-")},
    ],
)
async def test_good_joins(client: Client, changes: dict[str, Any]) -> None:
    answer = await client.join(**changes)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"languages": ...}, "MissingRequiredField", "languages: Field required"),
        ({"rtcConfig": ...}, "MissingRequiredField", "rtcConfig: Field required"),
        ({"rtcConfig__pubBotUid": ...}, "MissingRequiredField", "rtcConfig.pubBotUid: Field required"),
        ({"language": ["en-US"]}, "InvalidRequestBody", "language: unknown field"),
        ({"rtcConfig__channel": "x"}, "InvalidRequestBody", "rtcConfig.channel: unknown field"),
        ({"translateConfig": {"enable": True, "languages": pairs(1)}}, "InvalidRequestBody", "translateConfig.enable"),
        ({"name": ""}, "InvalidFieldValue", "name"),
        ({"name": "a" * 65}, "InvalidFieldValue", "name"),
        ({"name": "a b"}, "InvalidFieldValue", "name"),
        ({"languages": []}, "InvalidFieldValue", "languages"),
        ({"languages": ["en-US", "de-DE", "fr-FR", "es-ES", "it-IT"]}, "InvalidFieldValue", "languages"),
        ({"languages": ["en-UK"]}, "InvalidFieldValue", "languages.0: unsupported language"),
        ({"languages": ["en-US", "en-US"]}, "InvalidFieldValue", "languages: must not hold a value twice"),
        ({"languages": "en-US"}, "InvalidFieldValue", "languages"),
        ({"maxIdleTime": -1}, "InvalidFieldValue", "maxIdleTime"),
        ({"maxIdleTime": 259201}, "InvalidFieldValue", "maxIdleTime"),
        ({"maxIdleTime": "60"}, "InvalidFieldValue", "maxIdleTime"),
        ({"maxIdleTime": None}, "InvalidFieldValue", "maxIdleTime: must not be null"),
        ({"keywords": ["w"] * 501}, "InvalidFieldValue", "keywords"),
        ({"rtcConfig__channelName": "a/b"}, "InvalidFieldValue", "rtcConfig.channelName"),
        ({"rtcConfig__channelName": "a" * 65}, "InvalidFieldValue", "rtcConfig.channelName"),
        ({"rtcConfig__pubBotUid": 1001}, "InvalidFieldValue", "rtcConfig.pubBotUid"),
        ({"rtcConfig__pubBotUid": "0"}, "InvalidFieldValue", "rtcConfig.pubBotUid"),
        ({"rtcConfig__pubBotUid": "bot"}, "InvalidFieldValue", "rtcConfig.pubBotUid"),
        ({"rtcConfig__pubBotUid": "4294967296"}, "InvalidFieldValue", "rtcConfig.pubBotUid"),
        ({"rtcConfig__subscribeAudioUids": ["all"]}, "InvalidFieldValue", "subscribeAudioUids"),
        ({"rtcConfig__subscribeAudioUids": []}, "InvalidFieldValue", "subscribeAudioUids"),
        ({"rtcConfig__subscribeAudioUids": [str(u) for u in range(1, 34)]}, "InvalidFieldValue", "subscribeAudioUids"),
        ({"rtcConfig__unSubscribeAudioUids": list("123456")}, "InvalidFieldValue", "unSubscribeAudioUids"),
        (
            {"rtcConfig__subscribeAudioUids": ["1"], "rtcConfig__unSubscribeAudioUids": ["2"]},
            "InvalidFieldValue",
            "mutually exclusive",
        ),
        (
            {"uidLanguagesConfig": [{"uid": str(u), "languages": ["de-DE"]} for u in range(1, 7)]},
            "InvalidFieldValue",
            "uidLanguagesConfig",
        ),
        (
            {"uidLanguagesConfig": [{"uid": "1", "languages": ["de-DE"]}] * 2},
            "InvalidFieldValue",
            "uidLanguagesConfig: must not hold a value twice",
        ),
        ({"uidLanguagesConfig": [{"uid": "1"}]}, "MissingRequiredField", "uidLanguagesConfig.0.languages"),
        ({"rtcConfig__cryptionMode": 9}, "InvalidFieldValue", "cryptionMode"),
        ({"rtcConfig__cryptionMode": 1}, "InvalidFieldValue", "rtcConfig.secret"),
        ({"rtcConfig__secret": "s"}, "InvalidFieldValue", "rtcConfig.secret"),
        ({"rtcConfig__cryptionMode": 8, "rtcConfig__secret": "s"}, "InvalidFieldValue", "rtcConfig.salt"),
        (
            {"rtcConfig__cryptionMode": 8, "rtcConfig__secret": "s", "rtcConfig__salt": "c2hvcnQ="},
            "InvalidFieldValue",
            "rtcConfig.salt: must be base64 of 32 bytes",
        ),
        ({"translateConfig": {}}, "MissingRequiredField", "translateConfig.languages"),
        ({"translateConfig": {"languages": pairs(5)}}, "InvalidFieldValue", "translateConfig.languages"),
        ({"translateConfig": {"languages": pairs(1, 11)}}, "InvalidFieldValue", "translateConfig.languages.0.target"),
        ({"translateConfig": {"languages": pairs(1) * 2}}, "InvalidFieldValue", "Duplicate source language"),
        (
            {"translateConfig": {"languages": [{"source": "en-US", "target": ["de-DE", "en-US"]}]}},
            "InvalidFieldValue",
            "must differ from the source",
        ),
        ({"captionConfig": {"sliceDuration": 4}}, "InvalidFieldValue", "captionConfig.sliceDuration"),
        ({"captionConfig": {"storage": {**STORAGE, "vendor": 4}}}, "InvalidFieldValue", "captionConfig.storage.vendor"),
        (
            {"captionConfig": {"storage": {"bucket": "b", "vendor": 1, "region": 0, "secretKey": "s"}}},
            "MissingRequiredField",
            "captionConfig.storage.accessKey",
        ),
        (
            {"captionConfig": {"storage": {**STORAGE, "fileNamePrefix": ["a" * 64, "b" * 64]}}},
            "InvalidFieldValue",
            "captionConfig.storage.fileNamePrefix: must be at most 128",
        ),
        ({"captionConfig": {"storage": {**STORAGE, "vendor": 11}}}, "InvalidFieldValue", "extensionParams.endpoint"),
        ({"extensionParams": {"endpoint": "https://s3.test"}}, "InvalidFieldValue", "extensionParams"),
        ({"rtcConfig__subBotToken": "007abc"}, "InvalidFieldValue", "rtcConfig.subBotToken: needs a subBotUid"),
        ({"rtcConfig__pubBotToken": "007abc"}, "InvalidFieldValue", "tokens are for projects with an app certificate"),
    ],
)
async def test_bad_joins(client: Client, changes: dict[str, Any], reason: str, detail: str) -> None:
    answer = await client.join(**changes)
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert detail in answer.json()["detail"]
    assert set(answer.json()) == {"detail", "reason"}
    assert await client.tasks() == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"null"])
async def test_body_that_is_no_object_is_refused(client: Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.v7("POST", "/join", content=content, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidRequestBody")


async def test_body_of_another_type_is_refused(client: Client) -> None:
    answer = await client.v7("POST", "/join", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidRequestBody")


async def test_query_parameters_are_refused_where_there_are_none(client: Client) -> None:
    answer = await client.v7("POST", "/join?name=x")
    assert (answer.status_code, answer.json()["detail"]) == (400, "name: unknown query parameter")


@pytest.mark.parametrize("auth", [None, ("bare", "wrong"), ("other", "bare-secret"), ("", "")])
@pytest.mark.parametrize(("method", "path"), [("POST", "/join"), ("GET", "/agents"), ("GET", "/agents/1")])
async def test_wrong_credentials_are_refused(
    client: Client, auth: tuple[str, str] | None, method: str, path: str
) -> None:
    answer = await client.v7(method, path, auth=auth)
    assert answer.status_code == 401
    assert answer.json() == {"message": "Invalid authentication credentials"}


@pytest.mark.parametrize("header", ["Bearer abc", "Basic", "Basic !!!", "Basic YWJj", "Basic /w=="])
async def test_malformed_authorization_is_refused(client: Client, header: str) -> None:
    answer = await client.v7("GET", "/agents", auth=None, headers={"Authorization": header})
    assert answer.status_code == 401


async def test_unknown_app_id_is_refused(client: Client) -> None:
    answer = await client.v7("POST", "/join", app_id="9" * 32)
    assert (answer.status_code, answer.json()["detail"]) == (400, "invalid_appid")


async def test_app_id_without_speech_to_text_is_refused(client: Client) -> None:
    answer = await client.v7("POST", "/join", app_id="2" * 32)
    assert (answer.status_code, answer.json()["reason"]) == (400, "ServiceNotEnabled")


async def test_app_id_of_another_customer_is_refused(client: Client) -> None:
    answer = await client.v7("POST", "/join", app_id=DEMO_APP_ID)
    assert (answer.status_code, answer.json()["reason"]) == (403, "InvalidPermission")


async def demo_join(client: Client, *, sub_bot_uid: str | None = None, **tokens: str) -> tuple[int, str]:
    rtc = {"channelName": "standup", "pubBotUid": "1001", **tokens}
    if sub_bot_uid:
        rtc["subBotUid"] = sub_bot_uid
    body = {"name": "tt-a-1", "languages": ["en-US"], "rtcConfig": rtc}
    answer = await client.v7("POST", "/join", json=body, **DEMO)  # type: ignore[arg-type]
    return answer.status_code, answer.json().get("detail", "")


async def test_project_with_certificate_needs_a_token(client: Client, mint: Mint) -> None:
    assert await demo_join(client) == (400, "rtcConfig.pubBotToken: required, the project has an app certificate")
    assert await demo_join(client, pubBotToken=mint.token()) == (200, "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"certificate": "0" * 32}, "has a wrong signature"),
        ({"app_id": "0" * 32}, "is of another App ID"),
        ({"channel": "other"}, "is for another channel"),
        ({"uid": "1002"}, "is for another uid"),
        ({"issued": 1_800_000_000 - 3600}, "has expired"),
        ({"lifetime": 86401}, "is valid for more than 24 hours"),
        ({"privileges": ()}, "does not grant joining a channel"),
    ],
)
async def test_token_is_checked_and_not_repeated(client: Client, mint: Mint, change: dict[str, Any], why: str) -> None:
    token = replace(mint, **change).token()
    assert await demo_join(client, pubBotToken=token) == (400, f"rtcConfig.pubBotToken: {why}")


async def test_second_bot_needs_its_own_token(client: Client, mint: Mint) -> None:
    token = mint.token()
    missing = (400, "rtcConfig.subBotToken: required, the project has an app certificate")
    assert await demo_join(client, pubBotToken=token, sub_bot_uid="1002") == missing
    wrong = (400, "rtcConfig.subBotToken: is for another uid")
    assert await demo_join(client, pubBotToken=token, sub_bot_uid="1002", subBotToken=token) == wrong
    other = replace(mint, uid="1002").token()
    assert await demo_join(client, pubBotToken=token, sub_bot_uid="1002", subBotToken=other) == (200, "")


async def test_second_bot_that_is_the_first_needs_no_second_token(client: Client, mint: Mint) -> None:
    assert await demo_join(client, pubBotToken=mint.token(), sub_bot_uid="1001") == (200, "")


async def test_repeated_join_of_a_live_name_conflicts(client: Client) -> None:
    await client.joined("tt-a-1")
    answer = await client.join("tt-a-1")
    assert (answer.status_code, answer.json()["reason"]) == (409, "TaskConflict")
    assert set(answer.json()) == {"detail", "reason"}
    assert len(await client.tasks()) == 1


async def test_conflict_names_the_task_where_that_is_switched_on(client: Client) -> None:
    agent_id = await client.joined("tt-a-1")
    await client.options(conflictCarriesId=True)
    answer = await client.join("tt-a-1")
    assert (answer.status_code, answer.json()["agent_id"]) == (409, agent_id)


async def test_name_is_not_free_again_after_the_end(client: Client) -> None:
    agent_id = await client.joined("tt-a-1")
    await client.v7("POST", f"/agents/{agent_id}/leave")
    client.wall.pass_(86400)
    answer = await client.join("tt-a-1")
    assert (answer.status_code, answer.json()["reason"]) == (409, "TaskConflict")
    assert "agent_id" not in answer.json()


async def test_name_is_free_in_another_project(client: Client, mint: Mint) -> None:
    await client.joined("tt-a-1")
    assert await demo_join(client, pubBotToken=mint.token()) == (200, "")


async def test_bot_uid_is_unique_among_a_channels_live_tasks(client: Client) -> None:
    agent_id = await client.joined("tt-a-1", rtcConfig__subBotUid="1002")
    for uid in ("1001", "1002"):
        answer = await client.join("tt-b-1", rtcConfig__pubBotUid=uid)
        assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidFieldValue")
        assert "another task has this bot uid" in answer.json()["detail"]
    await client.joined("tt-c-1", rtcConfig__channelName="elsewhere")
    await client.v7("POST", f"/agents/{agent_id}/leave")
    await client.joined("tt-b-1")


async def test_bot_uid_is_taken_until_its_task_has_left(client: Client) -> None:
    await client.options(stopDelay=3)
    agent_id = await client.joined("tt-a-1")
    await client.v7("POST", f"/agents/{agent_id}/leave")
    assert (await client.join("tt-a-2")).status_code == 400
    client.wall.pass_(3)
    await client.joined("tt-a-2")


async def test_project_may_have_so_many_tasks(client: Client) -> None:
    account = {"appId": "1" * 32, "customerId": "bare", "customerSecret": "bare-secret", "maxTasks": 1}
    await client.options(accounts=[account])
    agent_id = await client.joined("tt-a-1")
    answer = await client.join("tt-b-1", rtcConfig__pubBotUid="2")
    assert (answer.status_code, answer.json()["reason"]) == (422, "ConcurrencyLimitExceeded")
    await client.v7("POST", f"/agents/{agent_id}/leave")
    await client.joined("tt-b-1")
