"""Puts the parts of the gateway together, and serves them until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING, Final

from agora_transcription.gateway.app import create_app
from agora_transcription.gateway.files import Files
from agora_transcription.gateway.metrics import GatewayMetrics
from agora_transcription.gateway.service import Transcriptions, longest_call
from agora_transcription.gateway.store import KubernetesTaskStore
from agora_transcription.kube.connection import connect
from agora_transcription.kube.replies import NotFound, StoreError
from agora_transcription.serving.keys import FileProblem
from agora_transcription.serving.server import Server, SetupError, bound, configured, serve_telemetry, signalled
from agora_transcription.telemetry.addresses import AddressError, host_and_port, named

if TYPE_CHECKING:
    from fastapi import FastAPI

    from agora_transcription.gateway.store import TaskStore
    from agora_transcription.settings import GatewaySettings

__all__ = ["SetupError", "run"]

MAX_REQUESTS: Final = 1000
"""At the same time; as many connections may wait for one, and more than both are answered 503."""

IDLE_SECONDS: Final = 30
"""How long a connection may rest between two requests."""

PAUSE_SECONDS: Final = 2.0
"""Between two tries to reach the cluster, until the first that succeeds."""

logger = logging.getLogger(__name__)


async def run(settings: GatewaySettings) -> None:
    """Run the gateway until SIGINT or SIGTERM; calls that are under way are ended first.

    Raises:
        SetupError: When a file or an address of the settings cannot be used.
        kubernetes.config.ConfigException: When there is no cluster to be found.
    """
    files = Files(settings)
    try:
        files.check()
        async with contextlib.AsyncExitStack() as stack:
            await _run(settings, files, stack)
    except (FileProblem, AddressError) as error:
        raise SetupError(str(error)) from error


async def _run(settings: GatewaySettings, files: Files, stack: contextlib.AsyncExitStack) -> None:
    with named("--listen", settings.listen):
        listening = [stack.enter_context(each) for each in bound(*host_and_port(settings.listen))]
    api = await connect(settings.kubeconfig)
    stack.push_async_callback(api.close)
    store = KubernetesTaskStore(api, settings.namespace or "")
    metrics = GatewayMetrics()
    server = _server(create_app(settings, files, Transcriptions(store, files, settings), metrics), settings)
    cluster = _Cluster(store)
    checks = {"serving": server.check, "cluster": lambda: cluster.problem}
    await serve_telemetry(stack, settings, metrics.registry, checks)
    signalled().add_done_callback(lambda _: server.leave())
    if settings.anonymous:
        logger.warning("--anonymous: whoever reaches %s may start transcriptions, which are billed", settings.listen)
    looking = asyncio.create_task(cluster.wait(), name="cluster")
    try:
        await server.serve(sockets=listening)
    finally:
        looking.cancel()
    logger.info("Stopped")


class _Cluster:
    """Whether the cluster has answered once, and as it should.

    Later failures are said in the answers to the calls. To have all replicas unready for one would only make a
    connection refused of a 502.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self.problem: str | None = "not reached yet"

    async def wait(self) -> None:
        """Ask for an object that does not exist until the answer is that it does not."""
        while self.problem:
            said = self.problem
            self.problem = await self._look()
            if self.problem and self.problem != said:
                logger.warning("Not ready: %s", self.problem)
            if self.problem:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> str | None:
        try:
            await self._store.get("rtt-nobody")
        except NotFound:
            return None
        except StoreError as error:
            return str(error)
        return None


def _server(app: FastAPI, settings: GatewaySettings) -> Server:
    return Server(
        configured(
            app,
            requests=MAX_REQUESTS,
            trusted_proxies=settings.trusted_proxy,
            ws="none",
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=math.ceil(longest_call(settings)) + 1,
        )
    )
