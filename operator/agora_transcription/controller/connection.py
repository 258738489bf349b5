"""How kopf's watch enters the cluster: from the same place as the client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import kopf

from agora_transcription.controller.watch import response_class
from agora_transcription.kube.connection import configuration

if TYPE_CHECKING:
    from agora_transcription.controller.intake import Intake

__all__ = ["login", "session"]


@dataclass(frozen=True, kw_only=True)
class _Session(kopf.AiohttpSession):
    """A session that is as good as any other with which kopf would enter in the same way.

    kopf gives up on what has been refused once and is offered again. Each session for itself would be something new,
    and an API server that refuses the operator would be asked without an end and without a pause.
    """

    info: kopf.ConnectionInfo
    aiohttp_session: aiohttp.ClientSession = field(compare=False)


async def login(kubeconfig: str | None) -> kopf.ConnectionInfo:
    """Read the configuration for kopf, which asks again when the API server no longer takes the token."""
    found = await configuration(kubeconfig)
    token = found.api_key.get("BearerToken")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        insecure=not found.verify_ssl,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
        scheme="Bearer" if token else None,
        # The client keeps it as the header's value, with the scheme in lower case where it comes from a Pod.
        token=token.split(" ", 1)[-1] if token else None,
    )


def session(info: kopf.ConnectionInfo, intake: Intake) -> kopf.AiohttpSession:
    """Make the session that kopf would, but for the class of its responses; kopf closes it.

    Args:
        info: Where the API server is, and with what to enter.
        intake: Takes the objects out of the responses.
    """
    return _Session(
        server=info.server,
        info=info,
        aiohttp_session=aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            response_class=response_class(intake),
        ),
    )
