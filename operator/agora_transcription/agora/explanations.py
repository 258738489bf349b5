"""Why Agora did not do what it was asked, read from a body of any shape.

Agora documents five shapes of error body, and the gateways in front of it send others: HTML, nothing at all, JSON cut
off in the middle. All of them become one `Explanation`, whose `reason` and `text` may be shown to anybody: they go to
conditions, events and logs, so what a careless server echoes (credentials, tokens) is cut out here, once for all.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

__all__ = ["Explanation", "explain", "identifier", "presentable", "read_json"]

MAX_TEXT = 200
"""Characters of Agora's text that are kept: conditions and events are read in a terminal."""

MAX_REASON = 64
"""Characters of a reason; Agora's longest documented one has 26."""

MAX_READ = 65_536
"""Bytes of a body that are looked at; an error longer than this is no explanation."""

MAX_ID = 128
"""Characters of a task's id; Agora's own have 26 (V7) and 32 (V6)."""

CUT = "***"

_MIN_SECRET = 4
"""A shorter secret protects nothing, and cutting it would shred every sentence."""

_TEXT_FIELDS = ("detail", "details", "message")
_REASON_FIELDS = ("reason", "code")
_ID_FIELDS = frozenset({"agentid", "taskid"})
_ID_DEPTH = 4

_TAG = re.compile(r"<[^<>]*>")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_~-]{24,}")
_KEYWORD = r"(?:token|secret|password|certificate|credential|(?:access|secret)_?key)s?"
_NAMED_SECRET = re.compile(rf"""({_KEYWORD}(?:["']? ?= ?["']?|["'] ?: ?["']?|: ?["']))[^\s"'&,;}}]+""", re.IGNORECASE)
_SECRET_IN_PROSE = re.compile(  # "pubBotToken: required" says no secret: a word of letters stays
    rf"""({_KEYWORD} ?: ?)(?=[a-z.]*[^\sa-z.,;:!?"'])[^\s"'&,;}}]+""", re.IGNORECASE
)
_AUTHORIZATION = re.compile(r"\b(basic|bearer) [A-Za-z0-9+/=_~.-]{8,}", re.IGNORECASE)
_TASK_ID_IN_TEXT = re.compile(
    r"(?:task|agent)[_ ]?id[\"']?\W{0,3}(?:is\W{1,3})?((?=[a-z_-]{0,127}\d)[\w-]{8,128})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an error body says.

    Attributes:
        reason: Agora's machine-readable reason, else its code as text; empty where it gave neither.
        text: Its explanation, one line of at most 200 characters without secrets; empty where it gave none.
        code: The number in the body (V6), which is not the HTTP status; None where there is none.
        words: Reason and text in lower case, whole, to look for known phrases in; never shown.
        task_id: The task that the body names, from a field before from the text; None where it names none.
        from_gateway: Whether it is a page of markup, so that Agora itself did not speak.
        structured: Whether it is JSON.
    """

    reason: str
    text: str
    code: int | None = None
    words: str = field(default="", repr=False)
    task_id: str | None = None
    from_gateway: bool = False
    structured: bool = False


def explain(body: bytes, secrets: Iterable[SecretStr] = ()) -> Explanation:
    """Read an error body of whatever shape; never raises.

    Args:
        body: The bytes of the answer.
        secrets: What the request held that the explanation must not repeat, besides what looks like a secret.
    """
    known = tuple(secrets)
    document = read_json(body)
    if isinstance(document, list) and document and isinstance(document[0], dict):
        document = document[0]
    if isinstance(document, dict):
        reason, text = _first(document, _REASON_FIELDS), _first(document, _TEXT_FIELDS)
        if not reason and not text and document:
            text = _compact(document)
        gateway = False
    elif document is not None:
        reason, text, gateway = "", document if isinstance(document, str) else _compact(document), False
    else:
        raw = body[:MAX_READ].decode(errors="replace")
        gateway = raw.lstrip().startswith("<")
        reason, text = "", _TAG.sub(" ", _cut(raw, known)) if gateway else raw
    return Explanation(
        reason=presentable(reason, known, MAX_REASON),
        text=presentable(text, known),
        code=_code(document),
        words=f"{reason} {text}".lower(),
        task_id=_task_id(document) or _task_id_in(text),
        from_gateway=gateway,
        structured=document is not None,
    )


def presentable(text: str, secrets: Iterable[SecretStr] = (), limit: int = MAX_TEXT) -> str:
    """Make a server's text fit to be shown: one printable line, without secrets, of at most `limit` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[:MAX_READ]).split())
    line = _cut(line, tuple(secrets))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def read_json(body: bytes) -> object:
    """Decode JSON of any origin; None for what is none, or is the literal null."""
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document


def identifier(value: object) -> str | None:
    """A task's id as Agora gave it; None for what cannot be one.

    It goes into the status, which takes 256 characters, and into URLs, where dots alone would name another resource.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or not value.isprintable() or not value.strip("."):
        return None
    return value


def _first(document: dict[str, object], names: tuple[str, ...]) -> str:
    """The first of the named fields that says anything; what is no text is shown as JSON."""
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if value and not isinstance(value, str):
            return _compact(value)
    return ""


def _compact(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:  # read just within the limit, and written from a deeper stack
        return ""


def _code(document: object) -> int | None:
    """The body's `code`, a number or a number as text; everything longer than six digits is something else."""
    value = document.get("code") if isinstance(document, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    digits = str(value) if isinstance(value, str) or abs(value) < 10**6 else ""
    return int(digits) if re.fullmatch(r"[0-9]{1,6}", digits) else None


def _task_id(document: object, depth: int = _ID_DEPTH) -> str | None:
    """The nearest `agent_id` or `taskId` field, in whatever spelling."""
    if isinstance(document, dict) and depth:
        for name, value in document.items():
            if name.replace("_", "").lower() in _ID_FIELDS and (found := identifier(value)):
                return found
        nested: list[object] = list(document.values())
    else:
        nested = document if isinstance(document, list) and depth else []
    return next((found for value in nested if (found := _task_id(value, depth - 1))), None)


def _task_id_in(text: str) -> str | None:
    """The id in a sentence such as `The task has been started, ..., taskId is 6b2c...`.

    An id has a digit in it; a word that merely follows "taskId" has none.
    """
    found = _TASK_ID_IN_TEXT.search(text[:MAX_READ])
    return found.group(1) if found else None


def _cut(text: str, secrets: tuple[SecretStr, ...]) -> str:
    """Replace the given secrets in every spelling a server may echo them in, and whatever looks like one."""
    values = [value for secret in secrets if len(value := secret.get_secret_value()) >= _MIN_SECRET]
    spellings = {spelling for value in values for spelling in _spellings(value)}
    for spelling in sorted(spellings, key=len, reverse=True):  # the longest first: one may be a part of another
        text = text.replace(spelling, CUT)
    text = _AUTHORIZATION.sub(rf"\1 {CUT}", text)
    text = _SECRET_IN_PROSE.sub(rf"\1{CUT}", _NAMED_SECRET.sub(rf"\1{CUT}", text))
    return _LONG_WORD.sub(lambda word: CUT if any(char.isdigit() for char in word.group()) else word.group(), text)


def _spellings(value: str) -> tuple[str, ...]:
    """A value as it is, in a URL (with the slashes or commas bare or escaped), in a page and in JSON."""
    in_urls = (*(quote(value, safe=safe) for safe in ("", "/", ",")), quote_plus(value))
    return (value, *in_urls, html.escape(value), json.dumps(value)[1:-1])
