"""Updates of running tasks: spacing, order, mask and body, and what is left of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simulator.conftest import Client

LANGUAGES = {"languages": ["de-DE"]}
PAIRS = [{"source": "en-US", "target": ["de-DE"]}]


async def aged(client: Client, **changes: Any) -> str:
    """A v7 task that may be updated."""
    agent_id = await client.joined(**changes)
    client.wall.pass_(5)
    return agent_id


async def v6_aged(client: Client, **changes: Any) -> tuple[str, str]:
    task = await client.started(**changes)
    client.wall.pass_(5)
    return task


async def settings(client: Client) -> dict[str, Any]:
    (task,) = await client.tasks()
    found: dict[str, Any] = task["settings"]
    return found


async def test_masked_fields_are_replaced_as_a_whole_and_the_rest_is_left_alone(client: Client) -> None:
    config = [{"uid": "7", "languages": ["fr-FR"]}]
    agent_id = await aged(client, languages=["en-US", "fr-FR"], uidLanguagesConfig=config)
    answer = await client.update(agent_id, 1, "languages", LANGUAGES)
    assert answer.status_code == 200
    assert answer.json() == {"agent_id": agent_id, "create_ts": 1_800_000_000, "status": "RUNNING"}
    assert (await settings(client))["languages"] == ["de-DE"]
    assert (await settings(client))["uidLanguagesConfig"] == config


async def test_one_update_changes_everything_that_can_be_changed(client: Client) -> None:
    agent_id = await aged(client, uidLanguagesConfig=[{"uid": "7", "languages": ["fr-FR"]}])
    mask = "languages,uidLanguagesConfig,rtcConfig.subscribeAudioUids,translateConfig.enable,translateConfig.languages"
    body = {
        **LANGUAGES,
        "uidLanguagesConfig": [],
        "rtcConfig": {"subscribeAudioUids": ["all"]},
        "translateConfig": {"enable": True, "languages": PAIRS},
    }
    assert (await client.update(agent_id, 1, mask, body)).status_code == 200
    now = await settings(client)
    assert (now["languages"], now["uidLanguagesConfig"]) == (["de-DE"], [])
    assert now["rtcConfig"]["subscribeAudioUids"] == ["all"]
    assert now["rtcConfig"]["channelName"] == "standup"
    assert now["translateConfig"] == {"enable": True, "languages": PAIRS}
    (task,) = await client.tasks()
    assert task["sequenceId"] == 1
    assert task["updates"] == [{"at": 1_800_000_005.0, "sequenceId": 1, "mask": mask.split(",")}]


async def test_updates_are_five_seconds_after_start_and_after_each_other(client: Client) -> None:
    agent_id = await client.joined()
    client.wall.pass_(4.9)
    early = await client.update(agent_id, 1, "languages", LANGUAGES)
    assert early.status_code == 400
    assert "at least 5 seconds" in early.json()["detail"]
    client.wall.pass_(0.1)
    assert (await client.update(agent_id, 1, "languages", LANGUAGES)).status_code == 200
    client.wall.pass_(4.9)
    assert (await client.update(agent_id, 2, "languages", LANGUAGES)).status_code == 400
    # A refused update does not start the five seconds again.
    client.wall.pass_(0.1)
    assert (await client.update(agent_id, 2, "languages", LANGUAGES)).status_code == 200


async def test_v6_updates_are_spaced_too(client: Client) -> None:
    task = await client.started()
    client.wall.pass_(4.9)
    early = await client.v6_update(task, 1, "languages", LANGUAGES)
    assert early.status_code == 400
    assert "at least 5 seconds" in early.json()["message"]
    client.wall.pass_(0.1)
    assert (await client.v6_update(task, 1, "languages", LANGUAGES)).status_code == 200
    assert (await client.v6_update(task, 2, "languages", LANGUAGES)).status_code == 400


async def test_sequence_rises_strictly(client: Client) -> None:
    agent_id = await aged(client)
    assert (await client.update(agent_id, 0, "languages", LANGUAGES)).status_code == 200
    client.wall.pass_(5)
    assert (await client.update(agent_id, 7, "languages", LANGUAGES)).status_code == 200
    client.wall.pass_(5)
    for stale in (7, 6, 0):
        answer = await client.update(agent_id, stale, "languages", LANGUAGES)
        assert answer.status_code == 400
        assert "sequenceId" in answer.json()["detail"]
    assert (await client.update(agent_id, 8, "languages", LANGUAGES)).status_code == 200


async def test_v6_sequence_rises_strictly(client: Client) -> None:
    task = await v6_aged(client)
    assert (await client.v6_update(task, 3, "languages", LANGUAGES)).status_code == 200
    client.wall.pass_(5)
    answer = await client.v6_update(task, 3, "languages", LANGUAGES)
    assert (answer.status_code, answer.json()["code"]) == (400, 2)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "sequenceId: required"),
        ("updateMask=languages", "sequenceId: required"),
        ("sequenceId=1", "updateMask: required"),
        ("sequenceId=1&updateMask=", "updateMask: required"),
        ("sequenceId=-1&updateMask=languages", "sequenceId: required, an integer"),
        ("sequenceId=1.5&updateMask=languages", "sequenceId: required, an integer"),
        (f"sequenceId={2**63}&updateMask=languages", "sequenceId: required, an integer"),
        ("sequenceId=1&sequenceId=2&updateMask=languages", "sequenceId: given twice"),
        ("sequenceId=1&updateMask=languages%2CuidLanguagesConfig", "bare commas"),
        ("sequenceId=1&updateMask=languages,languages", "given twice"),
        ("sequenceId=1&updateMask=maxIdleTime", "unknown field maxIdleTime"),
        ("sequenceId=1&updateMask=keywords", "unknown field keywords"),
        ("sequenceId=1&updateMask=translateConfig", "unknown field translateConfig"),
        ("sequenceId=1&updateMask=languages&builderToken=x", "builderToken: unknown query parameter"),
    ],
)
async def test_bad_query_strings(client: Client, query: str, text: str) -> None:
    agent_id = await aged(client)
    answer = await client.v7("POST", f"/agents/{agent_id}/update?{query}", json=LANGUAGES)
    assert answer.status_code == 400
    assert text in answer.json()["detail"]
    assert (await client.tasks())[0]["updates"] == []


@pytest.mark.parametrize(
    ("mask", "body", "text"),
    [
        ("languages,uidLanguagesConfig", LANGUAGES, "uidLanguagesConfig: in the updateMask, but not in the body"),
        ("languages", {**LANGUAGES, "uidLanguagesConfig": []}, "uidLanguagesConfig: in the body, but not in the"),
        ("translateConfig.languages", {"translateConfig": {"languages": PAIRS}}, "translateConfig.enable"),
        (
            "translateConfig.languages",
            {"translateConfig": {"enable": True, "languages": PAIRS}},
            "translateConfig.enable: in the body, but not in the updateMask",
        ),
        ("translateConfig.enable", {"translateConfig": {"enable": True}}, "required to turn translation on"),
        ("languages", {"languages": []}, "languages"),
        ("languages", {"languages": ["xx-XX"]}, "unsupported language"),
        ("languages", {**LANGUAGES, "maxIdleTime": 60}, "maxIdleTime: unknown field"),
        ("languages", {**LANGUAGES, "keywords": []}, "keywords: unknown field"),
        ("rtcConfig.subscribeAudioUids", {"rtcConfig": {"subscribeAudioUids": ["all", "1"]}}, "must stand alone"),
        ("rtcConfig.subscribeAudioUids", {"rtcConfig": {"subscribeAudioUids": []}}, "subscribeAudioUids"),
        ("rtcConfig.subscribeAudioUids", {"rtcConfig": {"pubBotUid": "5"}}, "rtcConfig"),
        (
            "translateConfig.enable,translateConfig.languages",
            {"translateConfig": {"enable": True, "languages": [{"source": "en-US", "target": ["en-US"]}]}},
            "must differ from the source",
        ),
        ("languages", None, "a JSON object is required"),
    ],
)
async def test_bad_updates_change_nothing(client: Client, mask: str, body: object, text: str) -> None:
    agent_id = await aged(client)
    before = await settings(client)
    answer = await client.update(agent_id, 1, mask, body)
    assert answer.status_code == 400
    assert text in answer.json()["detail"]
    assert await settings(client) == before


async def test_v6_translation_always_holds_its_languages(client: Client) -> None:
    task = await v6_aged(client)
    answer = await client.v6_update(task, 1, "translateConfig.enable", {"translateConfig": {"enable": False}})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("body schema check fail, translateConfig.languages")
    mask = "translateConfig.enable,translateConfig.languages"
    body = {"translateConfig": {"enable": True, "languages": PAIRS}}
    assert (await client.v6_update(task, 1, mask, body)).status_code == 200


async def test_v6_speakers_may_be_all(client: Client) -> None:
    task = await v6_aged(client, rtcConfig__subscribeAudioUids=["5"])
    body = {"rtcConfig": {"subscribeAudioUids": ["all"]}}
    assert (await client.v6_update(task, 1, "rtcConfig.subscribeAudioUids", body)).status_code == 200
    assert (await settings(client))["rtcConfig"]["subscribeAudioUids"] == ["all"]


async def test_translation_is_switched_off_and_on_again(client: Client) -> None:
    agent_id = await aged(client, translateConfig={"languages": PAIRS})
    for sequence_id, enable in enumerate((False, True)):
        body = {"translateConfig": {"enable": enable}}
        assert (await client.update(agent_id, sequence_id, "translateConfig.enable", body)).status_code == 200
        assert (await settings(client))["translateConfig"] == {"enable": enable, "languages": PAIRS}
        client.wall.pass_(5)


async def test_languages_may_not_make_a_translation_senseless(client: Client) -> None:
    same = [{"source": "en-US", "target": ["en-US"]}]
    agent_id = await aged(client, languages=["en-US", "de-DE"], translateConfig={"languages": same})
    answer = await client.update(agent_id, 1, "languages", {"languages": ["en-US"]})
    assert answer.status_code == 400
    assert "must differ from the source" in answer.json()["detail"]


async def test_speakers_may_not_be_chosen_where_others_are_left_out(client: Client) -> None:
    agent_id = await aged(client, rtcConfig__unSubscribeAudioUids=["7"])
    body = {"rtcConfig": {"subscribeAudioUids": ["8"]}}
    answer = await client.update(agent_id, 1, "rtcConfig.subscribeAudioUids", body)
    assert answer.status_code == 400
    assert "mutually exclusive" in answer.json()["detail"]
    assert "subscribeAudioUids" not in (await settings(client))["rtcConfig"]


async def test_v6_target_differs_from_its_source_in_mixed_tasks_too(client: Client) -> None:
    task = await v6_aged(client, languages=["en-US", "de-DE"])
    same = {"translateConfig": {"enable": True, "languages": [{"source": "en-US", "target": ["en-US"]}]}}
    answer = await client.v6_update(task, 1, "translateConfig.enable,translateConfig.languages", same)
    assert (answer.status_code, answer.json()["code"]) == (400, 2)
    assert "translateConfig" not in await settings(client)


async def test_only_running_tasks_are_updated(client: Client) -> None:
    await client.options(startDelay=10, stopDelay=10)
    agent_id = await client.joined()
    client.wall.pass_(6)
    answer = await client.update(agent_id, 1, "languages", LANGUAGES)
    assert (answer.status_code, answer.json()["detail"]) == (400, "another operation is already in progress")
    client.wall.pass_(4)
    assert (await client.update(agent_id, 1, "languages", LANGUAGES)).status_code == 200
    await client.v7("POST", f"/agents/{agent_id}/leave")
    client.wall.pass_(6)
    assert (await client.update(agent_id, 2, "languages", LANGUAGES)).status_code == 400
    client.wall.pass_(6)
    assert (await client.update(agent_id, 2, "languages", LANGUAGES)).status_code == 404


async def test_ended_v6_task_is_not_found_by_an_update(client: Client) -> None:
    task = await v6_aged(client)
    await client.v6("DELETE", f"/tasks/{task[0]}?builderToken={task[1]}")
    answer = await client.v6_update(task, 1, "languages", LANGUAGES)
    assert (answer.status_code, answer.json()) == (404, {"message": "The task is not found"})
