"""The calls that docs/simulator.md shows are answered as it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from string import Template

import httpx

from agora_transcription.simulator import SimulatorOptions, create_app, serving

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
PRINTED = "http://127.0.0.1:8090"


def documented() -> list[tuple[str, str]]:
    """The commands of the section "A call", and what is printed after each."""
    section = PAGE.partition("\n## A call\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    commands = [command for block in blocks for command in re.split(r"^\$ ", block, flags=re.MULTILINE) if command]
    # An answer begins in the first column, as no line of a command does.
    split = [re.split(r"\n(?=\{)", command.rstrip("\n"), maxsplit=1) for command in commands]
    return [(parts[0], parts[1] if len(parts) > 1 else "") for parts in split]


async def curl(http: httpx.AsyncClient, words: list[str]) -> str:
    """Do what curl would."""
    method, auth, content, url = None, None, None, ""
    arguments = iter(words)
    for word in arguments:
        match word:
            case "-X":
                method = next(arguments)
            case "-u":
                name, _, password = next(arguments).partition(":")
                auth = (name, password)
            case "--json":
                content = next(arguments)
            case _:
                url = word.removeprefix(PRINTED)
    headers = {} if content is None else {"Content-Type": "application/json"}
    response = await http.request(
        method or ("GET" if content is None else "POST"), url, content=content, headers=headers, auth=auth
    )
    return response.text


async def test_each_is_answered_as_shown() -> None:
    variables: dict[str, str] = {}
    shown_agent = ""
    async with serving(create_app(SimulatorOptions())) as url, httpx.AsyncClient(base_url=url) as http:
        for command, shown in documented():
            if assigned := re.fullmatch(r"(\w+)=(\S+)", command):
                variables.setdefault(assigned[1], assigned[2])
                continue
            tool, *words = shlex.split(command.replace("\\\n", " "))
            assert tool == "curl"
            answer = await curl(http, [Template(word).safe_substitute(variables) for word in words])
            if agent := re.search(r'"agent_id": "(\w+)"', answer):
                shown_agent = shown_agent or re.findall(r'"agent_id": "(\w+)"', shown)[0]
                variables["AGENT"] = agent[1]
                answer = re.sub(r'"create_ts": \d+', "TIME", answer.replace(agent[1], shown_agent))
            # What the page leaves out is the answer of the simulator's own pages.
            if shown or "/simulator/" not in command:
                assert answer == re.sub(r'"create_ts": \d+', "TIME", shown), command
    assert shown_agent
    assert f"AGENT={shown_agent}" in PAGE
