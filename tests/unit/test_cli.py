"""The command: its flags are the settings, each once."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kubernetes.aio.config.config_exception import ConfigException

from agora_transcription import __version__
from agora_transcription.cli import main
from agora_transcription.controller import operator, orphans
from agora_transcription.gateway import server
from agora_transcription.settings import (
    ENVIRONMENT_PREFIX,
    GATEWAY_PREFIX,
    STT_PREFIX,
    GatewaySettings,
    OperatorSettings,
    SttSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

SETTINGS = sorted(OperatorSettings.model_fields)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from outside, and the root logger as it was."""
    for name in SETTINGS:
        monkeypatch.delenv(f"{ENVIRONMENT_PREFIX}{name.upper()}", raising=False)
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(f"{GATEWAY_PREFIX}{name.upper()}", raising=False)
    for name in SttSettings.model_fields:
        monkeypatch.delenv(f"{STT_PREFIX}{name.upper()}", raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[OperatorSettings]:
    """The settings that the operator was run with."""
    runs: list[OperatorSettings] = []

    async def run(settings: OperatorSettings) -> None:
        runs.append(settings)

    monkeypatch.setattr(operator, "run", run)
    return runs


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.mark.parametrize("name", SETTINGS)
def test_help_lists_every_setting_with_its_variable_and_default(name: str) -> None:
    result = CliRunner().invoke(main, ["operator", "--help"], terminal_width=1000)
    assert result.exit_code == 0
    field = OperatorSettings.model_fields[name]
    text = " ".join(result.output.split())
    (line,) = [line for line in text.split(" --") if line.startswith(name.replace("_", "-") + " ")]
    assert f"[{ENVIRONMENT_PREFIX}{name.upper()}]" in line
    assert field.description is not None
    assert field.description in line
    if field.default:
        assert f"[default: {field.default}]" in line


@pytest.mark.parametrize(
    ("command", "kind", "name"),
    [
        *(("gateway", GatewaySettings, name) for name in sorted(GatewaySettings.model_fields)),
        *(("stt", SttSettings, name) for name in sorted(SttSettings.model_fields)),
    ],
)
def test_help_of_the_services_lists_every_setting_with_its_variable(
    command: str, kind: type[GatewaySettings | SttSettings], name: str
) -> None:
    text = " ".join(CliRunner().invoke(main, [command, "--help"], terminal_width=1000).output.split())
    field = kind.model_fields[name]
    assert f"[{kind.model_config['env_prefix']}{name.upper()}]" in text
    assert field.description is not None
    assert f"{field.description} " in text


def test_help_names_the_commands() -> None:
    output = invoke("--help").output
    for command in ("operator", "gateway", "stt", "orphans", "simulator", "demo"):
        assert f"\n  {command} " in output


def test_version() -> None:
    assert __version__ in invoke("--version").output


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (["--namespace", "a", "--namespace", "b"], "namespace", ("a", "b")),
        (["--agora-url", "http://127.0.0.1:1"], "agora_url", "http://127.0.0.1:1"),
        (["--agora-api", "v6"], "agora_api", "v6"),
        (["--workers", "3"], "workers", 3),
        (["--requests-per-second", "0"], "requests_per_second", 0),
        (["--metrics-address", ""], "metrics_address", ""),
        ([], "workers", 32),
        ([], "leader_elect", False),
        (["--leader-elect", "--lease-namespace", "a"], "leader_elect", True),
    ],
)
def test_a_flag_is_a_setting(given: list[OperatorSettings], flags: list[str], name: str, value: Any) -> None:
    result = invoke("operator", *flags)
    assert result.exit_code == 0, result.output
    assert [getattr(settings, name) for settings in given] == [value]


def test_a_flag_beats_the_environment(given: list[OperatorSettings]) -> None:
    invoke("operator", "--workers", "3", AGORA_TRANSCRIPTION_WORKERS="4", AGORA_TRANSCRIPTION_POLL_INTERVAL="7")
    (settings,) = given
    assert (settings.workers, settings.poll_interval) == (3, 7)


def test_a_switch_can_be_set_by_the_environment(given: list[OperatorSettings]) -> None:
    invoke("operator", AGORA_TRANSCRIPTION_LEADER_ELECT="true", AGORA_TRANSCRIPTION_LEASE_NAMESPACE="a")
    (settings,) = given
    assert settings.leader_elect


@pytest.mark.parametrize(
    ("flags", "flag"),
    [
        (["--workers", "0"], "--workers"),
        (["--workers", "many"], "--workers"),
        (["--requests-per-second", "-1"], "--requests-per-second"),
        (["--poll-interval", "0"], "--poll-interval"),
        (["--agora-url", "api.agora.io"], "--agora-url"),
        (["--agora-api", "v5"], "--agora-api"),
        (["--metrics-address", "nowhere"], "--metrics-address"),
        (["--log-level", "loud"], "--log-level"),
        (["--leader-elect"], "--lease-namespace"),
        (["--lease-name", "Not A Name"], "--lease-name"),
    ],
)
def test_a_bad_value_exits_2_with_the_flags_name(given: list[OperatorSettings], flags: list[str], flag: str) -> None:
    result = invoke("operator", *flags)
    assert result.exit_code == 2
    assert flag in result.output
    assert given == []


