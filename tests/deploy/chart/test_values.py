"""What the chart takes: each setting of the operator, nothing that it does not know, nothing that cannot be right."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from agora_transcription import cli, settings
from agora_transcription.settings import OperatorSettings
from support.helm import CHART, ROOT, HelmError, one, template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
        return cli._settings(context.params)


@pytest.mark.parametrize("name", [name for name in OperatorSettings.model_fields if name not in NOT_REACHED])
def test_each_setting_is_reached_by_a_value(name: str) -> None:
    value, read = REACHED[name]
    changed = read_by_the_operator(f"--set-string={value}" if "Version" in value else f"--set={value}")
    assert getattr(changed, name) == read
    assert getattr(read_by_the_operator(), name) != read


def test_the_page_of_settings_names_the_values() -> None:
    lines = [line for line in (ROOT / "docs" / "settings.md").read_text().splitlines() if line.startswith("| `--")]
    named = {line.split("`")[1]: line.split(" | ")[2].strip("` ") for line in lines}
    values = {name: value.partition("=")[0] for name, (value, _) in REACHED.items()}
    flags = {f"--{name.replace('_', '-')}": values.get(name, "") for name in OperatorSettings.model_fields}
    assert named == flags


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
