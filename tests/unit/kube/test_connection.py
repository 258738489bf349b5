"""Which cluster the operator enters, and with what: kopf and the client are told the same."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import certifi
import pytest
from kubernetes.aio.config import incluster_config, kube_config

from agora_transcription.controller.connection import login
from agora_transcription.kube import connection


def kubeconfig(path: Path, server: str) -> Path:
    """A configuration whose token and server say which one it is."""
    cluster = {"server": f"https://{server}.example:6443", "insecure-skip-tls-verify": True}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "me", "user": {"token": f"token-of-{server}"}}],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of the machine that the tests run on counts."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path / "none")


@pytest.fixture
def pod_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nowhere: None) -> Path:  # noqa: ARG001 - comes first
    """The files and variables that every Pod has; answers that of its token."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("token-of-pod")
    authority.write_text(Path(certifi.where()).read_text())
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", token)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return token


async def test_in_a_pod_kopf_gets_the_bare_token(pod_token: Path) -> None:
    """kopf writes the scheme itself: with the client's "bearer " before it every request would be a 401."""
    found = await login(None)
    assert (found.scheme, found.token) == ("Bearer", "token-of-pod")
    assert found.server == "https://10.96.0.1:443"
    assert found.ca_path == str(pod_token.with_name("ca.crt"))
    assert not found.insecure


def test_a_token_that_the_kubelet_has_renewed_is_read_with_the_next_login(pod_token: Path) -> None:
    asyncio.run(login(None))
    pod_token.write_text("renewed")
    assert asyncio.run(login(None)).token == "renewed"


@pytest.mark.usefixtures("nowhere")
async def test_with_a_kubeconfig_kopf_gets_the_bare_token(tmp_path: Path) -> None:
    found = await login(str(kubeconfig(tmp_path / "config", "flag")))
    assert (found.scheme, found.token) == ("Bearer", "token-of-flag")
    assert found.server == "https://flag.example:6443"
    assert found.insecure


@pytest.mark.usefixtures("nowhere")
async def test_a_token_that_was_renewed_in_the_kubeconfig_is_used_within_a_minute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`kubectl create token` makes one for an hour: who has written a new one into the file need not restart."""
    path = kubeconfig(tmp_path / "config", "flag")
    client = await connection.connect(str(path))

    async def token() -> Any:
        return await client.configuration.get_api_key_with_prefix("BearerToken")

    path.write_text(path.read_text().replace("token-of-flag", "renewed"))
    assert await token() == "Bearer token-of-flag"
    monkeypatch.setattr(connection, "REREAD_SECONDS", 0.0)
    assert await token() == "Bearer renewed"
    path.write_text("")
    assert await token() == "Bearer renewed"
    await client.close()  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("nowhere")
async def test_a_user_with_a_certificate_has_no_scheme(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", "flag")
    content = json.loads(path.read_text())
    certificate = tmp_path / "user.crt"
    certificate.write_text("a certificate")
    content["users"][0]["user"] = {"client-certificate": str(certificate), "client-key": str(certificate)}
    path.write_text(json.dumps(content))
    found = await login(str(path))
    assert (found.scheme, found.token) == (None, None)
    assert found.certificate_path == str(certificate)


@pytest.mark.usefixtures("pod_token")
@pytest.mark.parametrize(
    ("flag", "variable", "server"),
    [
        (True, True, "https://flag.example:6443"),
        (True, False, "https://flag.example:6443"),
        (False, True, "https://variable.example:6443"),
        (False, False, "https://10.96.0.1:443"),
    ],
)
async def test_the_flag_goes_before_the_variable_and_both_before_the_pod(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str, *, flag: bool, variable: bool
) -> None:
    if variable:
        path = str(kubeconfig(tmp_path / "variable", "variable"))
        monkeypatch.setenv("KUBECONFIG", path)
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", path)  # read when the client is imported
    chosen = str(kubeconfig(tmp_path / "flag", "flag")) if flag else None
    assert (await login(chosen)).server == server
    client = await connection.connect(chosen)
    assert client.configuration.host == server
    await client.close()  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("variables", "searched"),
    [
        ({}, False),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, True),
        ({"HTTP_PROXY": "http://proxy.example:3128"}, False),
        ({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": ".example"}, False),
    ],
)
async def test_the_environment_is_searched_for_a_proxy_only_where_it_names_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], *, searched: bool
) -> None:
    """aiohttp does so in two threads for each request, which was a tenth of the operator's work."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    api = await connection.connect(str(kubeconfig(tmp_path / "config", "flag")))
    try:
        session = api.rest_client._create_pool_manager()
        assert session.trust_env is searched
        await session.close()
    finally:
        await api.close()  # type: ignore[no-untyped-call]
