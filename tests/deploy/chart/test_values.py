"""What the chart takes: each setting of the operator, nothing that it does not know, nothing that cannot be right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from agora_transcription import cli, settings
from agora_transcription.settings import GatewaySettings, OperatorSettings
from support.helm import CHART, ROOT, HelmError, one, template

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())

REACHED: dict[str, tuple[str, Any]] = {
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
}
"""A value that changes the setting, and what the operator then reads."""

NOT_REACHED = {
    "kubeconfig": "a Pod has its ServiceAccount",
    "leader_elect": "always on: a rolling update runs two Pods",
    "lease_namespace": "the release's own, where the Role for the Lease is",
    "health_address": "the probes go there",
}

REACHED_IN_THE_GATEWAY: dict[str, tuple[str, Any]] = {
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
    "log_format": ("gateway.logFormat=text", "text"),
    "log_level": ("gateway.logLevel=debug", "debug"),
}

NOT_REACHED_IN_THE_GATEWAY = {
    "kubeconfig": "a Pod has its ServiceAccount",
    "listen": "the Service goes there",
    "health_address": "the probes go there",
    "api_keys_file": "a file of gateway.keysSecret",
    "signing_key_file": "the same",
    "captions_url": "a simulator's captions are for a laptop",
    "stt_url": "the chart has no Socket.IO service yet",
}

CHOSEN = {"leader_elect": True, "log_format": "json", "lease_namespace": "agora-transcription"}
"""Where the chart's default is another than the command's: in a Pod."""


@pytest.fixture(autouse=True)
def in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace = tmp_path / "namespace"
    namespace.write_text("agora-transcription")
    monkeypatch.setattr(settings, "POD_NAMESPACE", namespace)


def read_by_the_operator(*values: str) -> OperatorSettings:
    """What `agora-transcription operator` makes of the container's arguments."""
    container = one(template(*values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    command, *arguments = (text.replace("$(POD_NAMESPACE)", "agora-transcription") for text in container["args"])
    assert command == "operator"
    with cli.main.commands[command].make_context(command, arguments) as context:
        return cli._settings(OperatorSettings, context.params)


@pytest.mark.parametrize("name", [name for name in OperatorSettings.model_fields if name not in NOT_REACHED])
def test_each_setting_is_reached_by_a_value(name: str) -> None:
    value, read = REACHED[name]
    changed = read_by_the_operator(f"--set-string={value}" if "Version" in value else f"--set={value}")
    assert getattr(changed, name) == read
    assert getattr(read_by_the_operator(), name) != read


@pytest.mark.parametrize(("kind", "reached"), [(OperatorSettings, REACHED), (GatewaySettings, REACHED_IN_THE_GATEWAY)])
def test_the_page_of_settings_names_the_values(
    kind: type[OperatorSettings | GatewaySettings], reached: dict[str, tuple[str, Any]]
) -> None:
    operators, gateways, *_ = re.split(r"^## .*$", (ROOT / "docs" / "settings.md").read_text(), flags=re.MULTILINE)
    text = operators if kind is OperatorSettings else gateways
    lines = [line for line in text.splitlines() if line.startswith("| `--")]
    named = {line.split("`")[1]: line.split(" | ")[2].strip("` ") for line in lines}
    values = {name: value.partition("=")[0] for name, (value, _) in reached.items()}
    flags = {f"--{name.replace('_', '-')}": values.get(name, "") for name in kind.model_fields}
    assert named == flags


def read_by_the_gateway(*values: str) -> GatewaySettings:
    """What `agora-transcription gateway` makes of the container's arguments."""
    usual = ("--set=operator.enabled=false", "--set=gateway.enabled=true", "--set=gateway.keysSecret=keys")
    container = one(template(*usual, *values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    command, *arguments = (text.replace("$(POD_NAMESPACE)", "agora-transcription") for text in container["args"])
    assert command == "gateway"
    with cli.main.commands[command].make_context(command, arguments) as context:
        return cli._settings(GatewaySettings, context.params)


@pytest.mark.parametrize(
    "name", [name for name in GatewaySettings.model_fields if name not in NOT_REACHED_IN_THE_GATEWAY]
)
def test_each_setting_of_the_gateway_is_reached_by_a_value(name: str) -> None:
    value, read = REACHED_IN_THE_GATEWAY[name]
    changed = read_by_the_gateway(f"--set-string={value}" if "Version" in value else f"--set={value}")
    assert getattr(changed, name) == read
    assert getattr(read_by_the_gateway(), name) != read


def test_defaults_of_the_gateway_are_the_commands() -> None:
    keys = Path("/etc/gateway/keys")
    expected = {
        "namespace": "agora-transcription",
        "listen": ":4321",
        "metrics_address": ":9090",
        "health_address": ":8080",
        "api_keys_file": keys / "apiKeys",
        "signing_key_file": keys / "signingKeys",
        "log_format": "json",
    }
    usual = GatewaySettings(namespace="a", anonymous=True).model_dump() | {"anonymous": False}
    assert read_by_the_gateway().model_dump() == usual | expected


def test_defaults_are_the_commands() -> None:
    expected = OperatorSettings(leader_elect=True).model_dump() | CHOSEN
    assert read_by_the_operator().model_dump() == expected


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("agoraApi", "agora_api"),
        ("rtcTokenVersion", "rtc_token_version"),
        ("logFormat", "log_format"),
        ("logLevel", "log_level"),
    ],
)
def test_choices_are_the_commands(name: str, field: str) -> None:
    choices = SCHEMA["properties"]["operator"]["properties"][name]["enum"]
    assert sorted(choices) == sorted(get_args(OperatorSettings.model_fields[field].annotation))


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
        ("gateway.replicas=0", "/gateway/replicas': minimum: got 0, want 1"),
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
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        if isinstance(values, dict) and "properties" in schema:
            yield path, schema, values
            for key, value in values.items():
                yield from below((*path, key), schema["properties"][key], value)

    return below((), SCHEMA, VALUES)
