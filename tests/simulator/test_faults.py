"""Scripted faults, as far as they need no real connection: which calls they meet, and what these are answered."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import ValidationError

from agora_transcription.simulator import Fault, SimulatorOptions, create_app, read_faults

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.conftest import Client


async def codes(client: Client, count: int) -> list[int]:
    """Codes of that many joins, each for another task."""
    taken = len(await client.calls())
    numbers = range(taken, taken + count)
    return [(await client.join(f"tt-{n}-1", rtcConfig__pubBotUid=str(n + 1))).status_code for n in numbers]


async def test_fault_meets_one_call_by_default(client: Client) -> None:
    await client.faults({"operation": "join", "status": 503})
    assert await codes(client, 3) == [503, 200, 200]


async def test_fault_meets_so_many_calls_after_so_many_others(client: Client) -> None:
    await client.faults({"operation": "join", "status": 503, "after": 1, "times": 2})
    assert await codes(client, 5) == [200, 503, 503, 200, 200]


async def test_fault_may_meet_all_calls(client: Client) -> None:
    await client.faults({"operation": "*", "status": 503, "times": 0})
    assert await codes(client, 3) == [503, 503, 503]
    assert await client.status("x") == "503"
    await client.http.delete("/simulator/faults")
    assert await codes(client, 1) == [200]


async def test_fault_may_meet_a_share_of_the_calls(client: Client) -> None:
    await client.faults({"operation": "join", "status": 503, "times": 0, "chance": 0.25})
    met = await codes(client, 200)
    assert set(met) == {200, 503}
    assert 25 <= met.count(503) <= 75


async def test_the_faults_of_one_channel_or_name_can_be_taken_away(client: Client) -> None:
    await client.faults(
        {"operation": "join", "status": 503, "match": {"channel": "a"}},
        {"operation": "join", "status": 503, "match": {"name": "n"}},
        {"operation": "join", "status": 503},
    )
    assert (await client.http.delete("/simulator/faults?channel=a")).json() == {"cleared": 1}
    assert (await client.http.delete("/simulator/faults?name=n")).json() == {"cleared": 1}
    assert (await client.http.delete("/simulator/faults")).json() == {"cleared": 1}


async def test_faults_are_played_in_their_order_and_all_of_them_count(client: Client) -> None:
    await client.faults(
        {"operation": "join", "status": 503},
        {"operation": "join", "status": 500},
        {"operation": "join", "status": 504, "after": 3},
    )
    assert await codes(client, 5) == [503, 500, 200, 504, 200]


async def test_fault_meets_its_operation_only(client: Client) -> None:
    await client.faults({"operation": "leave", "status": 500})
    agent_id = await client.joined()
    assert (await client.v7("POST", f"/agents/{agent_id}/leave")).status_code == 500
    assert await client.status(agent_id) == "RUNNING"


@pytest.mark.parametrize("match", [{"name": "tt-b-1"}, {"channel": "other"}, {"name": "tt-b-1", "channel": "other"}])
async def test_fault_meets_what_it_matches(client: Client, match: dict[str, str]) -> None:
    await client.faults({"operation": "join", "match": match, "status": 500})
    await client.joined("tt-a-1")
    other = {"rtcConfig__channelName": "other", "rtcConfig__pubBotUid": "2"}
    assert (await client.join("tt-b-1", **other)).status_code == 500
    assert (await client.join("tt-b-1", **other)).status_code == 200


async def test_fault_of_a_task_is_found_by_id_name_and_channel(client: Client) -> None:
    agent_id = await client.joined()
    for match in ({"taskId": agent_id}, {"name": "tt-a-1"}, {"channel": "standup"}):
        await client.faults({"operation": "query", "match": match, "status": 500})
        assert await client.status("other") == "404"
        assert await client.status(agent_id) == "500"
        assert await client.status(agent_id) == "RUNNING"


async def test_v6_calls_are_found_by_their_instance(client: Client) -> None:
    match = {"name": "tt-a-1"}
    await client.faults(
        *({"operation": operation, "match": match, "status": 500} for operation in ("acquire", "start"))
    )
    body = {"instanceId": "tt-a-1"}
    assert (await client.v6("POST", "/builderTokens", json=body)).status_code == 500
    token = await client.acquired("tt-a-1")
    assert (await client.start(token)).status_code == 500
    assert (await client.start(token)).status_code == 200


async def test_throttling_with_its_header(client: Client) -> None:
    fault = {"operation": "join", "status": 429, "headers": {"Retry-After": "3"}, "body": {"message": "slow down"}}
    await client.faults(fault)
    answer = await client.join()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.json() == {"message": "slow down"}


async def test_body_that_is_no_json_is_sent_as_it_is(client: Client) -> None:
    html = {"operation": "join", "status": 502, "body": "<html>", "headers": {"Content-Type": "text/html"}}
    truncated = {"operation": "join", "status": 200, "body": '{"agent_id": "1NT'}
    await client.faults(html, truncated)
    answer = await client.join()
    assert (answer.text, answer.headers["content-type"]) == ("<html>", "text/html")
    assert (await client.join()).text == '{"agent_id": "1NT'


@pytest.mark.parametrize("effect", [True, False])
async def test_answer_after_the_effect_or_instead_of_it(client: Client, *, effect: bool) -> None:
    await client.faults({"operation": "join", "status": 504, "effect": effect})
    assert (await client.join()).status_code == 504
    assert len(await client.tasks()) == int(effect)


async def test_answer_of_its_own_is_amended(client: Client) -> None:
    await client.faults(
        {"operation": "join", "amend": {"status": "PONDERING"}},
        {"operation": "join", "status": 409, "amend": {"status": None, "reason": "TaskConflict"}},
    )
    answer = await client.join("tt-a-1")
    [task] = await client.tasks()
    assert (answer.status_code, answer.json()["status"]) == (200, "PONDERING")
    assert answer.json()["agent_id"] == task["taskId"]
    conflict = await client.join("tt-b-1", rtcConfig__pubBotUid="2")
    assert (conflict.status_code, conflict.json()["reason"]) == (409, "TaskConflict")
    assert conflict.json()["agent_id"] == (await client.tasks())[1]["taskId"]


async def test_delayed_call_goes_its_usual_way(client: Client) -> None:
    await client.faults({"operation": "join", "delaySeconds": 0.05})
    begun = time.monotonic()
    assert (await client.join()).status_code == 200
    assert time.monotonic() - begun >= 0.05


async def test_held_call_waits_for_its_release(client: Client) -> None:
    await client.faults({"operation": "join", "hold": True})
    held = asyncio.create_task(client.join())
    async with asyncio.timeout(5):
        while not await client.calls():
            await asyncio.sleep(0)
    assert await client.tasks() == []
    assert (await client.http.post("/simulator/release")).json() == {"released": 1}
    assert (await held).status_code == 200
    assert len(await client.tasks()) == 1


async def test_call_held_after_its_effect_is_visible_meanwhile(client: Client) -> None:
    await client.faults({"operation": "join", "hold": True, "effect": True})
    held = asyncio.create_task(client.join())
    async with asyncio.timeout(5):
        while not await client.tasks():
            await asyncio.sleep(0)
    assert not held.done()
    (call,) = await client.calls()
    assert call["code"] is None
    await client.http.post("/simulator/release")
    assert (await held).status_code == 200


async def test_reset_lets_go_of_held_calls(client: Client) -> None:
    await client.faults({"operation": "join", "hold": True})
    held = asyncio.create_task(client.join())
    async with asyncio.timeout(5):
        while not await client.calls():
            await asyncio.sleep(0)
    await client.http.delete("/simulator/state")
    assert (await held).status_code == 200


@pytest.mark.parametrize(("drop", "tasks"), [("before", 0), ("after", 1)])
async def test_dropped_call_without_a_connection_is_an_error(client: Client, drop: str, tasks: int) -> None:
    await client.faults({"operation": "join", "drop": drop})
    with pytest.raises(ConnectionResetError):
        await client.join()
    assert len(await client.tasks()) == tasks


async def test_what_is_left_of_the_faults_can_be_seen(client: Client) -> None:
    await client.faults({"operation": "join", "status": 503, "times": 3, "after": 1})
    await codes(client, 2)
    remaining = (await client.http.get("/simulator/faults")).json()
    assert remaining == [{"operation": "join", "status": 503, "times": 2}]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"operation": "joins", "status": 500},
        {"operation": "join"},
        {"operation": "join", "status": 500, "drop": "before"},
        {"operation": "join", "status": 500, "hold": True},
        {"operation": "join", "status": 99},
        {"operation": "join", "drop": "later"},
        {"operation": "join", "drop": "after", "effect": False},
        {"operation": "join", "hold": True, "body": "x"},
        {"operation": "join", "hold": True, "amend": {}},
        {"operation": "join", "status": 200, "amend": {}, "body": "x"},
        {"operation": "join", "status": 500, "times": -1},
        {"operation": "join", "status": 500, "match": {"uid": "1"}},
        {"operation": "join", "statusCode": 500},
    ],
)
async def test_bad_faults_are_refused(client: Client, fault: dict[str, Any]) -> None:
    assert (await client.http.post("/simulator/faults", json=[fault])).status_code == 422
    assert (await client.http.get("/simulator/faults")).json() == []


FAULTS = [Fault(operation="join", status=429, headers={"Retry-After": "2"}), Fault(operation="*", drop="after")]


@pytest.mark.parametrize(
    "text",
    [
        "- {operation: join, status: 429, headers: {Retry-After: '2'}}\n- {operation: '*', drop: after}\n",
        json.dumps([fault.model_dump(by_alias=True, exclude_defaults=True) for fault in FAULTS]),
    ],
    ids=["yaml", "json"],
)
def test_faults_are_read_from_yaml_and_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults"
    path.write_text(text)
    assert read_faults(path) == FAULTS


@pytest.mark.parametrize("text", ["- {", "operation: join", "- {operation: join}", ""])
def test_file_that_is_no_list_of_faults_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "faults"
    path.write_text(text)
    with pytest.raises((ValueError, ValidationError)):
        read_faults(path)


async def test_faults_given_at_the_start_come_back_with_a_reset() -> None:
    app = create_app(SimulatorOptions(), faults=[Fault(operation="list", status=500)])
    path = "/api/speech-to-text/v1/projects/0123456789abcdef0123456789abcdef/agents"
    auth = ("demo-customer", "demo-secret")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agora.test", auth=auth) as http:
        assert [(await http.get(path)).status_code for _ in range(2)] == [500, 200]
        await http.delete("/simulator/state")
        assert (await http.get(path)).status_code == 500
