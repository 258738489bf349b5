"""The simulator's pages of captions and of audio, below `/simulator/channels/`."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Header, HTTPException, Query, Request
from fastapi.responses import StreamingResponse

from agora_transcription.simulator.captions.speech import Speech
from agora_transcription.simulator.captions.wav import MAX_BYTES, InvalidWav, samples_of
from agora_transcription.simulator.fields import MAX_UID
from agora_transcription.stt.engines.base import EngineFault

if TYPE_CHECKING:
    from agora_transcription.simulator.captions.stage import Stage
    from agora_transcription.stt.engines.base import Engine

__all__ = ["captions_router", "moonshine"]

HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep the events back
}

MAX_DIGITS: Final = 20
"""Of an event's number that can be one of ours."""

ENGINE_PACKAGE: Final = "moonshine_voice"

SpeakerUid = Annotated[int, Query(ge=1, le=MAX_UID)]


def captions_router(stage: Stage) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/simulator/channels/{name}")

    @router.get("/captions")
    async def captions(name: str, last_event_id: Annotated[str | None, Header()] = None) -> StreamingResponse:
        known = last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < MAX_DIGITS
        after = int(last_event_id or 0) if known else None
        return StreamingResponse(stage.listen(name, after), media_type="text/event-stream", headers=HEADERS)

    @router.get("/audio")
    async def audio(name: str) -> list[dict[str, Any]]:
        return [_row(uid, speech, stage.waits_for(name, uid)) for uid, speech in stage.channel(name).speeches.items()]

    @router.put("/audio")
    async def attach(name: str, uid: SpeakerUid, request: Request, *, loop: bool = False) -> dict[str, Any]:
        content = await _content(request)
        try:
            # Some million samples of stereo take a while.
            rate, samples = await asyncio.to_thread(samples_of, content)
            speech = Speech(rate, samples, loop)
            await stage.attach(name, uid, speech)
        except InvalidWav as error:
            raise HTTPException(400, str(error)) from None
        except EngineFault as error:
            raise HTTPException(503 if find_spec(ENGINE_PACKAGE) else 501, str(error)) from None
        return _row(uid, speech, stage.waits_for(name, uid))

    @router.delete("/audio")
    async def take_away(name: str, uid: SpeakerUid | None = None) -> dict[str, Any]:
        speeches = stage.channel(name).speeches
        gone = [speaker for speaker in speeches if uid in {None, speaker}]
        for speaker in gone:
            del speeches[speaker]
        return {"removed": len(gone)}

    return router


def moonshine() -> Engine:
    """The engine for audio, with its model in its package; one process is enough, though with many it is slow."""
    from agora_transcription.stt.engines.local import LocalEngine  # noqa: PLC0415 - only those who attach audio need it

    return LocalEngine("moonshine", workers=1, sessions=32, timestamps=False)


async def _content(request: Request) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            raise HTTPException(413, f"at most {MAX_BYTES // 2**20} MiB")
    return bytes(content)


def _row(uid: int, speech: Speech, waits: str | None) -> dict[str, Any]:
    return {
        "uid": uid,
        "seconds": round(speech.seconds, 3),
        "played": round(speech.played, 3),
        "loop": speech.loop,
        "ended": speech.ended,
        "waits": waits,
    }
