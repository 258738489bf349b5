"""kopf's watch, less the echoes of the operator's own writes.

The answer to a write is the newest version of its object, and a moment later the watch tells of it once more. To parse
such an event and to find out that it is no news costs kopf as much as the write itself. So its line is taken out of the
stream before kopf reads it, through two doors that are there for it: kopf takes a session, and aiohttp's session a
class for its responses. An echo that is not recognized does no harm; whoever reads it finds nothing new in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import aiohttp
from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.connector import Connection

    IsEcho = Callable[[str], bool]

__all__ = ["response_class"]


def response_class(is_echo: IsEcho) -> type[aiohttp.ClientResponse]:
    """Make the class of responses for a session that watches.

    Args:
        is_echo: Whether the resourceVersion is that of an own write whose answer is known.
    """

    class Response(aiohttp.ClientResponse):
        async def start(self, connection: Connection) -> aiohttp.ClientResponse:
            await super().start(connection)
            if "watch" in self.url.query:
                self.content = cast("aiohttp.StreamReader", _News(self.content, is_echo))
            return self

    return Response


class _News:
    """The content of a watch: one event per line."""

    def __init__(self, content: aiohttp.StreamReader, is_echo: IsEcho) -> None:
        self._content = content
        self._is_echo = is_echo

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the content has
        return getattr(self._content, name)

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Go over the lines that are news, several together as they come; a chunk may be longer than `n` bytes."""
        rest = b""
        async for chunk in self._content.iter_chunked(n):
            *lines, rest = (rest + chunk).split(b"\n")
            news = [line + b"\n" for line in lines if not self._tells_of_an_echo(line)]
            if news:
                yield b"".join(news)
        if rest:
            yield rest

    def _tells_of_an_echo(self, line: bytes) -> bool:
        if not line.startswith(b'{"type":"MODIFIED"'):
            return False
        try:
            return self._is_echo(from_json(line)["object"]["metadata"]["resourceVersion"])
        except (ValueError, KeyError, TypeError):
            return False  # whatever it is, it is kopf's to say what is wrong with it
