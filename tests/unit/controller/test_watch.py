"""What the operator takes out of the watch never reaches kopf, and everything else does, to the byte."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import kopf
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.controller.connection import session
from agora_transcription.controller.watch import _Rest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def line(kind: str, version: str, **metadata: Any) -> bytes:
    """An event as the API server writes it."""
    body = {"kind": "TranscriptionTask", "metadata": {**metadata, "resourceVersion": version}}
    return json.dumps({"type": kind, "object": body}, separators=(",", ":")).encode() + b"\n"


class Content:
    """What has come of a watch, in pieces of any size."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        assert n > 0
        for piece in self._pieces:
            yield piece


class Operator:
    """Takes the events of some versions."""

    def __init__(self, *versions: str) -> None:
        self._versions = versions
        self.taken: list[tuple[str, str]] = []

    def take(self, event: kopf.RawEvent) -> bool:
        version = event["object"]["metadata"]["resourceVersion"]
        if version not in self._versions:
            return False
        self.taken.append((str(event["type"]), version))
        return True


async def read(pieces: list[bytes], take: Callable[[kopf.RawEvent], bool]) -> list[bytes]:
    """The lines that kopf gets to read."""
    content: Any = Content(pieces)
    return b"".join([chunk async for chunk in _Rest(content, take).iter_chunked(1024)]).splitlines(keepends=True)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def is_bookmark(text: bytes) -> bool:
    """Whether a line is none of the API server's, which name the kind."""
    return text.startswith(b'{"type":"BOOKMARK","object":{"metadata"')


events = st.lists(
    st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]), st.integers(1, 6).map(str)),
    max_size=12,
)
versions = st.sets(st.integers(1, 6).map(str))
edges = st.lists(st.integers(0, 900))


@given(events, versions, edges, st.binary(max_size=5))
async def test_what_is_not_taken_is_kopfs(
    told: list[tuple[str, str]], own: set[str], cuts: list[int], tail: bytes
) -> None:
    """To the byte and in its order, however the bytes come; and what is taken is taken once."""
    tail = tail.replace(b"\n", b"").replace(b"\r", b"")
    operator = Operator(*own)
    left = await read(cut(b"".join(line(*event) for event in told) + tail, cuts), operator.take)
    taken = [event[0] in {"ADDED", "MODIFIED", "DELETED"} and event[1] in own for event in told]
    assert operator.taken == list(itertools.compress(told, taken))
    kept = [line(*event) for event, was_taken in zip(told, taken, strict=True) if not was_taken]
    assert b"".join(text for text in left if not is_bookmark(text)) == b"".join(kept) + tail


@given(events, versions, edges)
async def test_a_watch_that_breaks_continues_after_the_last_event(
    told: list[tuple[str, str]], own: set[str], cuts: list[int]
) -> None:
    """kopf continues at the version that it has read last, whoever has taken that event."""
    left = await read(cut(b"".join(line(*event) for event in told), cuts), Operator(*own).take)
    read_last = [json.loads(text)["object"]["metadata"]["resourceVersion"] for text in left[-1:]]
    assert read_last == [version for _, version in told[-1:]]


async def test_a_version_that_only_an_annotation_names_is_none() -> None:
    change = line("MODIFIED", "9", annotations={"resourceVersion": "7", "a": '"resourceVersion":"7"'})
    assert await read([change], Operator("7").take) == [change]


async def test_what_is_no_event_is_for_kopf_to_complain_of() -> None:
    for text in (b'{"type":"MODIFIED"\n', b'{"type":"MODIFIED","object":null}\n', b'{"type":"MODIFIED","object":{}}\n'):
        assert await read([text], Operator("7").take) == [text]


async def test_kopfs_session_enters_as_kopf_would_and_only_watches_are_read_first() -> None:
    asked: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.Response(body=line("MODIFIED", "1") + line("MODIFIED", "2"))

    app = web.Application()
    app.router.add_get("/tasks", answer)
    async with TestServer(app) as server:
        info = kopf.ConnectionInfo(server=str(server.make_url("/")), scheme="Bearer", token="a-token")
        found = session(info, Operator("1").take)
        async with found.aiohttp_session as http:
            read_by_kopf = []
            for path in ("/tasks?watch=true", "/tasks"):
                async with http.get(server.make_url(path)) as response:
                    read_by_kopf.append([chunk async for chunk in response.content.iter_chunked(2**20)])
                    assert response.content.at_eof()
    assert read_by_kopf == [[line("MODIFIED", "2")], [line("MODIFIED", "1") + line("MODIFIED", "2")]]
    assert asked == ["Bearer a-token"] * 2
    assert found.server == info.server


async def test_who_is_refused_is_not_offered_again_as_something_new() -> None:
    """kopf ends when a login brings what has been refused; else it would ask without an end and without a pause."""
    info, other = (kopf.ConnectionInfo(server="https://cluster.example", token=token) for token in ("one", "two"))
    first, again, renewed = (session(found, Operator().take) for found in (info, info, other))
    assert first == again
    assert hash(first) == hash(again)
    assert first != renewed
    for made in (first, again, renewed):
        await made.aiohttp_session.close()
