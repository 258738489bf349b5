"""Echoes of own writes never reach kopf, and everything else does, to the byte, however the bytes come."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import kopf
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.controller.cache import TaskCache
from agora_transcription.controller.connection import session
from agora_transcription.controller.echoes import _News
from unit.controller.builders import UID, body_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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


async def read(pieces: list[bytes], echoes: set[str]) -> bytes:
    content: Any = Content(pieces)
    return b"".join([chunk async for chunk in _News(content, echoes.__contains__).iter_chunked(1024)])


events = st.lists(
    st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]), st.integers(1, 6).map(str)),
    max_size=12,
)


@given(events, st.sets(st.integers(1, 6).map(str)), st.lists(st.integers(0, 900)), st.binary(max_size=5))
async def test_all_is_read_but_echoes(
    told: list[tuple[str, str]], echoes: set[str], cuts: list[int], tail: bytes
) -> None:
    tail = tail.replace(b"\n", b"")
    lines = [line(kind, version) for kind, version in told]
    stream = b"".join(lines) + tail
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    news = [
        text for text, (kind, version) in zip(lines, told, strict=True) if kind != "MODIFIED" or version not in echoes
    ]
    assert await read(pieces, echoes) == b"".join(news) + tail


async def test_a_version_that_only_an_annotation_names_is_none() -> None:
    """Whoever may write an annotation must not be able to hide a change by it."""
    change = line("MODIFIED", "9", annotations={"resourceVersion": "7", "a": '"resourceVersion":"7"'})
    assert await read([change], {"7"}) == change


async def test_what_is_no_event_is_for_kopf_to_complain_of() -> None:
    for text in (b'{"type":"MODIFIED"\n', b'{"type":"MODIFIED","object":null}\n', b'{"type":"MODIFIED","object":{}}\n'):
        assert await read([text], {"7"}) == text


def test_the_watch_tells_nothing_new_of_a_write_whose_answer_is_known() -> None:
    cache = TaskCache()
    cache.offer(body_of(resourceVersion="1"))
    cache.answered(body_of(resourceVersion="2"))
    assert not cache.is_echo("1")
    assert cache.is_echo("2")
    cache.drop(UID)
    assert cache.is_echo("2"), "a watch that begins anew repeats it: the object must not come back by it"


def test_an_answer_that_comes_after_its_echo_expects_none() -> None:
    cache = TaskCache()
    cache.offer(body_of(resourceVersion="2"))
    cache.answered(body_of(resourceVersion="2"))
    assert not cache.is_echo("2")


async def test_kopfs_session_enters_as_kopf_would_and_filters_only_watches() -> None:
    asked: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.Response(body=line("MODIFIED", "1") + line("MODIFIED", "2"))

    app = web.Application()
    app.router.add_get("/tasks", answer)
    async with TestServer(app) as server:
        info = kopf.ConnectionInfo(server=str(server.make_url("/")), scheme="Bearer", token="a-token")
        found = session(info, {"1"}.__contains__)
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
    first, again, renewed = (session(found, set[str]().__contains__) for found in (info, info, other))
    assert first == again
    assert hash(first) == hash(again)
    assert first != renewed
    for made in (first, again, renewed):
        await made.aiohttp_session.close()
