"""Reads the simulator's stream of captions as a page would, and decodes them with protobuf's own reader."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from agora_transcription.simulator.captions import captions_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx


class Event(NamedTuple):
    """A server-sent event of the stream."""

    id: int
    bot: int
    payload: bytes

    @property
    def message(self) -> pb.Text:
        return pb.Text.FromString(self.payload)

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(gzip.decompress(self.payload))
        return content

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.message.words)

    @property
    def final(self) -> bool:
        return any(word.is_final for word in self.message.words)


class Listener:
    """Keeps all that a stream has brought so far."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.events: list[Event] = []
        self.comments = 0

    def said(self, data_type: str = "transcribe") -> list[Event]:
        return [event for event in self.events if event.message.data_type == data_type]

    def has(self, count: int) -> bool:
        return len(self.events) == count

    def finals(self) -> list[Event]:
        return [event for event in self.said() if event.final]

    async def read(self, answer: httpx.Response) -> None:
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, colon, value = line.partition(":")
            if line and not name:
                self.comments += 1
            elif colon:
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                assert fields["event"] == "stream-message"
                data = json.loads(fields["data"])
                assert sorted(data) == ["payload", "uid"]
                self.events.append(Event(int(fields["id"]), data["uid"], base64.b64decode(data["payload"])))
                fields = {}


@asynccontextmanager
async def listening(http: httpx.AsyncClient, channel: str, *, after: int | None = None) -> AsyncIterator[Listener]:
    """Listen to a channel while the context lasts; it has been heard of there once this is entered."""
    listener = Listener()
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with http.stream("GET", f"/simulator/channels/{channel}/captions", headers=headers) as answer:
        assert answer.status_code == 200
        listener.headers = dict(answer.headers)
        reading = asyncio.create_task(listener.read(answer))
        try:
            yield listener
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def until(holds: Callable[[], object], *, seconds: float = 15, step: Callable[[], None] = lambda: None) -> None:
    """Wait for a condition, and do something each time that it does not hold yet."""
    async with asyncio.timeout(seconds):
        while not holds():
            step()
            await asyncio.sleep(0.02)
