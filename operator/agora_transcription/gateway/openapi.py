"""What stands at /docs of each endpoint. The framework only shows it: bodies are read in `bodies.py`."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPBearer

__all__ = ["QUERY", "START", "STOP", "TOKEN"]

KEYS: Final = [
    Security(HTTPBearer(auto_error=False, description="An API key.")),
    Security(APIKeyHeader(name="x-api-key", auto_error=False, description="An API key.")),
]

CHANNEL: Final = {"type": "string", "minLength": 1, "maxLength": 64, "example": "test"}
TASK: Final = {"taskId": {"type": "string"}, "builderToken": {"type": "string"}}

REFUSALS: Final = {
    400: "A field is required, or incorrect.",
    401: "There is no API key, or it is not known.",
    403: "The channel is not allowed, or the token is of no start here.",
    404: "The transcription has ended.",
    413: "The body is too long.",
    429: "Too many calls.",
    502: "The transcription cannot be started, or the cluster does not answer.",
    503: "The gateway is not set up for this.",
    504: "It has taken too long.",
}


def _described(summary: str, fields: dict[str, Any], answer: dict[str, Any], codes: tuple[int, ...]) -> dict[str, Any]:
    body = {"type": "object", "properties": fields, "required": list(fields)}
    text = {"text/plain": {"schema": {"type": "string"}}}
    refusals: dict[int, dict[str, Any]] = {
        code: {"description": REFUSALS[code], "content": text} for code in sorted({400, 401, 413, 429, 503, *codes})
    }
    schema = {"type": "object", "properties": answer, "required": list(answer)}
    good = {"description": "As it was asked.", "content": {"application/json": {"schema": schema}}}
    return {
        "summary": summary,
        "dependencies": KEYS,
        "responses": {200: good, **refusals},
        "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}},
    }


START: Final = _described(
    "Transcribe a channel; a channel that is transcribed is answered with the ids it has",
    {"channel": CHANNEL},
    TASK,
    (403, 502, 504),
)
STOP: Final = _described("Stop what a start was answered for", TASK, {}, (403, 502, 504))
QUERY: Final = _described(
    "How what a start was answered for is doing",
    TASK,
    {
        "taskId": {"type": "string"},
        "createTs": {"type": "integer", "description": "Unix seconds."},
        "status": {"type": "string", "enum": ["PREPARING", "IN_PROGRESS", "STOPPING"]},
    },
    (403, 404, 502),
)
TOKEN: Final = _described(
    "An RTC token with which a user joins a channel",
    {
        "channel": CHANNEL,
        "uid": {"type": "string", "description": "1 to 4294967295.", "example": "1001"},
        "expireTime": {"type": "integer", "description": "Seconds from now, 86400 at most.", "example": 3600},
        "role": {"type": "string", "enum": ["publisher", "subscriber"]},
    },
    {"token": {"type": "string"}},
    (403,),
)
