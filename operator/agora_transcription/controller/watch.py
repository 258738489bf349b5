"""kopf's list and watch, read at their door: objects go to the operator without the way through kopf's handlers.

That way is made for handlers that this operator does not have, and costs a fifth of its CPU time. So the objects are
taken out of what the API server answers, through two doors that are there for it: kopf takes a session, and aiohttp's
session a class for its responses. kopf logs in, lists, watches, and begins again after whatever breaks; it finds lists
without items, and in a watch bookmarks, as the API server sends them, in the place of the events: there it goes on.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from pydantic_core import from_json, to_json

from agora_transcription.api import PLURAL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    import kopf
    from aiohttp.connector import Connection

    from agora_transcription.controller.intake import Intake

    Tell = Callable[[kopf.RawEvent], None]

__all__ = ["left_of", "response_class"]

EVENTS: Final = (b'{"type":"ADDED"', b'{"type":"MODIFIED"', b'{"type":"DELETED"')
"""How the API server begins the events of objects. One that begins otherwise is kopf's, whatever it is."""


def response_class(intake: Intake) -> type[aiohttp.ClientResponse]:
    """Make the class of responses for the session with which kopf lists and watches."""

    class Response(aiohttp.ClientResponse):
        async def start(self, connection: Connection) -> aiohttp.ClientResponse:
            await super().start(connection)
            if self._is_of_tasks() and "watch" in self.url.query:
                self.content = cast("aiohttp.StreamReader", _Rest(self.content, intake.told))
            return self

        async def json(self, **options: Any) -> Any:  # noqa: ANN401 - as aiohttp declares it
            answer = await super().json(**options)
            if self._is_of_tasks():
                intake.listed(self.url.path, answer["items"], begins="continue" not in self.url.query)
                answer["items"] = []
            return answer

        def _is_of_tasks(self) -> bool:
            return self.status == HTTPStatus.OK and self.url.path.endswith(f"/{PLURAL}")

    return Response


def left_of(lines: Iterable[bytes], tell: Tell) -> bytes:
    """Tell of the objects' events among a watch's lines; answers what is left of the lines, for kopf."""
    left: list[bytes] = []
    passed = None
    for line in lines:
        event = _event_of(line)
        if event is not None:
            tell(event)
            passed = event["object"]["metadata"]["resourceVersion"]
            continue
        if passed is not None:
            left.append(_bookmark(passed))
            passed = None
        left.append(line)
    if passed is not None:
        left.append(_bookmark(passed))
    return b"".join(line + b"\n" for line in left)


class _Rest:
    """What is left of a watch's content, one event per line."""

    def __init__(self, content: aiohttp.StreamReader, tell: Tell) -> None:
        self._content = content
        self._tell = tell

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the content has
        return getattr(self._content, name)

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Go over the lines that are left, several together as they come; a chunk may be longer than `n` bytes."""
        begun = b""
        async for chunk in self._content.iter_chunked(n):
            *lines, begun = (begun + chunk).split(b"\n")
            if left := left_of(lines, self._tell):
                yield left
        if begun:
            yield begun


def _event_of(line: bytes) -> kopf.RawEvent | None:
    """The event of an object; None for any other line."""
    if not line.startswith(EVENTS):
        return None
    try:
        event: kopf.RawEvent = from_json(line)
        return event if event["object"]["metadata"]["resourceVersion"] else None
    except (ValueError, KeyError, TypeError):
        return None  # whatever it is, it is kopf's to say what is wrong with it


def _bookmark(version: str) -> bytes:
    return to_json({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}})
