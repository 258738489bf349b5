"""What the simulator shows of itself: tasks, calls, doubles, options; and that it shows no secrets."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from simulator.conftest import Client, Mint


async def doubles(client: Client) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await client.http.get("/simulator/doubles")).json()
    return rows


async def leave(client: Client, agent_id: str) -> None:
    answer = await client.v7("POST", f"/agents/{agent_id}/leave")
    assert answer.status_code == 200


async def test_healthz(client: Client) -> None:
    assert (await client.http.get("/healthz")).status_code == 200


async def test_task_is_shown_with_everything_it_was_started_with(client: Client) -> None:
    agent_id = await client.joined(
        keywords=["kopf"], translateConfig={"languages": [{"source": "en-US", "target": ["de-DE"]}]}
    )
    await client.status(agent_id)
    assert await client.tasks() == [
        {
            "taskId": agent_id,
            "dialect": "V7",
            "appId": "1" * 32,
            "name": "tt-a-1",
            "channel": "standup",
            "state": "RUNNING",
            "botUid": "1001",
            "startedAt": 1_800_000_000.0,
            "endedAt": None,
            "endReason": None,
            "settings": {
                "languages": ["en-US"],
                "maxIdleTime": 30,
                "keywords": ["kopf"],
                "rtcConfig": {
                    "channelName": "standup",
                    "pubBotUid": "1001",
                    "cryptionMode": 0,
                    "enableJsonProtocol": False,
                },
                "translateConfig": {"enable": True, "languages": [{"source": "en-US", "target": ["de-DE"]}]},
            },
            "sequenceId": None,
            "updates": [],
            "calls": 2,
        }
    ]


async def test_tasks_are_chosen_by_channel_and_life(client: Client) -> None:
    first = await client.joined()
    second = await client.joined("tt-b-1", rtcConfig__channelName="elsewhere")
    await leave(client, first)
    assert [task["taskId"] for task in await client.tasks()] == [first, second]
    assert [task["taskId"] for task in await client.tasks(live="true")] == [second]
    assert [task["taskId"] for task in await client.tasks(channel="standup")] == [first]
    assert await client.tasks(channel="standup", live="true") == []


async def test_ended_tasks_are_shown_for_ever(client: Client) -> None:
    await leave(client, await client.joined())
    client.wall.pass_(10 * 86400)
    assert len(await client.tasks()) == 1


async def test_v6_task_is_shown_by_its_instance(client: Client) -> None:
    task_id, _ = await client.started("tt-z-4")
    (task,) = await client.tasks()
    assert (task["taskId"], task["dialect"], task["name"]) == (task_id, "V6", "tt-z-4")


async def test_every_call_is_recorded_in_order(client: Client) -> None:
    agent_id = await client.joined()
    client.wall.pass_(5)
    await client.update(agent_id, 4, "languages", {"languages": ["de-DE"]})
    await client.v7("GET", "/agents?channel=standup", auth=("bare", "wrong"))
    token = await client.acquired("tt-b-1")
    await client.start(token, rtcConfig__channelName="elsewhere")
    rows = await client.calls()
    told = [(row["index"], row["operation"], row["dialect"], row["name"], row["channel"], row["code"]) for row in rows]
    assert told == [
        (0, "join", "V7", "tt-a-1", "standup", 200),
        (1, "update", "V7", "tt-a-1", "standup", 200),
        (2, "list", "V7", None, "standup", 401),
        (3, "acquire", "V6", "tt-b-1", None, 200),
        (4, "start", "V6", "tt-b-1", "elsewhere", 200),
    ]
    assert (rows[0]["taskId"], rows[1]["taskId"]) == (agent_id, agent_id)
    assert (rows[1]["updateMask"], rows[1]["sequenceId"], rows[1]["at"]) == ("languages", 4, 1_800_000_005.0)
    assert len(rows[4]["taskId"]) == 32
    assert {row["appId"] for row in rows} == {"1" * 32}


async def test_calls_can_be_read_on_from_an_index(client: Client) -> None:
    for _ in range(3):
        await client.status("x")
    rows = (await client.http.get("/simulator/calls?since=2")).json()
    assert [row["index"] for row in rows] == [2]


async def test_calls_about_tasks_are_counted(client: Client) -> None:
    agent_id = await client.joined()
    for _ in range(3):
        await client.status(agent_id)
    assert (await client.tasks())[0]["calls"] == 4


async def test_two_tasks_of_one_owner_are_a_double_even_when_both_are_gone(client: Client) -> None:
    first = await client.joined("tt-a-1")
    client.wall.pass_(10)
    second = await client.joined("tt-a-2", rtcConfig__pubBotUid="2")
    row = {"appId": "1" * 32, "owner": "tt-a", "from": 1_800_000_010.0, "until": None, "tasks": [first, second]}
    assert await doubles(client) == [row]
    client.wall.pass_(10)
    await leave(client, first)
    await leave(client, second)
    assert await doubles(client) == [{**row, "until": 1_800_000_020.0}]


async def test_tasks_one_after_the_other_or_of_several_owners_are_no_double(client: Client) -> None:
    first = await client.joined("tt-a-1")
    await client.joined("tt-b-1", rtcConfig__pubBotUid="2")
    await client.joined("tt-a-b-1", rtcConfig__pubBotUid="3")
    await leave(client, first)
    await client.joined("tt-a-2")
    assert await doubles(client) == []


async def test_stopping_task_still_counts_for_a_double(client: Client) -> None:
    await client.options(stopDelay=5)
    await leave(client, await client.joined("tt-a-1"))
    client.wall.pass_(4)
    await client.joined("tt-a-2", rtcConfig__pubBotUid="2")
    client.wall.pass_(60)
    (row,) = await doubles(client)
    assert row["until"] - row["from"] == 1


async def test_owner_may_have_one_task_in_each_dialect_at_once_and_that_is_a_double(client: Client) -> None:
    await client.joined("tt-a-1")
    await client.started("tt-a-2", rtcConfig__pubBotUid="5")
    assert len(await doubles(client)) == 1


async def test_options_are_changed_one_by_one_in_either_spelling(client: Client) -> None:
    await client.options(startDelay=2)
    await client.options(stop_delay=3)
    options = (await client.http.get("/simulator/options")).json()
    assert (options["startDelay"], options["stopDelay"], options["retention"]) == (2, 3, 60)


@pytest.mark.parametrize("wrong", [{"startDelay": -1}, {"nonsense": 1}, {"accounts": [{"appId": "x"}]}])
async def test_bad_options_are_refused(client: Client, wrong: dict[str, Any]) -> None:
    assert (await client.http.put("/simulator/options", json=wrong)).status_code == 422


async def test_reset_forgets_everything(client: Client) -> None:
    token = await client.acquired()
    await client.joined()
    await client.options(startDelay=5)
    await client.faults({"operation": "join", "status": 500, "times": 0})
    await client.http.post("/simulator/clock", json={"advanceSeconds": 100})
    await client.http.put("/simulator/channels/standup", json={"hosts": 0})
    await client.http.delete("/simulator/state")
    assert await client.tasks() == []
    assert await client.calls() == []
    assert (await client.start(token)).json()["code"] == 1001
    answer = await client.join(maxIdleTime=5)
    assert (answer.json()["status"], answer.json()["create_ts"]) == ("RUNNING", 1_800_000_000)
    client.wall.pass_(100)
    assert await client.status(answer.json()["agent_id"]) == "RUNNING"


async def test_no_secret_is_ever_shown(client: Client, mint: Mint) -> None:
    secrets = {
        "accessKey": "storage-access",
        "secretKey": "storage-secret",
        "secret": "channel-secret",
        "salt": base64.b64encode(b"salt" * 8).decode(),
        "pubBotToken": mint.token(),
    }
    rtc = {"channelName": "standup", "pubBotUid": "1001", "cryptionMode": 7}
    rtc |= {name: secrets[name] for name in ("secret", "salt", "pubBotToken")}
    storage = {
        "bucket": "b",
        "vendor": 1,
        "region": 0,
        "accessKey": secrets["accessKey"],
        "secretKey": secrets["secretKey"],
    }
    body = {"name": "tt-a-1", "languages": ["en-US"], "rtcConfig": rtc, "captionConfig": {"storage": storage}}
    demo: dict[str, Any] = {"app_id": "0123456789abcdef0123456789abcdef", "auth": ("demo-customer", "demo-secret")}
    assert (await client.v7("POST", "/join", json=body, **demo)).status_code == 200
    # Refused as well: the answer tells what is wrong, not what was sent.
    answers = [
        (await client.v7("POST", "/join", json={**body, "name": "x", "rtcConfig": {**rtc, "salt": 5}}, **demo)).text
    ]
    token = await client.acquired(**demo)
    await client.v6("POST", f"/tasks?builderToken={token}", json={}, **demo)
    answers += [(await client.http.get(f"/simulator/{view}")).text for view in ("tasks", "calls", "options", "faults")]
    shown = "\n".join(answers)
    for secret in (*secrets.values(), token, "demo-secret", "fedcba9876543210fedcba9876543210"):
        assert secret not in shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["name", "languages", "maxIdleTime", "rtcConfig", "uidLanguagesConfig", "translateConfig", "captionConfig"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(body=st.dictionaries(st.sampled_from(FIELDS), json_values) | json_values)
async def test_no_body_whatsoever_upsets_the_simulator(client: Client, body: object) -> None:
    agent_id = await client.joined()
    token = await client.acquired()
    query = "sequenceId=1&updateMask=languages"
    paths = ["/join", f"/agents/{agent_id}/update?{query}"]
    codes = [(await client.v7("POST", path, json=body)).status_code for path in paths]
    codes.append((await client.v6("POST", f"/tasks?builderToken={token}", json=body)).status_code)
    assert set(codes) <= {400}
    await client.http.delete("/simulator/state")
