"""What the operator takes out of kopf's answers, and what it leaves to kopf."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, cast

import kopf
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.controller.connection import session
from agora_transcription.controller.watch import _Rest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agora_transcription.controller.intake import Intake


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


async def read(pieces: list[bytes], tell: Callable[[kopf.RawEvent], None]) -> list[bytes]:
    """The lines that kopf gets to read."""
    content: Any = Content(pieces)
    return b"".join([chunk async for chunk in _Rest(content, tell).iter_chunked(1024)]).splitlines(keepends=True)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def versions_of(lines: list[bytes]) -> list[str]:
    return [json.loads(text)["object"]["metadata"]["resourceVersion"] for text in lines]


OBJECTS = {"ADDED", "MODIFIED", "DELETED"}
KINDS = st.sampled_from([*sorted(OBJECTS), "BOOKMARK", "ERROR"])
events = st.lists(KINDS, max_size=12).map(lambda kinds: [(kind, str(at)) for at, kind in enumerate(kinds, 1)])
edges = st.lists(st.integers(0, 900))


@given(events, edges, st.binary(max_size=5))
async def test_objects_are_the_operators_and_the_rest_is_kopfs(
    told: list[tuple[str, str]], cuts: list[int], tail: bytes
) -> None:
    """To the byte and in its order, however the bytes come."""
    tail = tail.replace(b"\n", b"").replace(b"\r", b"")
    heard: list[kopf.RawEvent] = []
    left = await read(cut(b"".join(line(*event) for event in told) + tail, cuts), heard.append)
    assert [(event["type"], event["object"]["metadata"]["resourceVersion"]) for event in heard] == [
        event for event in told if event[0] in OBJECTS
    ]
    own = [text for text in left if b'"kind"' in text or text == tail]
    assert own == [line(*event) for event in told if event[0] not in OBJECTS] + [tail] * bool(tail)


@given(events, edges)
async def test_a_watch_that_breaks_goes_on_after_the_last_event(told: list[tuple[str, str]], cuts: list[int]) -> None:
    """kopf begins at the version that it has read last, whoever has taken that event: none of them comes back."""
    left = await read(cut(b"".join(line(*event) for event in told), cuts), lambda _: None)
    versions = versions_of(left)
    assert versions == sorted(versions, key=int)
    assert versions[-1:] == [version for _, version in told[-1:]]


async def test_kopf_reads_no_more_lines_than_it_must() -> None:
    stream = b"".join(line(kind, str(at)) for at, kind in enumerate(["ADDED"] * 20 + ["ERROR"] + ["MODIFIED"] * 20, 1))
    assert versions_of(await read([stream], lambda _: None)) == ["20", "21", "41"]


async def test_what_is_no_event_is_for_kopf_to_complain_of() -> None:
    heard: list[kopf.RawEvent] = []
    for text in (b'{"type":"MODIFIED"\n', b'{"type":"MODIFIED","object":null}\n', b'{"type":"MODIFIED","object":{}}\n'):
        assert await read([text], heard.append) == [text]
    assert heard == []


class Taken:
    """What an intake has been given."""

    def __init__(self) -> None:
        self.lists: list[tuple[str, list[Any], bool]] = []
        self.events: list[kopf.RawEvent] = []

    def listed(self, where: str, bodies: list[Any], *, begins: bool) -> None:
        self.lists.append((where, bodies, begins))

    def told(self, event: kopf.RawEvent) -> None:
        self.events.append(event)


TASKS = "/apis/transcription.dev/v1alpha1/transcriptiontasks"


async def test_kopfs_session_enters_as_kopf_would_and_gives_it_no_objects() -> None:
    asked: list[str | None] = []
    page = {"metadata": {"resourceVersion": "3", "continue": ""}, "items": [{"metadata": {"name": "one"}}]}

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        if "watch" in request.query:
            return web.Response(body=line("ADDED", "1") + line("BOOKMARK", "2"))
        return web.json_response(page, status=500 if "fail" in request.query else 200)

    taken = Taken()
    app = web.Application()
    for path in (TASKS, "/api/v1/namespaces"):
        app.router.add_get(path, answer)
    async with TestServer(app) as server:
        info = kopf.ConnectionInfo(server=str(server.make_url("/")), scheme="Bearer", token="a-token")
        found = session(info, cast("Intake", taken))

        async def read_by_kopf(path: str) -> Any:
            async with http.get(server.make_url(path)) as response:
                if "watch" not in path:
                    return await response.json()
                chunks = [chunk async for chunk in response.content.iter_chunked(2**20)]
                assert response.content.at_eof()
                return b"".join(chunks)

        async with found.aiohttp_session as http:
            for query in ("limit=500", "limit=500&continue=more"):
                assert await read_by_kopf(f"{TASKS}?{query}") == page | {"items": []}
            watched = await read_by_kopf(f"{TASKS}?watch=true")
            assert (versions_of(watched.splitlines()), b"ADDED" in watched) == (["1", "2"], False)
            # What is no task's, and what is no answer, is none of the intake's.
            assert await read_by_kopf("/api/v1/namespaces") == page
            assert await read_by_kopf(f"{TASKS}?fail") == page
            watched = await read_by_kopf("/api/v1/namespaces?watch=true")
            assert watched == line("ADDED", "1") + line("BOOKMARK", "2")
    assert taken.lists == [(TASKS, page["items"], True), (TASKS, page["items"], False)]
    assert [event["type"] for event in taken.events] == ["ADDED"]
    assert asked == ["Bearer a-token"] * 6
    assert found.server == info.server


async def test_who_is_refused_is_not_offered_again_as_something_new() -> None:
    """kopf ends when a login brings what has been refused; else it would ask without an end and without a pause."""
    info, other = (kopf.ConnectionInfo(server="https://cluster.example", token=token) for token in ("one", "two"))
    first, again, renewed = (session(found, cast("Intake", Taken())) for found in (info, info, other))
    assert first == again
    assert hash(first) == hash(again)
    assert first != renewed
    for made in (first, again, renewed):
        await made.aiohttp_session.close()
