"""The events of the protocol: what clients send is checked, what they get is made. No I/O."""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.stt.engines.audio import SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora_transcription.stt.engines.base import Result

__all__ = [
    "MAX_BACKLOG_SECONDS",
    "MAX_CHUNK_SECONDS",
    "MAX_EARLY_SECONDS",
    "MAX_FAULTS",
    "PATH",
    "Close",
    "Refused",
    "closed",
    "error",
    "read_chunk",
    "read_start",
    "started",
    "transcript",
]

PATH: Final = "/api/stt-realtime-socket"

RATES: Final = range(8000, 48001)
"""Samples per second."""

MAX_CHUNK_SECONDS: Final = 1.0
"""Of audio in one event; at the highest rate that is 96,000 bytes."""

MAX_EARLY_SECONDS: Final = 2.0
"""Of audio that is kept until the session has started: clients do not all wait for it."""

MAX_BACKLOG_SECONDS: Final = 10.0
"""Of audio that has come and is not worked through: more is sent too fast, or cannot be coped with."""

MAX_FAULTS: Final = 10
"""Chunks of a session that are no audio, until it is ended."""


class Close(IntEnum):
    """Codes of `session-closed`, and of `session-error` where they say why; their meanings are those of a WebSocket."""

    NORMAL = 1000
    GOING_AWAY = 1001
    POLICY = 1008
    TOO_BIG = 1009
    FAULT = 1011
    TRY_LATER = 1013


class Refused(Exception):
    """Something that a client has sent is not acted on; the message is for the client.

    Attributes:
        code: Whose fault it is, and of what kind.
    """

    def __init__(self, message: str, code: Close = Close.POLICY) -> None:
        self.code = code
        super().__init__(message)


def read_start(arguments: Sequence[Any]) -> int:
    """Read the payload of `start-session`.

    Returns:
        The session's sample rate in Hz.

    Raises:
        Refused: It is none.
    """
    rate = _integer(_payload(arguments).get("sampleRate"))
    if rate not in RATES:
        raise Refused(f"start-session needs a sampleRate of {RATES[0]} to {RATES[-1]}")
    return rate


def read_chunk(arguments: Sequence[Any], rate: int) -> bytes:
    """Read the payload of `audio-chunk`.

    Args:
        arguments: Of the event.
        rate: The session's, in Hz.

    Returns:
        PCM, signed 16 bit, little-endian; whole samples.

    Raises:
        Refused: It cannot be the session's next audio. Half a sample would shift all that follows.
    """
    payload = _payload(arguments)
    encoded, declared = payload.get("audio_base_64"), payload.get("sample_rate", rate)
    if not isinstance(encoded, str):
        raise Refused("audio-chunk needs audio_base_64, a text; binary is not accepted")
    if _integer(declared) != rate:
        raise Refused(f"sample_rate must be that of start-session, {rate}")
    most = int(MAX_CHUNK_SECONDS * rate) * SAMPLE_BYTES
    if len(encoded) > -(-most // 3) * 4:
        raise Refused(f"audio-chunk is longer than {MAX_CHUNK_SECONDS:g} s of audio, {most} bytes", Close.TOO_BIG)
    try:
        audio = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("audio_base_64 is not base64") from None
    if len(audio) % SAMPLE_BYTES:
        raise Refused("audio_base_64 must have whole samples, of 2 bytes each")
    return audio


def started(session_id: str, rate: int, model: str) -> dict[str, Any]:
    """The `transcript-message` that follows `session-started`."""
    config = {"sample_rate": rate, "audio_format": f"pcm_{rate}", "model_id": model}
    return {"message_type": "session_started", "session_id": session_id, "config": config}


def transcript(result: Result) -> dict[str, Any]:
    """The `transcript-message` of a result."""
    return {"message_type": "", **result.payload} | {"message_type": str(result.kind)}


def error(message: str, code: int) -> dict[str, Any]:
    """The payload of `session-error`."""
    return {"error": message, "code": int(code)}


def closed(code: int, reason: str) -> dict[str, Any]:
    """The payload of `session-closed`."""
    return {"code": int(code), "reason": reason}


def _payload(arguments: Sequence[Any]) -> dict[str, Any]:
    return arguments[0] if arguments and isinstance(arguments[0], dict) else {}


def _integer(value: object) -> int:
    """A number as JavaScript has them; 0 for what is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
