"""Every setting of the operator, once: its name, its environment variable, its default and what it does.

A setting `agora_url` is the flag `--agora-url` and the environment variable `AGORA_TRANSCRIPTION_AGORA_URL`; the flag
wins. `docs/settings.md` lists them, held by a test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["ENVIRONMENT_PREFIX", "OperatorSettings"]

ENVIRONMENT_PREFIX = "AGORA_TRANSCRIPTION_"

POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where Kubernetes tells a Pod its namespace."""


class OperatorSettings(BaseSettings):
    """Settings of `agora-transcription operator`."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True)

    kubeconfig: Annotated[
        str | None,
        Field(
            description="Kubeconfig file; without it KUBECONFIG, then the Pod's service account, then ~/.kube/config."
        ),
    ] = None
    namespace: Annotated[
        tuple[str, ...],
        Field(
            description="Namespace to watch, can be given several times (JSON list in the environment); all without it."
        ),
    ] = ()
    agora_url: Annotated[
        str, Field(description="Base URL of Agora's REST API.", pattern=r"^https?://[^/\s@]+(/\S*)?$")
    ] = "https://api.agora.io"
    agora_api: Annotated[
        Literal["v7", "v6"],
        Field(description="API for tasks whose spec names none; tasks that have started keep theirs."),
    ] = "v7"
    rtc_token_version: Annotated[
        Literal["007", "006"],
        Field(description="Version of the RTC tokens that bots join with; 006 for projects that know no other."),
    ] = "007"  # noqa: S105 - a version, no password
    requests_per_second: Annotated[
        float, Field(ge=0, description="Requests to Agora per second and App ID, in bursts of as many; 0 for no limit.")
    ] = 20.0
    workers: Annotated[int, Field(ge=1, le=1000, description="How many tasks are acted on at the same time.")] = 32
    poll_interval: Annotated[
        float, Field(ge=1, description="Seconds between two looks at a running Agora task, a tenth more or less.")
    ] = 30.0
    leader_elect: Annotated[
        bool,
        Field(description="Act only while holding a Lease, so that several replicas can run and one of them acts."),
    ] = False
    lease_namespace: Annotated[
        str | None,
        Field(description="Namespace of the Lease; without it the Pod's.", validate_default=True),
    ] = None
    lease_name: Annotated[
        str,
        Field(
            description="Name of the Lease: one for the replicas of an operator, each operator its own.",
            pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$",
        ),
    ] = "agora-transcription-operator"
    metrics_address: Annotated[
        str, Field(description="HOST:PORT of /metrics; empty for none.", pattern=r"^$|^\S*:\d+$")
    ] = ":9090"
    health_address: Annotated[
        str, Field(description="HOST:PORT of /healthz and /readyz; empty for none.", pattern=r"^$|^\S*:\d+$")
    ] = ":8080"
    webhook_address: Annotated[
        str,
        Field(
            description="HOST:PORT of /agora/notifications, for Agora's webhooks; empty for none.",
            pattern=r"^$|^\S*:\d+$",
        ),
    ] = ""
    log_format: Annotated[Literal["text", "json"], Field(description="Format of the log lines.")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe log lines shown.")
    ] = "info"

    @field_validator("lease_namespace")
    @classmethod
    def _needed_for_the_lease(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value or not info.data.get("leader_elect"):
            return value
        try:
            return POD_NAMESPACE.read_text(encoding="utf-8").strip()
        except OSError:
            raise ValueError("must be given with --leader-elect outside of a Pod") from None
