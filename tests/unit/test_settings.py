"""The settings: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agora_transcription import settings
from agora_transcription.settings import ENVIRONMENT_PREFIX, GATEWAY_PREFIX, GatewaySettings, OperatorSettings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OperatorSettings.model_fields:
        monkeypatch.delenv(f"{ENVIRONMENT_PREFIX}{name.upper()}", raising=False)
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(f"{GATEWAY_PREFIX}{name.upper()}", raising=False)


def test_every_setting_says_what_it_does() -> None:
    for name, field in [*OperatorSettings.model_fields.items(), *GatewaySettings.model_fields.items()]:
        assert field.description, name
        assert field.description.endswith("."), name


def test_every_setting_has_a_default() -> None:
    assert OperatorSettings() == OperatorSettings.model_validate({})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("kubeconfig", "/etc/kubeconfig", "/etc/kubeconfig"),
        ("namespace", '["a", "b"]', ("a", "b")),
        ("agora_url", "http://127.0.0.1:8090", "http://127.0.0.1:8090"),
        ("agora_api", "v6", "v6"),
        ("requests_per_second", "0.5", 0.5),
        ("workers", "7", 7),
        ("poll_interval", "5", 5.0),
        ("metrics_address", "", ""),
        ("health_address", "127.0.0.1:0", "127.0.0.1:0"),
        ("webhook_address", ":8443", ":8443"),
        ("lease_namespace", "a", "a"),
        ("lease_name", "other", "other"),
        ("log_format", "json", "json"),
        ("log_level", "debug", "debug"),
    ],
)
def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any) -> None:
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}{name.upper()}", text)
    assert getattr(OperatorSettings(), name) == value


def test_the_lease_is_in_the_pods_namespace_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "namespace"
    told.write_text("transcription\n")
    monkeypatch.setattr(settings, "POD_NAMESPACE", told)
    assert OperatorSettings(leader_elect=True).lease_namespace == "transcription"
    assert OperatorSettings(leader_elect=True, lease_namespace="other").lease_namespace == "other"
    assert OperatorSettings().lease_namespace is None


def test_outside_of_a_pod_the_leases_namespace_must_be_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "POD_NAMESPACE", tmp_path / "none")
    with pytest.raises(ValidationError, match="must be given with --leader-elect") as refused:
        OperatorSettings(leader_elect=True)
    assert [problem["loc"][0] for problem in refused.value.errors()] == ["lease_namespace"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agora_url", "api.agora.io"),
        ("agora_url", "https://api.agora.io/a path"),
        ("agora_url", "https://user:password@api.agora.io"),
        ("agora_api", "v5"),
        ("requests_per_second", -1),
        ("workers", 0),
        ("workers", 1001),
        ("poll_interval", 0.5),
        ("metrics_address", "localhost"),
        ("health_address", ":http"),
        ("webhook_address", "8443"),
        ("log_format", "xml"),
        ("log_level", "loud"),
    ],
)
def test_a_setting_out_of_its_bounds_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        OperatorSettings(**{name: value})
    assert [problem["loc"][0] for problem in refused.value.errors()] == [name]


GATEWAY: dict[str, Any] = {"namespace": "rooms", "anonymous": True}


def test_the_gateway_needs_a_namespace_and_a_decision_about_callers() -> None:
    assert GatewaySettings(**GATEWAY) == GatewaySettings.model_validate(GATEWAY)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("kubeconfig", "/etc/kubeconfig", "/etc/kubeconfig"),
        ("namespace", "a", "a"),
        ("listen", ":80", ":80"),
        ("metrics_address", "", ""),
        ("health_address", ":1", ":1"),
        ("signing_key_file", "/k", Path("/k")),
        ("project_dir", "/p", Path("/p")),
        ("rtc_token_version", "006", "006"),
        ("allow_channel", '["a", "b*"]', ("a", "b*")),
        ("allow_origin", '["https://a"]', ("https://a",)),
        ("trusted_proxy", '["10.0.0.0/8"]', ("10.0.0.0/8",)),
        ("calls_per_minute", "7", 7),
        ("start_timeout", "5", 5.0),
        ("stop_timeout", "6", 6.0),
        ("language", '["de-DE"]', ("de-DE",)),
        ("credentials_secret", "other", "other"),
        ("idle_timeout", "90", 90),
        ("task_deadline", "0", 0),
        ("log_format", "json", "json"),
        ("log_level", "debug", "debug"),
    ],
)
def test_the_gateways_settings_come_from_an_environment_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    for other, given in (("NAMESPACE", "rooms"), ("ANONYMOUS", "true"), (name.upper(), text)):
        monkeypatch.setenv(f"{GATEWAY_PREFIX}{other}", given)
    monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}{name.upper()}", "the operator's")
    assert getattr(GatewaySettings(), name) == value


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"namespace": "A"}, "namespace"),
        ({"listen": "localhost"}, "listen"),
        ({"anonymous": False}, "anonymous"),
        ({"api_keys_file": "keys"}, "anonymous"),
        ({"anonymous": False, "api_keys_file": "keys"}, "signing_key_file"),
        ({"calls_per_minute": -1}, "calls_per_minute"),
        ({"start_timeout": 0}, "start_timeout"),
        ({"stop_timeout": 301}, "stop_timeout"),
        ({"language": ["en"]}, "language"),
        ({"language": []}, "language"),
        ({"credentials_secret": "Not A Name"}, "credentials_secret"),
        ({"idle_timeout": 4}, "idle_timeout"),
        ({"task_deadline": -1}, "task_deadline"),
        ({"trusted_proxy": ["proxy"]}, "trusted_proxy"),
    ],
)
def test_a_setting_of_the_gateway_that_cannot_be_right_is_refused_by_its_name(
    changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        GatewaySettings(**{**GATEWAY, **changed})
    assert {problem["loc"][0] for problem in refused.value.errors()} == {named}


def test_the_tasks_are_in_the_pods_namespace_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "namespace"
    told.write_text("rooms\n")
    monkeypatch.setattr(settings, "POD_NAMESPACE", told)
    assert GatewaySettings(anonymous=True).namespace == "rooms"
    monkeypatch.setattr(settings, "POD_NAMESPACE", tmp_path / "none")
    with pytest.raises(ValidationError, match="must be given outside of a Pod"):
        GatewaySettings(anonymous=True)
