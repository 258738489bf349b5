"""What is said on the way to an ElevenLabs-compatible service: its URLs, its results and its errors."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from agora_transcription.stt.engines.base import EngineFault, Kind, Result

__all__ = ["CODES", "NOTHING_LEFT", "RATES", "error_of", "fault_of", "model_of", "rate_for", "result_of", "url_for"]

PATH: Final = "/v1/speech-to-text/realtime"
MODEL: Final = "scribe_v2_realtime"

RATES: Final = (8000, 16000, 22050, 24000, 44100, 48000)
"""Hz: there is a format `pcm_<rate>` of each."""

CODES: Final = {
    # What the client has sent.
    "chunk_size_exceeded": 1008,
    "input_error": 1008,
    "insufficient_audio_activity": 1008,
    "invalid_request": 1008,
    "session_time_limit_exceeded": 1008,
    # What may be otherwise in a while.
    "commit_throttled": 1013,
    "queue_overflow": 1013,
    "rate_limited": 1013,
    "resource_exhausted": 1013,
    # What whoever runs this has to see to.
    "auth_error": 1011,
    "error": 1011,
    "quota_exceeded": 1011,
    "transcriber_error": 1011,
    "unaccepted_terms": 1011,
    "unaccepted_terms_error": 1011,
}
"""Its errors, and the code that a session is closed with."""

NOTHING_LEFT: Final = {"commit_throttled", "insufficient_audio_activity"}
"""How it answers who asks for a last commit when there is too little to commit."""


def model_of(url: str) -> str:
    """The model that the URL names, or the one that is asked for without."""
    return dict(parse_qsl(urlsplit(url).query)).get("model_id", MODEL)


def url_for(url: str, rate: int, *, timestamps: bool) -> str:
    """Where to connect to: what the URL says, and for what it does not say, what fits us.

    Args:
        url: As of `--relay-url`.
        rate: Of the audio that will be sent, in Hz.
        timestamps: Whether the times of words are wanted.
    """
    parts = urlsplit(url)
    defaults = {
        "model_id": MODEL,
        "audio_format": f"pcm_{rate}",
        "commit_strategy": "vad",
        "include_timestamps": str(timestamps).lower(),
    }
    given = parse_qsl(parts.query, keep_blank_values=True)
    query = [(name, value) for name, value in defaults.items() if name not in dict(given)] + given
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") or PATH, urlencode(query), ""))


def rate_for(url: str, rate: int) -> int:
    """The rate to send at: the one that the URL names, or the lowest with nothing lost.

    Raises:
        EngineFault: The URL names a format that is no PCM.
    """
    named = dict(parse_qsl(urlsplit(url).query)).get("audio_format")
    if named is None:
        return next((supported for supported in RATES if supported >= rate), RATES[-1])
    kind, _, number = named.partition("_")
    if kind != "pcm" or not number.isdecimal() or int(number) not in RATES:
        raise EngineFault("the audio_format in --relay-url is none of pcm_8000 to pcm_48000")
    return int(number)


def result_of(body: dict[str, Any]) -> Result | None:
    """The result in a message, as it came; None where it is of another kind."""
    kind, text = body.get("message_type"), body.get("text")
    if not isinstance(kind, str) or kind not in set(Kind) or not isinstance(text, str):
        return None
    return Result(Kind(kind), {name: value for name, value in body.items() if name != "message_type"})


def error_of(body: dict[str, Any]) -> str | None:
    """The error in a message, a key of `CODES`: its kind, or the `error` of a kind of that name."""
    kind, error = body.get("message_type"), body.get("error")
    if not isinstance(kind, str) or kind not in CODES:
        return None
    return error if kind == "error" and isinstance(error, str) and error in CODES else kind


def fault_of(error: str) -> EngineFault:
    """What an error means for a session."""
    return EngineFault(f"the relay's other end reports {error}", CODES[error])
