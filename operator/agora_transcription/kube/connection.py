"""How a process finds and enters its cluster.

The order is that of the official clients: `--kubeconfig`, KUBECONFIG, the Pod's service account, `~/.kube/config`.
"""

from __future__ import annotations

import logging
import os
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kubernetes.aio import client, config

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["configuration", "connect"]

logger = logging.getLogger(__name__)

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
REREAD_SECONDS: Final = 60.0
"""How long a token that was read from a kubeconfig counts; the client's own time for a Pod's."""

POOL: Final = 32
"""Connections to the API server at the same time; each costs a TLS handshake and, with uvloop, 256 kB of buffers."""


async def connect(kubeconfig: str | None) -> client.ApiClient:
    """Make a client.

    Raises:
        kubernetes.config.ConfigException: When there is no usable configuration; the message says what is missing.
    """
    return client.ApiClient(await configuration(kubeconfig))


async def configuration(kubeconfig: str | None) -> Any:  # noqa: ANN401 - the client's class is untyped
    """Read where the API server is, and with what to enter.

    Raises:
        kubernetes.config.ConfigException: As `connect`.
    """
    found = client.Configuration()
    if kubeconfig is None and "KUBECONFIG" not in os.environ and SERVICE_ACCOUNT.exists():
        config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=found
        )
        found.refresh_api_key_hook = _reread(kubeconfig)  # type: ignore[assignment]
    found.connection_pool_maxsize = POOL
    # Where nothing is to be found in the environment, it is not searched, in two threads for each request.
    found.client_session_kwargs = {"trust_env": _leads_through_proxy(found.host)}
    return found


def _leads_through_proxy(url: str) -> bool:
    """Whether the environment names a proxy for an address (HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(url)
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname or "")


def _reread(kubeconfig: str | None) -> Callable[[Any], Awaitable[None]]:
    """Have the token of a kubeconfig read again, as the client does by itself with that of a Pod: both expire."""
    read_at = time.monotonic()

    async def reread(configuration: Any) -> None:  # noqa: ANN401 - the client's class is untyped
        nonlocal read_at
        if time.monotonic() - read_at < REREAD_SECONDS:
            return
        read_at = time.monotonic()
        fresh = client.Configuration()
        try:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, client_configuration=fresh
            )
        except Exception as error:  # noqa: BLE001 - the client raises whatever a half-written file leads to
            logger.warning("The kubeconfig cannot be read again; what was read before still counts: %s", error)
        else:
            configuration.api_key = fresh.api_key

    return reread
