"""kopf's watch, read at its door: an event goes to the operator without the way through kopf's workers and handlers.

That way is made for handlers that this operator does not have, and costs a third of all that is done for a task. So an
event's line is taken out of the stream, through two doors that are there for it: kopf takes a session, and aiohttp's
session a class for its responses. kopf still lists, watches, begins again and logs in, and reads whatever is left. In
the place of what was taken it finds a bookmark, as the API server would send one: kopf continues a broken watch there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import kopf
    from aiohttp.connector import Connection

    Take = Callable[[kopf.RawEvent], bool]

__all__ = ["response_class"]

TAKEN: Final = (b'{"type":"ADDED"', b'{"type":"MODIFIED"', b'{"type":"DELETED"')
"""How the API server begins the events of objects. One that begins otherwise is kopf's, whatever it is."""


def response_class(take: Take) -> type[aiohttp.ClientResponse]:
    """Make the class of responses for a session that watches.

    Args:
        take: Takes an event, or answers False: then it is kopf's. It must not fail for any object.
    """

    class Response(aiohttp.ClientResponse):
        async def start(self, connection: Connection) -> aiohttp.ClientResponse:
            await super().start(connection)
            if "watch" in self.url.query:
                self.content = cast("aiohttp.StreamReader", _Rest(self.content, take))
            return self

    return Response


class _Rest:
    """What is left of a watch's content, one event per line."""

    def __init__(self, content: aiohttp.StreamReader, take: Take) -> None:
        self._content = content
        self._take = take

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the content has
        return getattr(self._content, name)

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Go over the lines that are left, several together as they come; a chunk may be longer than `n` bytes."""
        begun = b""
        async for chunk in self._content.iter_chunked(n):
            *lines, begun = (begun + chunk).split(b"\n")
            if left := self._left_of(lines):
                yield left
        if begun:
            yield begun

    def _left_of(self, lines: list[bytes]) -> bytes:
        left, version = [], None
        for line in lines:
            version = self._version_if_taken(line)
            if version is None:
                left.append(line + b"\n")
        if version is not None:
            left.append(to_json({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}) + b"\n")
        return b"".join(left)

    def _version_if_taken(self, line: bytes) -> str | None:
        """Offer an event; answers its resourceVersion if it was taken, else None."""
        if not line.startswith(TAKEN):
            return None
        try:
            event = from_json(line)
            version: str = event["object"]["metadata"]["resourceVersion"]
            return version if self._take(event) else None
        except (ValueError, KeyError, TypeError):
            return None  # whatever it is, it is kopf's to say what is wrong with it
