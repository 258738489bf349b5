"""Notifications on the real API server: with a poll a minute, an end is noticed in a moment all the same."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import httpx

from support.metrics import read_metrics
from support.processes import free_port
from support.world import CREDENTIALS, NOTIFICATION_SECRET, World, a_world

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body


class Webhook:
    """The operator's address for notifications, on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/agora/notifications"

    def world(
        self, plane: ControlPlane, kubeconfig: Path, namespace: str, logs: Path
    ) -> AbstractAsyncContextManager[World]:
        flags = (f"--webhook-address=127.0.0.1:{self.port}", "--poll-interval=60")
        return a_world(plane.kubeconfig, kubeconfig, namespace, logs, *flags)

    async def send(self, body: Body, secret: str) -> int:
        raw = json.dumps(body).encode()
        signature = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        async with httpx.AsyncClient() as client:
            answer = await client.post(self.url, content=raw, headers={"Agora-Signature-V2": signature})
        return answer.status_code


def left(task_id: str, message: str = "Idle for too long") -> Body:
    payload = {"agent_id": task_id, "status": "STOPPED", "message": message}
    return {"noticeId": message, "eventType": 102, "notifyMs": int(time.time() * 1000), "payload": payload}


def ended(count: int) -> Any:
    return lambda body: len(body.get("status", {}).get("history", [])) == count


async def test_an_idle_end_is_noticed_within_2_seconds_and_a_forged_one_changes_nothing(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    webhook = Webhook()
    async with webhook.world(control_plane, operator_kubeconfig, namespace, logs) as world:
        await world.kube.put_secret("agora-credentials", {**CREDENTIALS, "notificationSecret": NOTIFICATION_SECRET})
        await world.options(notifications={"url": webhook.url, "secret": NOTIFICATION_SECRET, "duplicates": True})
        for name in ("idle", "forged", "untrue"):
            await world.create(name)
        await world.kube.put_secret("without", CREDENTIALS)
        await world.create("unsigned", credentialsSecretRef={"name": "without"})
        idle = await world.running("idle")
        before = {name: await world.running(name) for name in ("forged", "unsigned", "untrue")}
        tasks = {name: body["status"]["taskId"] for name, body in before.items()}

        # Unsigned or signed by somebody else it does not even cause a look; signed, it has to be true.
        assert await webhook.send(left(tasks["forged"]), "secret of somebody else") == 200
        assert await webhook.send(left("unknown"), NOTIFICATION_SECRET) == 200
        assert await webhook.send(left(tasks["unsigned"]), NOTIFICATION_SECRET) == 200
        assert await world.calls("query", "untrue") == []
        assert await webhook.send(left(tasks["untrue"]), NOTIFICATION_SECRET) == 200

        async def looked() -> bool:
            return bool(await world.calls("query", "untrue"))

        await world.eventually(looked, "the look that the notification asks for", 5)

        # Too young to be taken for idle by its age.
        await world.end(idle["status"]["taskId"], "STOPPED", "Idle for too long")
        over = time.monotonic()
        body = await world.kube.wait("idle", ended(1), 5)
        assert time.monotonic() - over < 2
        [history] = body["status"]["history"]
        assert (history["reason"], history["message"]) == ("Idle", "Idle for too long")
        assert body["status"]["phase"] == "Completed"

        for name, body in before.items():
            after = await world.kube.get(name)
            assert after is not None
            assert after["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"]
        value = await read_metrics(world.operator.metrics)
        count = "agora_transcription_notifications_total"
        assert value(count, result="bad_signature") == 1
        assert (value(count, result="no_secret") or 0) >= 1
        assert [await world.calls("query", name) for name in ("forged", "unsigned")] == [[], []]
        assert (value(count, result="unknown") or 0) >= 1
        assert (value(count, result="duplicate") or 0) >= 1
        assert "Idle for too long" not in world.operator.log.read_text()


async def test_a_failure_is_told_by_its_cause_and_another_task_follows(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path
) -> None:
    webhook = Webhook()
    async with webhook.world(control_plane, operator_kubeconfig, namespace, logs) as world:
        await world.kube.put_secret("agora-credentials", {**CREDENTIALS, "notificationSecret": NOTIFICATION_SECRET})
        await world.options(notifications={"url": webhook.url, "secret": NOTIFICATION_SECRET, "jitter": 0.3})
        await world.create("broken")
        first = (await world.running("broken"))["status"]["taskId"]
        await world.end(first, "FAILED", "Fatal ASR error")
        body = await world.kube.wait("broken", ended(1), 5)
        [history] = body["status"]["history"]
        assert (history["reason"], history["message"]) == ("Failed", "Fatal ASR error")
        assert (await world.running("broken"))["status"]["taskId"] != first
