"""The real kopf on a real API server, with the session and the settings that the operator gives it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import kopf

from agora_transcription.controller.connection import login, session
from agora_transcription.controller.handlers import make_registry, make_settings
from support.kube import Kube

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.controller.intake import Intake
    from agora_transcription.local.controlplane import ControlPlane

SPEC = {"channel": "room", "languages": ["en-US"]}


class Seen:
    """What an intake has been given: kinds and names; None is for a list."""

    def __init__(self) -> None:
        self.objects: list[tuple[str | None, str]] = []

    def listed(self, where: str, bodies: list[Any], *, begins: bool) -> None:
        assert where
        assert begins
        self.objects += [(None, body["metadata"]["name"]) for body in bodies]

    def told(self, event: kopf.RawEvent) -> None:
        self.objects.append((event["type"], event["object"]["metadata"]["name"]))

    async def until(self, *objects: tuple[str | None, str]) -> None:
        async with asyncio.timeout(30):
            while self.objects != list(objects):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(control_plane: ControlPlane, namespace: str, taken: Seen, left: Seen) -> AsyncIterator[None]:
    info = await login(str(control_plane.kubeconfig))

    async def log_in() -> kopf.AiohttpSession:
        return session(info, cast("Intake", taken))

    stop = asyncio.Event()
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=make_registry(cast("Intake", left), log_in),
        settings=make_settings(),
        standalone=True,
        identity="test",  # type: ignore[arg-type]  # kopf's NewType is private
        namespaces=[namespace],
        stop_flag=stop,
    )
    running = asyncio.create_task(kopf.run_tasks(tasks, ignored=others))
    try:
        yield
    finally:
        stop.set()
        await running


async def test_all_objects_are_taken_out_of_what_kopf_reads(control_plane: ControlPlane, namespace: str) -> None:
    """By the handler that is registered with it they would get to the operator too, only slowly."""
    taken, left = Seen(), Seen()
    async with Kube(control_plane.kubeconfig, namespace) as kube:
        await kube.create("listed", SPEC)
        async with watching(control_plane, namespace, taken, left):
            await taken.until((None, "listed"))
            await kube.create("new", SPEC)
            await kube.patch("listed", {"languages": ["de-DE"]})
            await kube.delete("new")
            await kube.delete("listed")
            told = [("ADDED", "new"), ("MODIFIED", "listed"), ("DELETED", "new"), ("DELETED", "listed")]
            await taken.until((None, "listed"), *told)
    assert left.objects == []
