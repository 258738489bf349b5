"""Agora's V7 API as fast as can be: every call takes the same time, and nothing is checked but the name of a join.

The simulator is the strict one, and costs more than what is measured. Beside Agora's paths it answers how often it was
called (`/counts`) and when an agent was last changed (`/updates`).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import uvloop
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROJECT: Final = "/api/speech-to-text/v1/projects/{app}"
STATES: Final = ("IDLE", "STARTING", "RUNNING", "STOPPING", "STOPPED", "RECOVERING", "FAILED")
"""Status words; their positions are the numbers of the list's `state`."""

GONE: Final = {"detail": "task not found", "reason": "TaskNotFound"}


@dataclass(slots=True)
class Agent:
    """A task at Agora; `number` is its place in the list."""

    number: int
    name: str
    started: int
    status: str = "RUNNING"

    @property
    def id(self) -> str:
        """As Agora's: 26 characters."""
        return f"{self.number:026d}"

    def described(self) -> dict[str, Any]:
        """What most answers are."""
        return {"agent_id": self.id, "create_ts": self.started, "status": self.status}


class StandIn:
    """All agents, and what was asked."""

    def __init__(self, delay: float) -> None:
        """Prepare.

        Args:
            delay: Seconds that each call takes.
        """
        self._delay = delay
        self._agents: list[Agent] = []
        self._names: dict[str, Agent] = {}
        self._calls: Counter[str] = Counter()
        self._updates: dict[str, float] = {}
        self._doubled = 0

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_post(f"{PROJECT}/join", self._after_delay("join", self._join))
        app.router.add_get(f"{PROJECT}/agents", self._after_delay("list", self._list))
        app.router.add_get(f"{PROJECT}/agents/{{id}}", self._after_delay("query", self._query))
        app.router.add_post(f"{PROJECT}/agents/{{id}}/update", self._after_delay("update", self._update))
        app.router.add_post(f"{PROJECT}/agents/{{id}}/leave", self._after_delay("leave", self._leave))
        app.router.add_get("/counts", self._counts)
        app.router.add_get("/updates", self._told_updates)
        return app

    def _after_delay(
        self, operation: str, answer: Callable[[web.Request, float], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            arrived = time.monotonic()
            self._calls[operation] += 1
            await asyncio.sleep(self._delay)
            return await answer(request, arrived)

        return handler

    async def _join(self, request: web.Request, _: float) -> web.Response:
        name = (await request.json())["name"]
        namesake = self._names.get(name)
        if namesake is not None:
            self._doubled += 1
            conflict = {"detail": "the same name already exists", "reason": "TaskConflict", "agent_id": namesake.id}
            return web.json_response(conflict, status=409)
        agent = self._names[name] = Agent(len(self._agents), name, int(time.time()))
        self._agents.append(agent)
        return web.json_response(agent.described())

    async def _query(self, request: web.Request, _: float) -> web.Response:
        agent = self._found(request)
        return web.json_response(agent.described() if agent else GONE, status=200 if agent else 404)

    async def _update(self, request: web.Request, arrived: float) -> web.Response:
        agent = self._found(request)
        if agent is None or agent.status != "RUNNING":
            return web.json_response(GONE, status=404)
        self._updates[agent.id] = arrived
        return web.json_response(agent.described())

    async def _leave(self, request: web.Request, _: float) -> web.Response:
        agent = self._found(request)
        if agent is None or agent.status != "RUNNING":
            return web.json_response(GONE, status=404)
        agent.status = "STOPPED"
        return web.json_response(agent.described())

    async def _list(self, request: web.Request, _: float) -> web.Response:
        limit, after = int(request.query.get("limit", 20)), int(request.query.get("cursor") or -1)
        state = STATES[int(request.query.get("state", STATES.index("RUNNING")))]
        matching = [agent for agent in self._agents if agent.status == state]
        rest = [agent for agent in matching if agent.number > after]
        page = rest[:limit]
        rows = [{"start_ts": agent.started, "status": agent.status, "agent_id": agent.id} for agent in page]
        meta = {"cursor": page[-1].id if len(rest) > limit else "", "total": len(matching)}
        return web.json_response({"data": {"count": len(rows), "list": rows}, "meta": meta, "status": "ok"})

    async def _counts(self, _: web.Request) -> web.Response:
        running = sum(agent.status == "RUNNING" for agent in self._agents)
        return web.json_response({"calls": self._calls, "doubled": self._doubled, "running": running})

    async def _told_updates(self, _: web.Request) -> web.Response:
        """By agent, when its last update arrived, by the clock that all processes of the machine have."""
        return web.json_response(self._updates)

    def _found(self, request: web.Request) -> Agent | None:
        number = int(request.match_info["id"])
        return self._agents[number] if number < len(self._agents) else None


async def serve(host: str, port: int, delay: float) -> None:
    """Answer until the process is ended."""
    runner = web.AppRunner(StandIn(delay).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that each call takes")
    options = parser.parse_args()
    uvloop.run(serve("127.0.0.1", options.port, options.delay))


if __name__ == "__main__":
    main()
