"""How tasks live and end: delays, stops, idleness, age, expired tokens, and how long they are remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from simulator.conftest import Client, Mint

DAY = 86400
DEMO: dict[str, Any] = {
    "app_id": "0123456789abcdef0123456789abcdef",
    "auth": ("demo-customer", "demo-secret"),
}


async def leave(client: Client, agent_id: str) -> int:
    return (await client.v7("POST", f"/agents/{agent_id}/leave")).status_code


async def set_hosts(client: Client, hosts: int, channel: str = "standup") -> None:
    answer = await client.http.put(f"/simulator/channels/{channel}", json={"hosts": hosts})
    assert answer.status_code == 200


async def ended(client: Client) -> tuple[str, str | None, float | None]:
    """State, reason and age of the only task."""
    (task,) = await client.tasks()
    age = None if task["endedAt"] is None else task["endedAt"] - task["startedAt"]
    return task["state"], task["endReason"], age


async def test_task_runs_at_once_without_a_delay(client: Client) -> None:
    assert await client.status(await client.joined()) == "RUNNING"


async def test_task_is_starting_for_the_delay(client: Client) -> None:
    await client.options(startDelay=3)
    answer = await client.join()
    assert answer.json()["status"] == "STARTING"
    agent_id = answer.json()["agent_id"]
    client.wall.pass_(2.9)
    assert await client.status(agent_id) == "STARTING"
    client.wall.pass_(0.1)
    assert await client.status(agent_id) == "RUNNING"


async def test_fresh_task_may_be_known_late(client: Client) -> None:
    await client.options(queryDelay=2)
    agent_id = await client.joined()
    assert (await client.v7("GET", f"/agents/{agent_id}")).status_code == 404
    assert (await client.v7("POST", f"/agents/{agent_id}/leave")).status_code == 404
    client.wall.pass_(2)
    assert (await client.v7("POST", f"/agents/{agent_id}/leave")).status_code == 200


async def test_v6_words_for_the_same_life(client: Client) -> None:
    await client.options(startDelay=3, stopDelay=2)
    token = await client.acquired()
    answer = await client.start(token)
    assert answer.json()["status"] == "IDLE"
    task = (answer.json()["taskId"], token)
    assert await client.v6_status(task) == "STARTING"
    client.wall.pass_(3)
    assert await client.v6_status(task) == "IN_PROGRESS"
    await client.v6("DELETE", f"/tasks/{task[0]}?builderToken={task[1]}")
    assert await client.v6_status(task) == "STOPPING"
    client.wall.pass_(2)
    assert await client.v6_status(task) == "STOPPED"


async def test_task_is_stopping_for_the_delay_and_may_be_left_again(client: Client) -> None:
    await client.options(stopDelay=3)
    agent_id = await client.joined()
    assert await leave(client, agent_id) == 200
    client.wall.pass_(2)
    assert await client.status(agent_id) == "STOPPING"
    assert await leave(client, agent_id) == 200
    client.wall.pass_(1)
    assert await client.status(agent_id) == "STOPPED"
    assert await leave(client, agent_id) == 404
    assert await ended(client) == ("STOPPED", "OK", 3)


async def test_task_left_while_starting_never_runs(client: Client) -> None:
    await client.options(startDelay=5, stopDelay=10)
    agent_id = await client.joined()
    await leave(client, agent_id)
    client.wall.pass_(6)
    assert await client.status(agent_id) == "STOPPING"


async def test_leave_answers_nothing(client: Client) -> None:
    agent_id = await client.joined()
    answer = await client.v7("POST", f"/agents/{agent_id}/leave", json={})
    assert (answer.status_code, answer.content) == (200, b"")


async def test_leave_with_a_body_is_refused(client: Client) -> None:
    agent_id = await client.joined()
    answer = await client.v7("POST", f"/agents/{agent_id}/leave", json={"name": "x"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "InvalidRequestBody")
    assert await client.status(agent_id) == "RUNNING"


async def test_ended_task_is_remembered_for_a_while(client: Client) -> None:
    agent_id = await client.joined()
    await leave(client, agent_id)
    client.wall.pass_(59.9)
    answer = await client.v7("GET", f"/agents/{agent_id}")
    assert answer.json() == {
        "message": "OK",
        "agent_id": agent_id,
        "create_ts": 1_800_000_000,
        "status": "STOPPED",
    }
    client.wall.pass_(0.1)
    answer = await client.v7("GET", f"/agents/{agent_id}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "task not found", "reason": "TaskNotFound"})


async def test_ended_v6_task_is_remembered_for_a_while(client: Client) -> None:
    task = await client.started()
    await client.v6("DELETE", f"/tasks/{task[0]}?builderToken={task[1]}")
    assert await client.v6_status(task) == "STOPPED"
    client.wall.pass_(60)
    answer = await client.v6("GET", f"/tasks/{task[0]}?builderToken={task[1]}")
    assert (answer.status_code, answer.json()) == (404, {"message": "The task is not found"})


async def test_ended_task_may_be_forgotten_at_once(client: Client) -> None:
    await client.options(forgetEnded=True)
    agent_id = await client.joined()
    assert await client.status(agent_id) == "RUNNING"
    await leave(client, agent_id)
    assert await client.status(agent_id) == "404"
    assert await client.listed("?state=4") == []


async def test_task_lives_for_three_days(client: Client) -> None:
    agent_id = await client.joined(maxIdleTime=0)
    client.wall.pass_(3 * DAY - 1)
    assert await client.status(agent_id) == "RUNNING"
    client.wall.pass_(1)
    answer = await client.v7("GET", f"/agents/{agent_id}")
    assert answer.json()["status"] == "STOPPED"
    assert answer.json()["message"] == "Task exceeded maximum lifetime"
    assert await ended(client) == ("STOPPED", "Task exceeded maximum lifetime", 3 * DAY)


async def test_v6_task_lives_a_day_from_its_acquire(client: Client) -> None:
    token = await client.acquired()
    client.wall.pass_(200)
    task = ((await client.start(token)).json()["taskId"], token)
    client.wall.pass_(DAY - 201)
    assert await client.v6_status(task) == "IN_PROGRESS"
    client.wall.pass_(1)
    assert await client.v6_status(task) == "STOPPED"
    assert await ended(client) == ("STOPPED", "Task exceeded maximum lifetime", DAY - 200)


async def demo_join(client: Client, token: str) -> str:
    rtc = {"channelName": "standup", "pubBotUid": "1001", "pubBotToken": token}
    body = {"name": "tt-a-1", "languages": ["en-US"], "rtcConfig": rtc}
    answer = await client.v7("POST", "/join", json=body, **DEMO)
    assert answer.status_code == 200, answer.text
    agent_id: str = answer.json()["agent_id"]
    return agent_id


async def test_task_fails_when_its_token_expires(client: Client, mint: Mint) -> None:
    await demo_join(client, replace(mint, lifetime=600).token())
    client.wall.pass_(599)
    assert await ended(client) == ("RUNNING", None, None)
    client.wall.pass_(1)
    assert await ended(client) == ("FAILED", "RTC connection error", 600)


async def test_v6_word_for_a_failure(client: Client) -> None:
    task = await client.started()
    await client.http.post(f"/simulator/tasks/{task[0]}/end", json={"status": "FAILED", "message": "Fatal ASR error"})
    assert await client.v6_status(task) == "FAILURE_STOP"
    assert (await ended(client))[:2] == ("FAILED", "Fatal ASR error")


async def test_advanced_clock_ages_tasks_but_not_fresh_tokens(client: Client, mint: Mint) -> None:
    await demo_join(client, mint.token())
    answer = await client.http.post("/simulator/clock", json={"advanceSeconds": 3600})
    assert answer.json() == {"now": 1_800_003_600.0}
    assert await ended(client) == ("FAILED", "RTC connection error", 3600)
    # The clock of whoever mints tokens was not advanced.
    rtc = {"channelName": "standup", "pubBotUid": "1001", "pubBotToken": mint.token()}
    body = {"name": "tt-a-2", "languages": ["en-US"], "rtcConfig": rtc}
    assert (await client.v7("POST", "/join", json=body, **DEMO)).status_code == 200
    first, second = await client.tasks()
    assert (first["state"], second["state"]) == ("FAILED", "RUNNING")
    client.wall.pass_(3599)
    assert (await client.tasks())[1]["state"] == "RUNNING"
    client.wall.pass_(1)
    assert (await client.tasks())[1]["state"] == "FAILED"


async def test_channels_have_hosts_until_told_otherwise(client: Client) -> None:
    agent_id = await client.joined(maxIdleTime=5)
    client.wall.pass_(DAY)
    assert await client.status(agent_id) == "RUNNING"


async def test_task_ends_when_its_channel_is_empty_for_too_long(client: Client) -> None:
    await client.joined(maxIdleTime=30)
    await client.joined("tt-b-1", rtcConfig__channelName="elsewhere", maxIdleTime=30)
    client.wall.pass_(100)
    await set_hosts(client, 0)
    client.wall.pass_(29)
    assert [task["state"] for task in await client.tasks()] == ["RUNNING", "RUNNING"]
    client.wall.pass_(1)
    idle, busy = await client.tasks()
    assert (idle["state"], idle["endReason"]) == ("STOPPED", "Idle for too long")
    assert idle["endedAt"] == 1_800_000_130.0
    assert busy["state"] == "RUNNING"


async def test_idle_clock_starts_with_the_task(client: Client) -> None:
    await set_hosts(client, 0)
    client.wall.pass_(1000)
    agent_id = await client.joined(maxIdleTime=30)
    client.wall.pass_(29)
    assert await client.status(agent_id) == "RUNNING"
    client.wall.pass_(1)
    assert await client.status(agent_id) == "STOPPED"


async def test_update_does_not_reset_the_idle_clock(client: Client) -> None:
    await set_hosts(client, 0)
    agent_id = await client.joined(maxIdleTime=30)
    client.wall.pass_(20)
    assert (await client.update(agent_id, 1, "languages", {"languages": ["de-DE"]})).status_code == 200
    client.wall.pass_(10)
    assert await client.status(agent_id) == "STOPPED"


async def test_returning_host_resets_the_idle_clock(client: Client) -> None:
    await set_hosts(client, 0)
    agent_id = await client.joined(maxIdleTime=30)
    client.wall.pass_(20)
    await set_hosts(client, 1)
    client.wall.pass_(5)
    await set_hosts(client, 0)
    client.wall.pass_(29)
    assert await client.status(agent_id) == "RUNNING"
    client.wall.pass_(1)
    assert await client.status(agent_id) == "STOPPED"


async def test_empty_channel_that_is_said_to_be_empty_again_is_no_news(client: Client) -> None:
    agent_id = await client.joined(maxIdleTime=30)
    await set_hosts(client, 0)
    client.wall.pass_(20)
    await set_hosts(client, 0)
    client.wall.pass_(10)
    assert await client.status(agent_id) == "STOPPED"


async def test_idle_time_of_zero_never_ends_a_task(client: Client) -> None:
    await set_hosts(client, 0)
    agent_id = await client.joined(maxIdleTime=0)
    client.wall.pass_(2 * DAY)
    assert await client.status(agent_id) == "RUNNING"


@pytest.mark.parametrize("status", ["STOPPED", "FAILED"])
async def test_task_ends_behind_its_owners_back(client: Client, status: str) -> None:
    agent_id = await client.joined()
    path = f"/simulator/tasks/{agent_id}/end"
    answer = await client.http.post(path, json={"status": status, "message": "Fatal ASR error"})
    assert answer.status_code == 200
    assert await client.status(agent_id) == status
    assert (await client.http.post(path, json={"status": status})).status_code == 404


async def test_unknown_agent_is_not_found_by_any_call(client: Client) -> None:
    not_found = {"detail": "task not found", "reason": "TaskNotFound"}
    query = "sequenceId=1&updateMask=languages"
    for method, path in (("GET", ""), ("POST", "/leave"), ("POST", f"/update?{query}")):
        answer = await client.v7(method, f"/agents/unknown{path}")
        assert (answer.status_code, answer.json()) == (404, not_found)


async def test_agent_of_another_project_is_not_found(client: Client, mint: Mint) -> None:
    agent_id = await demo_join(client, mint.token())
    assert await client.status(agent_id) == "404"
