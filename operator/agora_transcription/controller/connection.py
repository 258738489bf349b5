"""How kopf's watch enters the cluster: from the same place as the client."""

from __future__ import annotations

import kopf

from agora_transcription.kube.connection import configuration

__all__ = ["login"]


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
