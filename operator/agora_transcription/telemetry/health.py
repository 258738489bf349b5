"""`/healthz` and `/readyz`, served by the loop that does the work: if it is stuck, they do not answer.

A check answers None, or in a few words what is wrong. `/healthz` failing means that only a restart helps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Check", "HealthServer"]

Check = Callable[[], str | None]


class HealthServer:
    """An HTTP server with two pages."""

    def __init__(self, healthz: Mapping[str, Check], readyz: Mapping[str, Check]) -> None:
        """Name the checks.

        Args:
            healthz: Fail when only a restart helps.
            readyz: Fail while the work has not begun, or is not this process's to do.
        """
        application = web.Application()
        application.router.add_get("/healthz", _page(healthz))
        application.router.add_get("/readyz", _page(readyz))
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, host: str, port: int) -> int:
        """Listen; answers the port, which is chosen for port 0."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host or None, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()


def _page(checks: Mapping[str, Check]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def page(_: web.Request) -> web.StreamResponse:
        results = {name: check() for name, check in checks.items()}
        lines = [f"[+] {name} ok" if wrong is None else f"[-] {name}: {wrong}" for name, wrong in results.items()]
        failed = any(wrong is not None for wrong in results.values())
        return web.Response(text="\n".join(lines) + "\n", status=503 if failed else 200)

    return page