@pytest.mark.parametrize(
    ("variable", "value", "flag"),
    [("WORKERS", "0", "--workers"), ("LOG_LEVEL", "loud", "--log-level"), ("NAMESPACE", "default", "namespace")],
)
def test_a_bad_variable_exits_2_too(given: list[OperatorSettings], variable: str, value: str, flag: str) -> None:
    result = invoke("operator", **{f"{ENVIRONMENT_PREFIX}{variable}": value})
    assert result.exit_code == 2
    assert flag in result.output
    assert given == []


def test_without_a_cluster_it_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(_: OperatorSettings) -> None:
        raise ConfigException("there is none")

    monkeypatch.setattr(operator, "run", run)
    result = invoke("operator")
    assert result.exit_code == 1
    assert "there is none" in result.output
    assert "--kubeconfig" in result.output


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "give either --secret or --app-id"),
        (["--secret", "a/b", "--app-id", "c"], "give either --secret or --app-id"),
        (["--secret", "b"], "--secret must be NAMESPACE/NAME"),
        (["--secret", "a/b/c"], "--secret must be NAMESPACE/NAME"),
        (["--app-id", "c"], "AGORA_TRANSCRIPTION_CUSTOMER_ID and AGORA_TRANSCRIPTION_CUSTOMER_SECRET"),
        (["--secret", "a/b", "--agora-url", "api.agora.io"], "--agora-url"),
        (["--secret", "a/b", "-o", "yaml"], "-o"),
    ],
)
def test_orphans_says_what_it_needs(flags: list[str], complaint: str) -> None:
    result = invoke("orphans", *flags)
    assert result.exit_code == 2
    assert complaint in result.output


def test_orphans_takes_an_app_id_only_if_it_can_be_one() -> None:
    customer = {"AGORA_TRANSCRIPTION_CUSTOMER_ID": "c", "AGORA_TRANSCRIPTION_CUSTOMER_SECRET": "very secret"}
    result = invoke("orphans", "--app-id", "c", **customer)
    assert result.exit_code == 2
    assert "32 hexadecimal digits" in result.output
    assert "very secret" not in result.output


def test_orphans_hands_on_what_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[orphans.Request] = []

    async def run(request: orphans.Request, write: Any, complain: Any) -> int:
        asked.append(request)
        write("the list")
        complain("a complaint")
        return orphans.SOME_LEFT

    monkeypatch.setattr(orphans, "run", run)
    customer = {"AGORA_TRANSCRIPTION_CUSTOMER_ID": "c", "AGORA_TRANSCRIPTION_CUSTOMER_SECRET": "s"}
    result = invoke("orphans", "--app-id", "0" * 32, "--stop", "x", "--stop", "y", "-o", "json", **customer)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "the list\n", "a complaint\n")
    (request,) = asked
    assert request.account is not None
    assert (request.account.app_id, request.account.customer_id) == ("0" * 32, "c")
    assert (request.stop, request.as_json, request.agora_url) == (("x", "y"), True, "https://api.agora.io")


def test_logs_are_set_up_as_asked(given: list[OperatorSettings]) -> None:
    assert invoke("operator", "--log-level", "error").exit_code == 0
    assert given
    assert logging.getLogger().level == logging.ERROR


@pytest.mark.parametrize(
    ("flags", "flag"),
    [
        ([], "--namespace"),
        (["--namespace", "a"], "--anonymous"),
        (["--namespace", "a", "--api-keys-file", "keys"], "--signing-key-file"),
        (["--namespace", "a", "--anonymous", "--api-keys-file", "keys"], "--anonymous"),
        (["--namespace", "a", "--anonymous", "--listen", "nowhere"], "--listen"),
        (["--namespace", "a", "--anonymous", "--signing-key-file", "/nowhere"], "--signing-key-file"),
        (["--namespace", "a", "--anonymous", "--listen", "192.0.2.1:1"], "--listen: cannot listen on 192.0.2.1:1"),
    ],
)
def test_the_gateway_says_what_it_needs(flags: list[str], flag: str) -> None:
    result = invoke("gateway", *flags)
    assert result.exit_code == 2
    assert flag in result.output


def test_a_flag_is_a_setting_of_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[GatewaySettings] = []

    async def run(settings: GatewaySettings) -> None:
        runs.append(settings)

    monkeypatch.setattr(server, "run", run)
    flags = ["--namespace=a", "--anonymous", "--allow-channel=b", "--allow-channel=c", "--start-timeout=3"]
    assert invoke("gateway", *flags).exit_code == 0
    [settings] = runs
    assert (settings.namespace, settings.anonymous, settings.allow_channel) == ("a", True, ("b", "c"))
    assert settings.start_timeout == 3


