"""Every setting of operator, gateway and stt, once: its name, its environment variable, its default and what it does.

A setting `agora_url` of the operator is the flag `--agora-url` and the environment variable
`AGORA_TRANSCRIPTION_AGORA_URL`; the gateway's variables begin with `AGORA_TRANSCRIPTION_GATEWAY_`, those of stt with
`AGORA_TRANSCRIPTION_STT_`. The flag wins. `docs/settings.md` lists them, held by a test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agora_transcription import shapes

__all__ = ["ENVIRONMENT_PREFIX", "GATEWAY_PREFIX", "STT_PREFIX", "GatewaySettings", "OperatorSettings", "SttSettings"]

ENVIRONMENT_PREFIX = "AGORA_TRANSCRIPTION_"
GATEWAY_PREFIX = f"{ENVIRONMENT_PREFIX}GATEWAY_"
STT_PREFIX = f"{ENVIRONMENT_PREFIX}STT_"
"""Of their own: all run on a laptop, under one environment, and must not listen on the same ports."""

POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where Kubernetes tells a Pod its namespace."""

RELAYS: Final = ("elevenlabs", "socketio")
"""Engines of stt that hand the audio on."""

T = TypeVar("T")


# What every process has.
Kubeconfig = Annotated[
    str | None,
    Field(description="Kubeconfig file; without it KUBECONFIG, then the Pod's service account, then ~/.kube/config."),
]
MetricsAddress = Annotated[shapes.AddressOrNone, Field(description="HOST:PORT of /metrics; empty for none.")]
HealthAddress = Annotated[shapes.AddressOrNone, Field(description="HOST:PORT of /healthz and /readyz; empty for none.")]
LogFormat = Annotated[Literal["text", "json"], Field(description="Format of the log lines.")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], Field(description="Least severe log lines shown.")]

# What gateway and stt have, which others call.
ApiKeysFile = Annotated[
    Path | None,
    Field(description="File with the keys that callers may use, one in each line, of 16 characters or more."),
]


