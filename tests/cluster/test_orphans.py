"""The report of orphans, as whoever calls the command, against a real API server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

from support.world import CREDENTIALS, World, a_world

if TYPE_CHECKING:
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

ENVIRONMENT = {
    "AGORA_TRANSCRIPTION_CUSTOMER_ID": CREDENTIALS["customerId"],
    "AGORA_TRANSCRIPTION_CUSTOMER_SECRET": CREDENTIALS["customerSecret"],
}


async def orphans(
    world: World, kubeconfig: Path, *arguments: str, environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run the command; answers its exit code, its output and its complaints."""
    command = ["-m", "agora_transcription", "orphans", f"--agora-url={world.simulator.url}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        f"--kubeconfig={kubeconfig}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    output, complaints = await process.communicate()
    text = output.decode() + complaints.decode()
    assert CREDENTIALS["customerSecret"] not in text
    assert "Traceback" not in text
    return process.returncode or 0, output.decode(), complaints.decode()


async def test_what_nobody_owns_is_listed_and_stopped_by_its_id_only(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    kubeconfig = control_plane.kubeconfig
    async with a_world(kubeconfig, operator_kubeconfig, namespace, logs) as world:
        # The report is about the whole cluster, and names every object whose start is in doubt.
        await world.kube.forget_others()
        secret = f"--secret={namespace}/agora-credentials"
        await world.create("owned")
        owned = (await world.running("owned"))["status"]["taskId"]
        assert await orphans(world, kubeconfig, secret) == (
            0,
            "No orphans: each task of the project belongs to an object.\n",
            "",
        )

        await world.create("left", deletionPolicy="Orphan")
        left = (await world.running("left"))["status"]["taskId"]
        await world.kube.delete("left")
        await world.kube.wait_gone("left")
        code, output, _ = await orphans(world, kubeconfig, secret, "-o", "json")
        [row] = json.loads(output)
        assert code == 3
        assert (row["taskId"], row["state"], row["mayBelongTo"]) == (left, "RUNNING", [])
        assert [task["taskId"] for task in await world.tasks(live="true")] == [owned, left], "nothing is stopped"

        code, output, complaint = await orphans(world, kubeconfig, secret, f"--stop={owned}", f"--stop={left}")
        assert (code, output) == (2, "")
        assert complaint == f"{owned}: no orphan of this project; nothing was stopped\n"
        assert len(await world.tasks(live="true")) == 2

        app_id = f"--app-id={CREDENTIALS['appId']}"
        code, output, _ = await orphans(world, kubeconfig, app_id, f"--stop={left}", environment=ENVIRONMENT)
        assert code == 0
        assert output.splitlines()[1].split()[:2] == [left, "STOPPED"]
        assert [task["taskId"] for task in await world.tasks(live="true")] == [owned]

        code, _, complaint = await orphans(world, kubeconfig, f"--secret={namespace}/none")
        assert code == 1
        assert "none" in complaint
        wrong = {**ENVIRONMENT, "AGORA_TRANSCRIPTION_CUSTOMER_SECRET": "wrong"}
        code, _, complaint = await orphans(world, kubeconfig, app_id, environment=wrong)
        assert (code, complaint) == (1, "list: Agora answered 401 (Invalid authentication credentials)\n")