@pytest.mark.parametrize(
    ("flags", "flag"),
    [
        ([], "--anonymous"),
        (["--anonymous", "--api-keys-file", "keys"], "--anonymous"),
        (["--api-keys-file", "/nowhere"], "--api-keys-file: /nowhere"),
        (["--anonymous", "--engine", "parrot"], "--engine"),
        (["--anonymous", "--engine", "elevenlabs"], "--relay-url"),
        (["--anonymous", "--idle-timeout", "0"], "--idle-timeout"),
        (["--anonymous", "--listen", "192.0.2.1:1"], "--listen: cannot listen on 192.0.2.1:1"),
    ],
)
def test_the_socketio_service_says_what_it_needs(flags: list[str], flag: str) -> None:
    result = invoke("stt", *flags)
    assert result.exit_code == 2
    assert flag in result.output


ADDRESS = "must be HOST:PORT, with a port of 0 to 65535, as 127.0.0.1:8080"
URL = "must be a URL, http://HOST or https://HOST, without a user in it"
ORIGIN = "must be *, or an origin as browsers send it, as https://app.example.com: in lower case, without a path"
GATEWAY = "gateway --namespace a --anonymous"
STT = "stt --anonymous"


@pytest.mark.parametrize("text", ["4322", "localhost", "127.0.0.1:", "127.0.0.1:99999", "a:http", "a..b:1", "a b:1"])
@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("operator", "--metrics-address"),
        ("operator", "--webhook-address"),
        (GATEWAY, "--listen"),
        (GATEWAY, "--health-address"),
        (STT, "--listen"),
        (STT, "--metrics-address"),
        ("simulator", "--listen"),
    ],
)
def test_what_cannot_be_listened_on_is_refused_in_a_sentence(command: str, flag: str, text: str) -> None:
    result = invoke(*command.split(), flag, text)
    assert (result.exit_code, result.output) == (2, f"{flag}: {ADDRESS}\n")


def test_an_address_of_another_machine_is_refused_by_the_simulator() -> None:
    result = invoke("simulator", "--listen", "192.0.2.1:1")
    assert result.exit_code == 2
    assert result.output.startswith("--listen: cannot listen on 192.0.2.1:1: ")


NO_RELAY = "the engine moonshine is no relay: give --engine elevenlabs or socketio as well"


@pytest.mark.parametrize(
    ("command", "complaints"),
    [
        ("stt", ["--anonymous: give --api-keys-file FILE or, on a laptop, --anonymous"]),
        (f"{STT} --api-keys-file keys", ["--anonymous: not together with --api-keys-file"]),
        (
            "gateway",
            [
                "--namespace: must be given outside of a Pod",
                "--anonymous: give --api-keys-file FILE or, on a laptop, --anonymous",
            ],
        ),
        (f"{GATEWAY} --api-keys-file keys", ["--anonymous: not together with --api-keys-file"]),
        ("operator --leader-elect", ["--lease-namespace: must be given with --leader-elect outside of a Pod"]),
        ("operator --agora-url api.agora.io", [f"--agora-url: {URL}"]),
        (f"{GATEWAY} --captions-url foo", [f"--captions-url: {URL}"]),
        (f"{GATEWAY} --stt-url ws://a", [f"--stt-url: {URL}"]),
        (f"{GATEWAY} --allow-origin foo", [f"--allow-origin: {ORIGIN}"]),
        (f"{STT} --allow-origin https://a/", [f"--allow-origin: {ORIGIN}"]),
        (f"{STT} --trusted-proxy proxy", ["--trusted-proxy: must be an address or a network, as 10.0.0.0/8"]),
        (f"{GATEWAY} --language english", ["--language: must be a language as Agora writes it, as en-US"]),
        (
            f"{STT} --engine socketio --relay-url foo",
            [
                "--relay-url: must be a URL that begins with wss://, https://, ws:// or http://, without a user in it",
            ],
        ),
        (f"{STT} --engine socketio", ["--relay-url: must be given for a relay, which --engine names"]),
        (f"{STT} --relay-url https://a", [f"--relay-url: {NO_RELAY}"]),
        (f"{STT} --relay-key-file key", [f"--relay-key-file: {NO_RELAY}"]),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(command: str, complaints: list[str]) -> None:
    result = invoke(*command.split())
    assert (result.exit_code, result.output.splitlines()) == (2, complaints)


def test_the_socketio_service_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("agora_transcription.stt.")]:
        # Also as an attribute of its package, so that both are put back and no test sees a module twice.
        parent, _, child = name.rpartition(".")
        monkeypatch.delattr(sys.modules[parent], child, raising=False)
    for name in [name for name in sys.modules if name.startswith("agora_transcription.stt.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "socketio", None)
    result = invoke("stt", "--anonymous")
    assert result.exit_code == 2
    assert "pip install 'agora-transcription[stt]'" in result.output
