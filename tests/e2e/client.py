"""What a Pod beside gateway and Socket.IO service runs, in the image with the engines: `python3 - WHAT ARGUMENTS`.

`call METHOD URL KEY JSON` prints the answer's status and text; `speak URL KEY TRANSPORT` prints what is made of the ten
seconds of speech that come with Moonshine. Both print JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import wave
from pathlib import Path
from typing import Any

import httpx
import socketio
from moonshine_voice.utils import get_assets_path

CHUNK_SECONDS = 0.1
DEADLINE_SECONDS = 30


def call(method: str, url: str, key: str, body: str) -> list[Any]:
    answer = httpx.request(method, url, headers={"x-api-key": key}, json=json.loads(body), timeout=60)
    return [answer.status_code, answer.text]


async def speak(url: str, key: str, transport: str) -> str:
    with wave.open(str(Path(get_assets_path()) / "beckett.wav")) as file:
        rate = file.getframerate()
        audio = file.readframes(file.getnframes())
    texts: list[str] = []
    started, closed = asyncio.Event(), asyncio.Event()
    client = socketio.AsyncClient(reconnection=False)
    client.on("session-started", started.set)
    client.on("session-closed", lambda _: closed.set())
    client.on("session-error", lambda problem: sys.exit(str(problem)))
    client.on("transcript-message", lambda told: texts.append(told["text"]) if committed(told) else None)
    await client.connect(url, {"x-api-key": key}, transports=[transport], socketio_path="/api/stt-realtime-socket")
    await client.emit("start-session", {"sampleRate": rate})
    await asyncio.wait_for(started.wait(), DEADLINE_SECONDS)
    size = int(CHUNK_SECONDS * rate) * 2
    for at in range(0, len(audio), size):
        chunk = base64.b64encode(audio[at : at + size]).decode()
        await client.emit("audio-chunk", {"audio_base_64": chunk, "sample_rate": rate})
        await asyncio.sleep(CHUNK_SECONDS)  # as it was spoken
    await client.emit("stop-session")
    await asyncio.wait_for(closed.wait(), DEADLINE_SECONDS)
    await client.disconnect()
    return " ".join(texts)


def committed(told: dict[str, str]) -> bool:
    return told["message_type"] == "committed_transcript"


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(json.dumps(call(*arguments) if what == "call" else asyncio.run(speak(*arguments))))