def _somebody_may_call(anonymous: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - as pydantic calls it
    keys = info.data.get("api_keys_file") is not None
    if anonymous and keys:
        raise ValueError("not together with --api-keys-file")
    if not anonymous and not keys:
        raise ValueError("give --api-keys-file FILE or, on a laptop, --anonymous")
    return anonymous


Anonymous = Annotated[
    bool,
    AfterValidator(_somebody_may_call),
    Field(description="Let anybody call who reaches the address, without a key: for a laptop.", validate_default=True),
]
AllowOrigin = Annotated[
    tuple[shapes.Origin, ...],
    Field(
        description="Origin of web pages that may call, as https://app.example.com, or * for all; "
        "can be given several times (JSON list in the environment)."
    ),
]
TrustedProxy = Annotated[
    tuple[shapes.Network, ...],
    Field(
        description="Address or network of a proxy whose X-Forwarded-For counts; "
        "can be given several times (JSON list in the environment)."
    ),
]


class OperatorSettings(BaseSettings):
    """Settings of `agora-transcription operator`."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True)

    kubeconfig: Kubeconfig = None
    namespace: Annotated[
        tuple[str, ...],
        Field(
            description="Namespace to watch, can be given several times (JSON list in the environment); all without it."
        ),
    ] = ()
    agora_url: Annotated[shapes.HttpUrl, Field(description="Base URL of Agora's REST API.")] = "https://api.agora.io"
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
        float, Field(ge=1, description="Seconds between two looks at a running Agora task, up to a tenth more.")
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
        shapes.ObjectName,
        Field(description="Name of the Lease: one for the replicas of an operator, each operator its own."),
    ] = "agora-transcription-operator"
    metrics_address: MetricsAddress = ":9090"
    health_address: HealthAddress = ":8080"
    webhook_address: Annotated[
        shapes.AddressOrNone,
        Field(description="HOST:PORT of /agora/notifications, for Agora's webhooks; empty for none."),
    ] = ""
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    @field_validator("lease_namespace")
    @classmethod
    def _needed_for_the_lease(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value or not info.data.get("leader_elect"):
            return value
        return _pods_namespace("must be given with --leader-elect outside of a Pod")


class GatewaySettings(BaseSettings):
    """Settings of `agora-transcription gateway`."""

    model_config = SettingsConfigDict(env_prefix=GATEWAY_PREFIX, frozen=True)

    kubeconfig: Kubeconfig = None
    namespace: Annotated[
        shapes.Namespace | None,
        Field(description="Namespace of the tasks; without it the Pod's.", validate_default=True),
    ] = None
    listen: Annotated[shapes.Address, Field(description="HOST:PORT of the API.")] = "127.0.0.1:4321"
    metrics_address: MetricsAddress = ":9091"
    health_address: HealthAddress = ":8082"
    api_keys_file: ApiKeysFile = None
    anonymous: Anonymous = False
    signing_key_file: Annotated[
        Path | None,
        Field(
            description="File with the keys of builderTokens, one in each line, of 32 characters or more: "
            "the first signs, all count. Without it, only with --anonymous, one of this process.",
            validate_default=True,
        ),
    ] = None
    project_dir: Annotated[
        Path | None,
        Field(description="Directory with the files appId and appCertificate, as of a mounted Secret: for RTC tokens."),
    ] = None
    rtc_token_version: Annotated[Literal["007", "006"], Field(description="Version of the RTC tokens.")] = "007"  # noqa: S105 - a version, no password
    allow_channel: Annotated[
        tuple[str, ...],
        Field(
            description="Channel that may be asked for, with * for any characters; "
            "can be given several times (JSON list in the environment); all without it."
        ),
    ] = ()
    allow_origin: AllowOrigin = ("*",)
    trusted_proxy: TrustedProxy = ()
    calls_per_minute: Annotated[
        int, Field(ge=0, description="Calls per minute of one caller, in bursts of as many; 0 for no limit.")
    ] = 120
    start_timeout: Annotated[
        float, Field(ge=1, le=300, description="Seconds that a start may take until there is a task id.")
    ] = 20.0
    stop_timeout: Annotated[
        float, Field(ge=1, le=300, description="Seconds that a stop may take until Agora has stopped the task.")
    ] = 20.0
    language: Annotated[
        tuple[shapes.LanguageCode, ...],
        Field(
            min_length=1,
            max_length=4,
            description="Language of the tasks; can be given several times (JSON list in the environment).",
        ),
    ] = ("en-US",)
    credentials_secret: Annotated[
        shapes.ObjectName, Field(description="Secret of the tasks' account, which the operator reads.")
    ] = "agora-credentials"  # noqa: S105 - a name
    idle_timeout: Annotated[
        int, Field(ge=5, le=259200, description="Seconds after which Agora ends a task in an empty channel.")
    ] = 60
    task_deadline: Annotated[
        int, Field(ge=0, description="Seconds after which a task is ended that nobody has stopped; 0 for never.")
    ] = 14400
    captions_url: Annotated[
        shapes.HttpUrl | None,
        Field(description="URL of a simulator whose captions the page shows, instead of those of Agora's channel."),
    ] = None
    stt_url: Annotated[
        shapes.HttpUrl | None,
        Field(description="URL of the Socket.IO service, as browsers reach it, for the page's microphone and files."),
    ] = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    @field_validator("namespace")
    @classmethod
    def _needed_for_the_tasks(cls, value: str | None) -> str:
        return value or _pods_namespace("must be given outside of a Pod")

    @field_validator("signing_key_file")
    @classmethod
    def _needed_for_the_tokens(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("anonymous") is False:
            raise ValueError("must be given without --anonymous")
        return value


class SttSettings(BaseSettings):
    """Settings of `agora-transcription stt`."""

    model_config = SettingsConfigDict(env_prefix=STT_PREFIX, frozen=True)

    listen: Annotated[shapes.Address, Field(description="HOST:PORT of the Socket.IO service.")] = "127.0.0.1:4322"
    metrics_address: MetricsAddress = ":9092"
    health_address: HealthAddress = ":8083"
    engine: Annotated[
        Literal["moonshine", "pocketsphinx", "elevenlabs", "socketio"],
        Field(
            description="What recognizes speech: an engine here (English only), or a relay to an ElevenLabs-compatible "
            "WebSocket or to another Socket.IO service of this protocol."
        ),
    ] = "moonshine"
    api_keys_file: ApiKeysFile = None
    anonymous: Anonymous = False
    allow_origin: AllowOrigin = ("*",)
    trusted_proxy: TrustedProxy = ()
    workers: Annotated[
        int, Field(ge=0, le=256, description="Processes of an engine here; 0 for one per processor core.")
    ] = 0
    max_sessions: Annotated[
        int, Field(ge=0, description="Sessions at once; a further one is refused. 0 for what the engine is good for.")
    ] = 0
    idle_timeout: Annotated[
        float, Field(ge=1, description="Seconds without audio after which a session is closed.")
    ] = 30.0
    session_limit: Annotated[float, Field(ge=1, description="Seconds after which a session is closed.")] = 3600.0
    drain_timeout: Annotated[
        float,
        Field(ge=1, le=300, description="Seconds that sessions get for their last words when it is told to stop."),
    ] = 10.0
    timestamps: Annotated[
        Literal["words", "none"],
        Field(description="Whether the times of words are sent after a committed text, where they can be known."),
    ] = "words"
    relay_url: Annotated[
        shapes.RelayUrl | None,
        Field(
            description="Where a relay leads to: wss://HOST/PATH?QUERY of an ElevenLabs-compatible service, "
            "https://HOST/PREFIX of a Socket.IO one.",
            validate_default=True,
        ),
    ] = None
    relay_key_file: Annotated[Path | None, Field(description="File with the API key for the relay's other end.")] = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    @field_validator("relay_url")
    @classmethod
    def _needed_by_relays(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("engine") in RELAYS:
            raise ValueError("must be given for a relay, which --engine names")
        return value

    @field_validator("relay_url", "relay_key_file")
    @classmethod
    def _needed_by_no_other(cls, value: T, info: ValidationInfo) -> T:
        engine = info.data.get("engine")
        if value is not None and engine is not None and engine not in RELAYS:
            raise ValueError(f"the engine {engine} is no relay: give --engine {' or '.join(RELAYS)} as well")
        return value


def _pods_namespace(problem: str) -> str:
    try:
        return POD_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        raise ValueError(problem) from None
