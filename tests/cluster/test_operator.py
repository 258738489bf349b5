"""The operator as a process: what it tells of itself, what it watches, how it ends."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import httpx

from support.kube import Kube
from support.metrics import read_metrics
from support.processes import Operator
from support.world import CREDENTIALS, a_world

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from agora_transcription.local.controlplane import ControlPlane


async def test_metrics_and_health_tell_of_the_work(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs) as world:
        await world.create("seen")
        await world.running("seen")
        value = await read_metrics(world.operator.metrics)
        start = {"dialect": "V7", "operation": "start"}
        assert value("agora_transcription_tasks", phase="Running") == 1
        assert value("agora_transcription_agora_requests_total", code="200", **start) == 1
        assert value("agora_transcription_agora_request_duration_seconds_count", **start) == 1
        # One for the finalizer, one for the status: that is all a task costs to become Running.
        assert value("agora_transcription_object_writes_total", kind="finalizers") == 1
        assert value("agora_transcription_object_writes_total", kind="status") == 1
        assert value("agora_transcription_budget_wait_seconds_count", priority="start_stop") == 1
        assert value("agora_transcription_budget_waiting", priority="start_stop") == 0
        assert value("workqueue_depth", name="transcriptiontask") is not None
        assert value("workqueue_longest_running_processor_seconds", name="transcriptiontask") is not None
        assert (value("controller_runtime_reconcile_time_seconds_count", controller="transcriptiontask") or 0) >= 3
        async with httpx.AsyncClient(base_url=world.operator.health) as client:
            healthz = await client.get("/healthz")
            assert (healthz.status_code, healthz.text) == (200, "[+] queue ok\n[+] watch ok\n")
            assert (await client.get("/readyz")).status_code == 200


async def test_log_lines_are_json_with_their_object(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    flags = ("--log-format=json",)
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs, *flags) as world:
        await world.faults({"operation": "join", "status": 503, "body": "<html>busy</html>"})
        created = await world.create("told")
        await world.running("told")
        lines = [json.loads(line) for line in world.operator.log.read_text().splitlines()]
    [warning] = [line for line in lines if line["severity"] == "WARNING"]
    assert warning["object"] == {"namespace": namespace, "name": "told", "uid": created["metadata"]["uid"]}
    assert warning["message"].startswith("start: Agora answered 503")


NAMELESS = """
import getpass

def no_name():
    raise OSError("No username set in the environment")

getpass.getuser = no_name
from agora_transcription.cli import main
main()
"""
"""As in a container: the user is a number without an entry in /etc/passwd."""


async def test_a_user_without_a_name_will_do(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Operator, "program", (sys.executable, "-c", NAMELESS))
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs) as world:
        await world.create("numbered")
        await world.running("numbered")


async def test_other_namespaces_are_left_alone_and_none_named_means_all(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    elsewhere = f"{namespace}-elsewhere"
    control_plane.kubectl("create", "namespace", elsewhere)
    async with (
        a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs) as world,
        Kube(control_plane.kubeconfig, elsewhere) as other,
    ):
        await other.put_secret("agora-credentials", CREDENTIALS)
        await other.create("far", {"channel": "room-far", "languages": ["en-US"]})
        await world.create("near")
        await world.running("near")
        assert await world.calls(name="far") == []
        world.operator.stop()

        everywhere = Operator(logs / f"{namespace}-all-operator.log", operator_kubeconfig, None, world.simulator.url)
        try:
            await everywhere.start_and_wait()
            await other.wait("far", lambda body: body.get("status", {}).get("phase") == "Running")
            await other.delete("far")
            await other.wait_gone("far")
        finally:
            assert everywhere.stop() == 0
    control_plane.kubectl("delete", "namespace", elsewhere, "--wait=false")


async def test_a_namespace_with_running_tasks_can_be_deleted(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs) as world:
        await world.create("doomed")
        await world.running("doomed")
        # Its Secret may go first: the credentials that were good a moment ago still stop the task.
        await world.kube.delete_secret("agora-credentials")
        control_plane.kubectl("delete", "namespace", namespace, "--timeout=60s")
        assert await world.live("doomed") == []
        control_plane.kubectl("create", "namespace", namespace)


async def test_what_was_deleted_while_the_operator_was_down_is_stopped_when_it_is_back(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs) as world:
        await world.create("meanwhile")
        await world.running("meanwhile")
        assert world.operator.stop() == 0
        await world.kube.delete("meanwhile")
        await world.operator.start_and_wait()
        await world.kube.wait_gone("meanwhile")
        assert await world.live("meanwhile") == []


async def test_the_task_of_an_object_whose_finalizer_is_stripped_by_hand_is_stopped_when_agora_is_back(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, namespace, logs) as world:
        await world.create("torn")
        task_id = (await world.running("torn"))["status"]["taskId"]
        await world.faults({"operation": "leave", "status": 503, "times": 0})
        await world.kube.delete("torn")
        await world.kube.wait("torn", lambda body: "AgoraUnavailable" in str(body["status"]["conditions"]))
        await world.kube.patch_metadata("torn", {"finalizers": []})
        await world.kube.wait_gone("torn")

        async def told() -> bool:
            return f"consent: stopping its Agora task {task_id}" in world.operator.log.read_text()

        async def posted() -> bool:
            message = f"The object went without the operator's consent: stopped its Agora task {task_id}"
            events = (await world.kube.request("GET", f"api/v1/namespaces/{namespace}/events"))["items"]
            return any((event["type"], event["message"]) == ("Warning", message) for event in events)

        await world.eventually(told, "the warning")
        assert len(await world.live("torn")) == 1
        # A new one of the same name is another object, with another task.
        await world.create("torn")
        await world.running("torn")
        assert len(await world.live("torn")) == 2
        (await world.agora.delete("/simulator/faults")).raise_for_status()

        async def stopped() -> bool:
            return task_id not in {task["taskId"] for task in await world.live("torn")}

        await world.eventually(stopped, "the end of the Agora task")
        assert len(await world.live("torn")) == 1
        await world.eventually(posted, "the event")
        value = await read_metrics(world.operator.metrics)
        assert value("agora_transcription_stray_tasks_total", outcome="stopped") == 1
