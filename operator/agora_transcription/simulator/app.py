"""The simulator's FastAPI application: Agora's real paths, and the simulator's own below `/simulator`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request, Response

from agora_transcription.simulator import v6, v7
from agora_transcription.simulator.admin import admin_router
from agora_transcription.simulator.captions.routes import captions_router, moonshine
from agora_transcription.simulator.captions.stage import Stage
from agora_transcription.simulator.clock import Clock
from agora_transcription.simulator.dispatch import Operation, dispatch
from agora_transcription.simulator.options import SimulatorOptions
from agora_transcription.simulator.tasks import Dialect
from agora_transcription.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agora_transcription.simulator.faults import Fault
    from agora_transcription.stt.engines.base import Engine

__all__ = ["create_app"]

V7_BASE: Final = "/api/speech-to-text/v1/projects/{app_id}"
V6_BASE: Final = "/v1/projects/{app_id}/rtsc/speech-to-text"

ROUTES: Final = (
    ("POST", f"{V7_BASE}/join", Operation("join", Dialect.V7, v7.join, v7.refusal)),
    ("GET", f"{V7_BASE}/agents", Operation("list", Dialect.V7, v7.list_agents, v7.refusal)),
    ("GET", f"{V7_BASE}/agents/{{task_id}}", Operation("query", Dialect.V7, v7.query, v7.refusal)),
    ("POST", f"{V7_BASE}/agents/{{task_id}}/update", Operation("update", Dialect.V7, v7.update, v7.refusal)),
    ("POST", f"{V7_BASE}/agents/{{task_id}}/leave", Operation("leave", Dialect.V7, v7.leave, v7.refusal)),
    ("POST", f"{V6_BASE}/builderTokens", Operation("acquire", Dialect.V6, v6.acquire, v6.refusal)),
    ("POST", f"{V6_BASE}/tasks", Operation("start", Dialect.V6, v6.start, v6.refusal)),
    ("GET", f"{V6_BASE}/tasks/{{task_id}}", Operation("query", Dialect.V6, v6.query, v6.refusal)),
    ("PATCH", f"{V6_BASE}/tasks/{{task_id}}", Operation("update", Dialect.V6, v6.update, v6.refusal)),
    ("DELETE", f"{V6_BASE}/tasks/{{task_id}}", Operation("stop", Dialect.V6, v6.stop, v6.refusal)),
)


def create_app(
    options: SimulatorOptions | None = None,
    *,
    faults: Sequence[Fault] = (),
    wall: Callable[[], float] = time.time,
    make_engine: Callable[[], Engine] = moonshine,
) -> FastAPI:
    """Build a simulator with a state of its own.

    Args:
        options: How it is set up; the demo's account and no delays by default.
        faults: What goes wrong from the start.
        wall: Unix seconds; a test's clock.
        make_engine: What understands the audio of channels.
    """
    world = World(options or SimulatorOptions(), faults, Clock(wall))
    # Nothing of a request is interpreted by the framework: Agora's own checks and wording come first.
    app = FastAPI(title="Agora simulator", openapi_url=None)
    stage = Stage(world, make_engine)
    app.state.world, app.state.stage = world, stage
    for method, path, operation in ROUTES:
        app.add_api_route(path, _endpoint(operation, world), methods=[method])
    app.include_router(admin_router(world, stage))
    app.include_router(captions_router(stage))
    return app


def _endpoint(operation: Operation, world: World) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        return await dispatch(operation, world, request)

    return endpoint
