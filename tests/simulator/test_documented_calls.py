"""What docs/simulator.md shows from its first call to the audio of a channel, typed in that order on one simulator."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import NamedTuple

import httpx

from agora_transcription.simulator import SimulatorOptions, create_app, serving
from agora_transcription.simulator.captions.captions_pb2 import Text
from support.captions import Listener, listening, until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "simulator.md").read_text()
PRINTED = "http://127.0.0.1:8090"
SECONDS = 30
"""How long an answer may take to be the one that is shown: audio is played in real time."""


class Step(NamedTuple):
    """A command, and what is printed after it."""

    command: str
    shown: str


def documented() -> list[Step]:
    """The commands of the page, but for those that start another simulator or leave it in a state of its own."""
    sections = PAGE.partition("\n## A call\n")[2].partition("\n## Notifications\n")[0]
    blocks = re.findall(r"```console\n(.*?)```", sections, re.DOTALL)
    typed = [text for block in blocks for text in re.split(r"^\$ ", block, flags=re.MULTILINE) if text]
    return [step_of(text.rstrip("\n").split("\n")) for text in typed]


def step_of(lines: list[str]) -> Step:
    """A command goes on for as long as a shell would wait for more."""
    for count in range(1, len(lines) + 1):
        command = "\n".join(lines[:count])
        if command.endswith(("\\", "|")):
            continue
        with contextlib.suppress(ValueError):
            shlex.split(command)
            return Step(command, "\n".join(lines[count:]))
    raise AssertionError(lines)


def words_of(command: str, variables: dict[str, str]) -> list[str]:
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "curl"
    return [Template(word).safe_substitute(variables) for word in words[1:]]


async def curl(http: httpx.AsyncClient, words: list[str]) -> str:
    """Do what curl would."""
    method, auth, content, url = None, None, None, ""
    headers = {}
    arguments = iter(words)
    for word in arguments:
        match word:
            case "-X":
                method = next(arguments)
            case "-u":
                name, _, password = next(arguments).partition(":")
                auth = (name, password)
            case "--json":
                content, headers = next(arguments).encode(), {"Content-Type": "application/json"}
                method = method or "POST"
            case "--upload-file":
                content = (ROOT / next(arguments)).read_bytes()
                method = "PUT"
            case _:
                assert word.startswith(PRINTED), word
                url = word.removeprefix(PRINTED)
    response = await http.request(method or "GET", url, content=content, headers=headers, auth=auth)
    return response.text


def essence(answer: str) -> str:
    """An answer without what differs from day to day, and without the line breaks that make it fit the page."""
    for pattern, name in ((r'("agent_id": |"taskId":)"\w+"', r"\1ID"), (r"\b\d{10,}(\.\d+)?\b", "TIME")):
        answer = re.sub(pattern, name, answer)
    return answer.replace("\n", "")


async def test_each_is_answered_as_shown() -> None:
    steps = documented()
    assert len(steps) >= 15
    variables: dict[str, str] = {}
    listeners: list[Listener] = []
    async with (
        serving(create_app(SimulatorOptions())) as url,
        httpx.AsyncClient(base_url=url, timeout=SECONDS) as http,
        contextlib.AsyncExitStack() as terminals,
    ):
        for command, shown in steps:
            if assigned := re.fullmatch(r"(\w+)=(\S+)", command):
                variables.setdefault(assigned[1], assigned[2])
            elif command.startswith("echo "):
                assert await asyncio.to_thread(run, command) == shown
            elif command.startswith("curl --no-buffer "):
                (stream,) = words_of(command, variables)[1:]
                channel = re.fullmatch(rf"{PRINTED}/simulator/channels/(\w+)/captions", stream)
                assert channel
                listeners.append(await terminals.enter_async_context(listening(http, channel[1])))
                await until(lambda: listeners[-1].events)
                event, data = listeners[-1].events[0], json.loads(re.findall(r"^data: (.*)$", shown, re.MULTILINE)[0])
                printed = essence_of_event(data["uid"], base64.b64decode(data["payload"]))
                assert essence_of_event(event.bot, event.payload) == printed
            else:
                answer = await shown_in_time(http, words_of(command, variables), shown)
                if agent := re.search(r'"agent_id": "(\w+)"', answer):
                    variables["AGENT"] = agent[1]
                # What the page leaves out is the answer of the simulator's own pages.
                if shown or "/simulator/" not in command:
                    assert essence(answer) == essence(shown), command
        assert "The meeting begins at ten o'clock" in " ".join(event.text for event in listeners[0].finals())
    assert len(listeners) == 1


async def shown_in_time(http: httpx.AsyncClient, words: list[str], shown: str) -> str:
    """What is answered; a look at something is repeated until it is as shown, and for as long as one may wait."""
    answer = await curl(http, words)
    if shown and len(words) == 1:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                while essence(answer) != essence(shown):
                    await asyncio.sleep(0.05)
                    answer = await curl(http, words)
    return answer


def run(command: str) -> str:
    typed = command.replace(".venv/bin/python", shlex.quote(sys.executable))
    return subprocess.run(["sh", "-c", typed], capture_output=True, text=True, check=True).stdout.rstrip("\n")


def essence_of_event(uid: int, payload: bytes) -> tuple[int, int, str]:
    """A message of the stream, without its times: the bot, the speaker and the text."""
    message = Text.FromString(payload)
    return uid, message.uid, "".join(word.text for word in message.words)


def test_the_variable_of_the_first_task_is_its_id() -> None:
    first = re.findall(r'"agent_id": "(\w+)"', PAGE)[0]
    assert f"AGENT={first}" in PAGE
