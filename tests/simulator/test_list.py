"""v7's list: its defaults, its filters and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from simulator.conftest import Client

DAY = 86400
START = 1_800_000_000


async def joined_many(client: Client, count: int) -> list[str]:
    return [await client.joined(f"tt-{n}-1", rtcConfig__pubBotUid=str(n + 1)) for n in range(count)]


async def test_rows_tell_neither_name_nor_channel(client: Client) -> None:
    agent_id = await client.joined()
    answer = await client.v7("GET", "/agents")
    assert answer.json() == {
        "data": {"count": 1, "list": [{"start_ts": START, "status": "RUNNING", "agent_id": agent_id}]},
        "meta": {"cursor": "", "total": 1},
        "status": "ok",
    }


async def test_only_running_tasks_are_listed_by_default(client: Client) -> None:
    first, second, third = await joined_many(client, 3)
    await client.options(stopDelay=100)
    await client.v7("POST", f"/agents/{first}/leave")
    await client.http.post(f"/simulator/tasks/{second}/end", json={"status": "FAILED"})
    assert await client.listed() == [third]
    assert await client.listed("?state=2") == [third]
    assert await client.listed("?state=3") == [first]
    assert await client.listed("?state=6") == [second]
    for other in (0, 1, 4, 5):
        assert await client.listed(f"?state={other}") == []


async def test_starting_and_stopped_tasks_have_their_numbers(client: Client) -> None:
    agent_id = await client.joined()
    await client.v7("POST", f"/agents/{agent_id}/leave")
    assert await client.listed("?state=4") == [agent_id]
    await client.options(startDelay=10)
    starting = await client.joined("tt-b-1")
    assert await client.listed("?state=1") == [starting]


async def test_ended_task_leaves_the_list_when_it_is_forgotten(client: Client) -> None:
    agent_id = await client.joined()
    await client.v7("POST", f"/agents/{agent_id}/leave")
    client.wall.pass_(60)
    assert await client.listed("?state=4") == []


async def test_channel_is_matched_exactly(client: Client) -> None:
    here = await client.joined()
    await client.joined("tt-b-1", rtcConfig__channelName="standup-2")
    assert await client.listed("?channel=standup") == [here]
    assert await client.listed("?channel=stand") == []


async def test_channel_may_be_escaped(client: Client) -> None:
    here = await client.joined(rtcConfig__channelName="daily & more")
    assert await client.listed("?channel=daily%20%26%20more") == [here]


async def test_window_is_the_last_day_by_default(client: Client) -> None:
    old = await client.joined(maxIdleTime=0)
    client.wall.pass_(DAY)
    assert await client.listed() == [old]
    client.wall.pass_(1)
    assert await client.listed() == []
    assert await client.listed(f"?from_time={START}") == [old]
    assert await client.listed(f"?from_time={START + 1}") == []


async def test_window_ends_where_it_is_told_to(client: Client) -> None:
    first = await client.joined()
    client.wall.pass_(10)
    second = await client.joined("tt-b-1", rtcConfig__pubBotUid="2")
    assert await client.listed(f"?to_time={START + 9}") == [first]
    assert await client.listed(f"?to_time={START + 10}") == [first, second]


async def test_page_holds_twenty_by_default(client: Client) -> None:
    everyone = await joined_many(client, 21)
    answer = (await client.v7("GET", "/agents")).json()
    assert [row["agent_id"] for row in answer["data"]["list"]] == everyone[:20]
    assert answer["data"]["count"] == 20
    assert answer["meta"] == {"cursor": everyone[19], "total": 21}
    rest = (await client.v7("GET", f"/agents?cursor={everyone[19]}")).json()
    assert [row["agent_id"] for row in rest["data"]["list"]] == everyone[20:]
    assert rest["meta"] == {"cursor": "", "total": 21}


async def test_full_page_may_be_the_last_one(client: Client) -> None:
    await joined_many(client, 2)
    assert (await client.v7("GET", "/agents?limit=2")).json()["meta"] == {"cursor": "", "total": 2}


async def test_pages_do_not_shift_when_tasks_end_meanwhile(client: Client) -> None:
    everyone = await joined_many(client, 4)
    assert await client.listed("?limit=2") == everyone[:2]
    for agent_id in everyone[:2]:
        await client.v7("POST", f"/agents/{agent_id}/leave")
    assert await client.listed(f"?limit=2&cursor={everyone[1]}") == everyone[2:]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "state=RUNNING", "state=7", "state=1,2", "from_time=x", "cursor=x", "name=tt"],
)
async def test_bad_queries(client: Client, query: str) -> None:
    answer = await client.v7("GET", f"/agents?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


async def test_list_may_be_missing(client: Client) -> None:
    await client.options(listSupported=False)
    assert (await client.v7("GET", "/agents")).status_code == 404


async def test_fresh_task_may_appear_late(client: Client) -> None:
    await client.options(listDelay=2)
    agent_id = await client.joined()
    assert await client.listed() == []
    client.wall.pass_(2)
    assert await client.listed() == [agent_id]


async def test_tasks_of_v6_are_not_listed(client: Client) -> None:
    await client.started()
    assert await client.listed() == []
