"""The settings: where they come from, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from agora_transcription import settings
from agora_transcription.settings import ENVIRONMENT_PREFIX, OperatorSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OperatorSettings.model_fields:
        monkeypatch.delenv(f"{ENVIRONMENT_PREFIX}{name.upper()}", raising=False)


def test_every_setting_says_what_it_does() -> None:
    for name, field in OperatorSettings.model_fields.items():
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
