"""The calls that docs/gateway.md prints, run as they stand there but for the port: those of existing clients."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.processes import Gateway
from support.world import CREDENTIALS

if TYPE_CHECKING:
    from gateway.conftest import Rooms

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"

HERE = "http://localhost:4321"


async def test_the_calls_of_the_page_start_and_stop_a_task(world: Rooms, tmp_path: Path) -> None:
    for name in ("appId", "appCertificate"):
        (tmp_path / name).write_text(CREDENTIALS[name])
    log = world.operator.log.with_name(f"{world.kube.namespace}-page-gateway.log")
    flags = ("--anonymous", f"--project-dir={tmp_path}")
    gateway = Gateway(log, world.kubeconfig, world.kube.namespace, *flags)
    await gateway.start_and_wait()
    try:
        ids: dict[str, Any] = {}
        seen = {}
        for command, printed in calls():
            answer = run(command.replace(HERE, gateway.url), ids)
            assert answer.keys() == printed.keys(), command
            name = re.findall(r"/(\w+)\.json", command)[0]
            ids = ids or answer
            seen[name] = (answer, await world.live_in("test"))
    finally:
        gateway.kill()
    assert list(seen) == ["start", "query", "tokens", "stop"]
    assert [task["taskId"] for task in seen["start"][1]] == [ids["taskId"]]
    assert seen["query"][0]["status"] == "IN_PROGRESS"
    assert seen["stop"] == ({}, [])
    assert await world.of_channel("test") == []


def calls() -> list[tuple[str, dict[str, Any]]]:
    """Each command of the page, and the answer that is printed below it."""
    blocks = re.findall(r"```(bash|json)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["bash", "json"] * 4
    return [(blocks[place][1], json.loads(blocks[place + 1][1])) for place in range(0, 8, 2)]


def run(command: str, ids: dict[str, Any]) -> dict[str, Any]:
    for name, value in ids.items():
        command = command.replace(f'"{name}": "<from start>"', f'"{name}": "{value}"')
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
