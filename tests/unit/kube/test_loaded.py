"""What the operator does not load: memory and start-up time that every replica would pay for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNUSED = {"requests", "oauthlib", "websocket", "kubernetes.config", "kubernetes.dynamic", "fastapi", "uvicorn"}
"""The client's synchronous half and what comes with it, and the HTTP servers of the other commands."""


@pytest.mark.parametrize("module", ["controller.operator", "controller.orphans"])
def test_the_clients_synchronous_half_is_not_loaded(module: str) -> None:
    """In a process of its own: kopf and the tests' own imports come in another order here."""
    program = f"import sys, agora_transcription.cli, agora_transcription.{module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "kubernetes.aio.client" in loaded
    assert "kopf" in loaded or module != "controller.operator"
    assert not loaded & UNUSED


def test_what_is_loaded_works() -> None:
    """The client looks itself up by its full name when it reads an answer, as that of a Lease."""
    program = """if True:
        import agora_transcription.controller.operator
        from kubernetes.aio import client
        api = client.ApiClient(client.Configuration())
        lease = api.deserialize('{"metadata": {"name": "a"}}', "V1Lease", "application/json")
        print(lease.metadata.name)
    """
    run = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert run.stdout.strip() == "a", run.stderr
