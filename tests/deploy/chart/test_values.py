"""What the chart takes: each setting of its components, nothing that it does not know, nothing that cannot be right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import pytest
import yaml

from agora_transcription import cli, settings
from agora_transcription.settings import GatewaySettings, OperatorSettings, SttSettings
from support.helm import CHART, ROOT, HelmError, one, template

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


class Component(NamedTuple):
    """A component of the chart, and how its values become its settings."""

    kind: type[Any]
    """Its settings."""
    section: str
    """Of docs/settings.md."""
    usual: tuple[str, ...]
    """What the chart has to be told so that it is there, alone."""
    reached: dict[str, tuple[str, Any]]
    """By setting, a value that changes it, and what the command then reads."""
    not_reached: dict[str, str]
    """Why the others have no value."""
    chosen: dict[str, Any]
    """Where the chart's default is another than the command's: in a Pod."""


OPERATOR = Component(
    OperatorSettings,
    "",
    (),
    {
        "namespace": ("operator.watchNamespaces={team-a,agora-transcription}", ("team-a", "agora-transcription")),
        "agora_url": ("operator.agoraUrl=http://agora:1", "http://agora:1"),
        "agora_api": ("operator.agoraApi=v6", "v6"),
        "rtc_token_version": ("operator.rtcTokenVersion=006", "006"),
        "requests_per_second": ("operator.requestsPerSecond=5", 5),
        "workers": ("operator.workers=7", 7),
        "poll_interval": ("operator.pollInterval=12", 12),
        "lease_name": ("fullnameOverride=another", "another-operator"),
        "metrics_address": ("operator.metrics.enabled=false", ""),
        "webhook_address": ("operator.webhooks.enabled=true", ":8081"),
        "log_format": ("operator.logFormat=text", "text"),
        "log_level": ("operator.logLevel=debug", "debug"),
    },
    {
        "kubeconfig": "a Pod has its ServiceAccount",
        "leader_elect": "always on: a rolling update runs two Pods",
        "lease_namespace": "the release's own, where the Role for the Lease is",
        "health_address": "the probes go there",
    },
    {"leader_elect": True, "log_format": "json", "lease_namespace": "agora-transcription"},
)

GATEWAY = Component(
    GatewaySettings,
    "The gateway",
    ("--set=operator.enabled=false", "--set=gateway.enabled=true", "--set=gateway.keysSecret=keys"),
    {
        "namespace": ("gateway.namespace=rooms", "rooms"),
        "metrics_address": ("gateway.metrics.enabled=false", ""),
        "anonymous": ("gateway.anonymous=true", True),
        "project_dir": ("gateway.projectSecret=project", Path("/etc/gateway/project")),
        "rtc_token_version": ("gateway.rtcTokenVersion=006", "006"),
        "allow_channel": ("gateway.allowChannels={public-*,stand up}", ("public-*", "stand up")),
        "allow_origin": ("gateway.allowOrigins={https://a.example}", ("https://a.example",)),
        "trusted_proxy": ("gateway.trustedProxies={10.0.0.0/8}", ("10.0.0.0/8",)),
        "calls_per_minute": ("gateway.callsPerMinute=7", 7),
        "start_timeout": ("gateway.startTimeout=7", 7),
        "stop_timeout": ("gateway.stopTimeout=7", 7),
        "language": ("gateway.languages={de-DE,en-US}", ("de-DE", "en-US")),
        "credentials_secret": ("gateway.credentialsSecret=other", "other"),
        "idle_timeout": ("gateway.idleTimeout=259200", 259200),
        "task_deadline": ("gateway.taskDeadline=10000000", 10000000),
        "stt_url": ("gateway.sttUrl=https://stt.example", "https://stt.example"),
        "log_format": ("gateway.logFormat=text", "text"),
        "log_level": ("gateway.logLevel=debug", "debug"),
    },
    {
        "kubeconfig": "a Pod has its ServiceAccount",
        "listen": "the Service goes there",
        "health_address": "the probes go there",
        "api_keys_file": "a file of gateway.keysSecret",
        "signing_key_file": "the same",
        "captions_url": "a simulator's captions are for a laptop",
    },
    {
        "namespace": "agora-transcription",
        "listen": ":4321",
        "metrics_address": ":9090",
        "health_address": ":8080",
        "api_keys_file": Path("/etc/gateway/keys/apiKeys"),
        "signing_key_file": Path("/etc/gateway/keys/signingKeys"),
        "log_format": "json",
    },
)

STT = Component(
    SttSettings,
    "The Socket.IO service",
    ("--set=operator.enabled=false", "--set=stt.enabled=true", "--set=stt.keysSecret=keys"),
    {
        "metrics_address": ("stt.metrics.enabled=false", ""),
        "engine": ("stt.engine=pocketsphinx", "pocketsphinx"),
        "anonymous": ("stt.anonymous=true,stt.keysSecret=", True),
        "allow_origin": ("stt.allowOrigins={https://a.example}", ("https://a.example",)),
        "trusted_proxy": ("stt.trustedProxies={10.0.0.0/8}", ("10.0.0.0/8",)),
        "workers": ("stt.workers=7", 7),
        "max_sessions": ("stt.maxSessions=7", 7),
        "idle_timeout": ("stt.idleTimeout=7", 7),
        "session_limit": ("stt.sessionLimit=10000000", 10000000),
        "drain_timeout": ("stt.drainTimeout=7", 7),
        "timestamps": ("stt.timestamps=none", "none"),
        "relay_url": ("stt.relayUrl=https://stt.example,stt.engine=socketio", "https://stt.example"),
        "relay_key_file": (
            "stt.relaySecret=relay,stt.relayUrl=https://stt.example,stt.engine=socketio",
            Path("/etc/stt/relay/apiKey"),
        ),
        "log_format": ("stt.logFormat=text", "text"),
        "log_level": ("stt.logLevel=debug", "debug"),
    },
    {
        "listen": "the Service goes there",
        "health_address": "the probes go there",
        "api_keys_file": "a file of stt.keysSecret",
    },
    {
        "listen": ":4322",
        "metrics_address": ":9090",
        "health_address": ":8080",
        "api_keys_file": Path("/etc/stt/keys/apiKeys"),
        "workers": 1,
        "log_format": "json",
    },
)

COMPONENTS = {"operator": OPERATOR, "gateway": GATEWAY, "stt": STT}

every_component = pytest.mark.parametrize("name", COMPONENTS)
each_setting = pytest.mark.parametrize(
    ("name", "setting"), [(name, setting) for name, each in COMPONENTS.items() for setting in each.kind.model_fields]
)


@pytest.fixture(autouse=True)
def in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace = tmp_path / "namespace"
    namespace.write_text("agora-transcription")
    monkeypatch.setattr(settings, "POD_NAMESPACE", namespace)


def read_by(name: str, *values: str) -> Any:
    """What the component's command makes of its container's arguments."""
    component = COMPONENTS[name]
    container = one(template(*component.usual, *values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    command, *arguments = (text.replace("$(POD_NAMESPACE)", "agora-transcription") for text in container["args"])
    assert command == name
    with cli.main.commands[command].make_context(command, arguments) as context:
        return cli._settings(component.kind, context.params)


@each_setting
def test_each_setting_is_reached_by_a_value(name: str, setting: str) -> None:
    component = COMPONENTS[name]
    if setting in component.not_reached:
        assert setting not in component.reached
        return
    value, read = component.reached[setting]
    assert getattr(read_by(name), setting) != read
    assert getattr(read_by(name, f"--set-string={value}" if "Version" in value else f"--set={value}"), setting) == read


@every_component
def test_the_page_of_settings_names_the_values(name: str) -> None:
    component = COMPONENTS[name]
    sections = re.split(r"^## (.*)$", (ROOT / "docs" / "settings.md").read_text(), flags=re.MULTILINE)
    text = dict(zip(["", *sections[1::2]], sections[::2], strict=True))[component.section]
    lines = [line for line in text.splitlines() if line.startswith("| `--")]
    named = {line.split("`")[1]: line.split(" | ")[2].strip("` ") for line in lines}
    values = {setting: value.partition("=")[0] for setting, (value, _) in component.reached.items()}
    flags = {f"--{name.replace('_', '-')}": values.get(name, "") for name in component.kind.model_fields}
    assert named == flags


@every_component
def test_defaults_are_the_commands(name: str) -> None:
    component = COMPONENTS[name]
    defaults = {setting: field.default for setting, field in component.kind.model_fields.items()}
    assert read_by(name).model_dump() == defaults | component.chosen


@pytest.mark.parametrize(
    ("name", "key", "setting"),
    [
        ("operator", "agoraApi", "agora_api"),
        ("operator", "rtcTokenVersion", "rtc_token_version"),
        ("gateway", "rtcTokenVersion", "rtc_token_version"),
        ("stt", "engine", "engine"),
        ("stt", "timestamps", "timestamps"),
        *((name, "logFormat", "log_format") for name in COMPONENTS),
        *((name, "logLevel", "log_level") for name in COMPONENTS),
    ],
)
def test_choices_are_the_commands(name: str, key: str, setting: str) -> None:
    choices = resolved(SCHEMA["properties"][name]["properties"][key])["enum"]
    assert sorted(choices) == sorted(get_args(COMPONENTS[name].kind.model_fields[setting].annotation))


def test_schema_and_defaults_have_the_same_keys() -> None:
    only_in_the_schema = {
        "global",
        "enabled",
    }  # what a chart that depends on this one hands down, or has as a condition
    for path, schema, values in levels():
        assert set(schema["properties"]) - (only_in_the_schema if not path else set()) == set(values), path
        assert schema["additionalProperties"] is False, path


def test_an_unknown_key_is_refused_at_every_level() -> None:
    paths = [path for path, _, _ in levels()]
    assert len(paths) >= 15
    message = refusal(*(f"--set={'.'.join((*path, 'unknown'))}=1" for path in paths))
    for path in paths:
        at = f"/{'/'.join(path)}" if path else ""
        assert re.search(rf"at '{at}': additional properties 'unknown' not allowed", message), path


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("image.tag=a b", "/image/tag': 'a b' does not match pattern"),
        ("image.digest=sha256:1", "/image/digest': 'sha256:1' does not match pattern"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy': value must be one of 'IfNotPresent', 'Always', 'Never'"),
        ("imagePullSecrets={registry}", "/imagePullSecrets/0': got string, want object"),
        ("crds.enabled=maybe", "/crds/enabled': got string, want boolean"),
        ("commonLabels.app\\.kubernetes\\.io/instance=x", "/commonLabels/app.kubernetes.io~1instance': false schema"),
        ("operator.podLabels.helm\\.sh/chart=x", "/operator/podLabels/helm.sh~1chart': false schema"),
        ("operator.replicas=0", "/operator/replicas': minimum: got 0, want 1"),
        ("operator.watchNamespaces=team-a", "/operator/watchNamespaces': got string, want array"),
        ("operator.watchNamespaces={a,a}", "/operator/watchNamespaces': items at 0 and 1 are equal"),
        ("operator.watchNamespaces={team_a}", "/operator/watchNamespaces/0': 'team_a' does not match pattern"),
        ("operator.agoraUrl=api.agora.io", "/operator/agoraUrl': 'api.agora.io' does not match pattern"),
        ("operator.agoraApi=v8", "/operator/agoraApi': value must be one of 'v7', 'v6'"),
        ("operator.rtcTokenVersion=7", "/operator/rtcTokenVersion': value must be one of '007', '006'"),
        ("operator.requestsPerSecond=-1", "/operator/requestsPerSecond': minimum: got -1, want 0"),
        ("operator.workers=1001", "/operator/workers': maximum: got 1,001, want 1,000"),
        ("operator.pollInterval=30s", "/operator/pollInterval': got string, want number"),
        ("operator.metrics.podMonitor.interval=soon", "/interval': 'soon' does not match pattern"),
        ("operator.probes.liveness.failureThreshold=0", "/failureThreshold': minimum: got 0, want 1"),
        ("operator.podDisruptionBudget.maxUnavailable=0", "/maxUnavailable': minimum: got 0, want 1"),
        ("operator.networkPolicy.apiServerPorts=null", "/networkPolicy': missing property 'apiServerPorts'"),
        ("operator.extraArgs={log-level=debug}", "/operator/extraArgs/0': 'log-level=debug' does not match pattern"),
        ("gateway.namespace=team_a", "/gateway/namespace': 'team_a' does not match pattern"),
        ("gateway.languages={english}", "/gateway/languages/0': 'english' does not match pattern"),
        ("gateway.startTimeout=41", "/gateway/startTimeout': maximum: got 41, want 40"),
        ("gateway.keysSecret=A B", "/gateway/keysSecret': 'A B' does not match pattern"),
        ("gateway.allowOrigins={foo}", "/gateway/allowOrigins/0': 'foo' does not match pattern"),
        ("gateway.replicas=0", "/gateway/replicas': minimum: got 0, want 1"),
        ("gateway.sttUrl=stt.example.com", "/gateway/sttUrl': 'stt.example.com' does not match pattern"),
        (
            "stt.engine=whisper",
            "/stt/engine': value must be one of 'moonshine', 'pocketsphinx', 'elevenlabs', 'socketio'",
        ),
        ("stt.allowOrigins={https://a.example/}", "/stt/allowOrigins/0': 'https://a.example/' does not match pattern"),
        ("stt.workers=0", "/stt/workers': minimum: got 0, want 1"),
        ("stt.drainTimeout=301", "/stt/drainTimeout': maximum: got 301, want 300"),
        ("stt.relayUrl=stt.example.com", "/stt/relayUrl': 'stt.example.com' does not match pattern"),
        ("stt.image.digest=sha256:1", "/stt/image/digest': 'sha256:1' does not match pattern"),
        ("stt.service.sessionAffinity=Cookie", "sessionAffinity': value must be one of 'ClientIP', 'None'"),
        ("operator.extraEnv={A=B}", "/operator/extraEnv/0': got string, want object"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_and_named(value: str, message: str) -> None:
    assert message in refusal(f"--set={value}")


def test_helm_3_refuses_as_well() -> None:
    with pytest.raises(HelmError, match="additional properties 'unknown' not allowed"):
        template("--set=operator.unknown=1", version="helm3")


def test_values_for_a_chart_that_depends_on_this_one_are_taken() -> None:
    assert template("--set=global.imageRegistry=example.com,enabled=true") == template()


def refusal(*values: str) -> str:
    with pytest.raises(HelmError) as error:
        template(*values)
    return str(error.value)


def levels() -> Iterator[tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]]:
    """Each mapping of the defaults whose keys are the chart's own: where it is, its schema, its values."""

    def below(path: tuple[str, ...], schema: dict[str, Any], values: Any) -> Iterator[Any]:
        schema = resolved(schema)
        if isinstance(values, dict) and "properties" in schema:
            yield path, schema, values
            for key, value in values.items():
                yield from below((*path, key), schema["properties"][key], value)

    return below((), SCHEMA, VALUES)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The definition that a schema refers to, if it does."""
    found: dict[str, Any] = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found
