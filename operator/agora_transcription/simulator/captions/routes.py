"""The simulator's streams of captions, below `/simulator/channels/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

if TYPE_CHECKING:
    from agora_transcription.simulator.captions.stage import Stage

__all__ = ["captions_router"]

HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep the events back
}


def captions_router(stage: Stage) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/simulator/channels/{name}")

    @router.get("/captions")
    async def captions(name: str, last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:
        after = int(last_event_id) if last_event_id and last_event_id.isdecimal() else None
        return StreamingResponse(stage.listen(name, after), media_type="text/event-stream", headers=HEADERS)

    return router
