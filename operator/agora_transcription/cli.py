"""The command `agora-transcription` and its sub-commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from agora_transcription import INSTALL_STT, __version__, shapes
from agora_transcription.settings import ENVIRONMENT_PREFIX, GatewaySettings, OperatorSettings, SttSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

    from agora_transcription.agora import Account

__all__ = ["main"]

CUSTOMER: Final = {"customerId": "CUSTOMER_ID", "customerSecret": "CUSTOMER_SECRET"}
"""The environment variables of `orphans --app-id`, by their keys in a Secret; anybody on the machine can see flags."""

T = TypeVar("T")
S = TypeVar("S", OperatorSettings, GatewaySettings, SttSettings)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="agora-transcription")
def main() -> None:
    """Keep exactly one Agora real-time speech-to-text task running for each TranscriptionTask."""


def _settings_options(kind: type[BaseSettings]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a flag for each of its settings."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(kind.model_fields):
            command = _option(kind, name)(command)
        return command

    return decorate


def _option(kind: type[BaseSettings], name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    field = kind.model_fields[name]
    repeated = get_origin(field.annotation) is tuple
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    variable = f"{kind.model_config['env_prefix']}{name.upper()}"
    flag, text = f"--{name.replace('_', '-')}", f"{field.description}{_default(field)}  [{variable}]"
    if field.annotation is bool:
        # None where it is not given, so that the environment counts.
        return click.option(flag, name, is_flag=True, default=None, help=text)
    return click.option(
        flag,
        name,
        type=click.Choice(choices) if choices else str,
        multiple=repeated,
        metavar=None if choices else _metavar(name),
        help=text,
    )


def _default(field: FieldInfo) -> str:
    if field.default in {None, (), ""} or field.default is False:
        return ""
    words = ", ".join(field.default) if isinstance(field.default, tuple) else field.default
    return f"  [default: {words!s}]"


def _metavar(name: str) -> str:
    known = {
        "kubeconfig": "FILE",
        "namespace": "NS",
        "lease_namespace": "NS",
        "lease_name": "NAME",
        "listen": "ADDR",
        "project_dir": "DIR",
        "allow_channel": "PATTERN",
        "allow_origin": "ORIGIN",
        "trusted_proxy": "NETWORK",
        "language": "CODE",
        "credentials_secret": "NAME",
    }
    return known.get(name, {"address": "ADDR", "file": "FILE", "url": "URL"}.get(name.rpartition("_")[2], "N"))


@main.command()
@_settings_options(OperatorSettings)
def operator(**flags: Any) -> None:  # noqa: ANN401 - one per setting
    """Run the operator against the cluster of the current kubeconfig, or the one it runs in."""
    from agora_transcription.controller import operator as controller

    with _a_cluster():
        _serve(_settings(OperatorSettings, flags), controller.run, controller.AddressError)


def _settings(kind: type[S], flags: Mapping[str, Any]) -> S:
    """Read the settings of the flags that are given, and of the environment."""
    try:
        return kind(**{name: value for name, value in flags.items() if value not in {None, ()}})
    except ValidationError as error:
        # Of a flag the first: behind a wrong item there is a second problem, that there are too few.
        problems = {problem["loc"][0]: problem["msg"] for problem in reversed(error.errors())}
        for name in reversed(problems):
            click.echo(f"--{str(name).replace('_', '-')}: {problems[name].removeprefix('Value error, ')}", err=True)
    except SettingsError as error:
        click.echo(f'{error}: in the environment it must be a JSON list, as ["default"]', err=True)
    sys.exit(2)


@main.command()
@_settings_options(GatewaySettings)
def gateway(**flags: Any) -> None:  # noqa: ANN401 - one per setting
    """Serve the HTTP backend of web clients: start.json, stop.json, query.json, tokens.json (docs/gateway.md)."""
    from agora_transcription.gateway import server

    with _a_cluster():
        _serve(_settings(GatewaySettings, flags), server.run, server.SetupError)


@main.command()
@_settings_options(SttSettings)
def stt(**flags: Any) -> None:  # noqa: ANN401 - one per setting
    """Transcribe speech while it is spoken, over Socket.IO (docs/stt.md)."""
    settings = _settings(SttSettings, flags)
    try:
        from agora_transcription.stt import server
    except ModuleNotFoundError as error:
        click.echo(f"{error}: {INSTALL_STT}. The image whose tag ends in -stt has it.", err=True)
        sys.exit(2)
    _serve(settings, server.run, server.SetupError)


def _serve(settings: S, run: Callable[[S], Coroutine[Any, Any, None]], misconfigured: type[Exception]) -> None:
    """Run a process until it is told to stop; exit code 2 where the settings are wrong."""
    from agora_transcription.telemetry import logs

    logs.configure(settings.log_format, settings.log_level)
    try:
        _run(run(settings))
    except misconfigured as error:
        click.echo(str(error), err=True)
        sys.exit(2)


@contextlib.contextmanager
def _a_cluster() -> Iterator[None]:
    """Exit code 1 where there is none. What needs one imports its client; stt does not."""
    from kubernetes.aio.config.config_exception import ConfigException

    try:
        yield
    except ConfigException as error:
        click.echo(f"No cluster: {error}. Give --kubeconfig FILE, or set KUBECONFIG.", err=True)
        sys.exit(1)


@main.command()
@click.option("--secret", metavar="NAMESPACE/NAME", help="Read the account from a Secret, as the tasks name it.")
@click.option(
    "--app-id",
    metavar="ID",
    help=f"The project, whose customer is in {ENVIRONMENT_PREFIX}CUSTOMER_ID and {ENVIRONMENT_PREFIX}CUSTOMER_SECRET.",
)
@click.option("--stop", metavar="TASK", multiple=True, help="Stop this orphan; can be given several times.")
@click.option("-o", "output", type=click.Choice(["table", "json"]), default="table", help="Format of the list.")
@_option(OperatorSettings, "agora_url")
@_option(OperatorSettings, "kubeconfig")
def orphans(*, secret: str | None, app_id: str | None, stop: tuple[str, ...], output: str, **flags: str | None) -> None:
    """List the Agora tasks (V7) of a project that no TranscriptionTask of the cluster owns.

    Nothing is stopped that --stop does not name. Exit codes: 0 there are none, or all were stopped; 1 Agora or the
    cluster could not be asked; 2 the arguments are wrong, or --stop names no orphan; 3 there are some.
    """
    from agora_transcription.controller.orphans import Request, run
    from agora_transcription.telemetry import logs

    settings = _settings(OperatorSettings, flags)
    logs.configure("text", "warning")
    request = Request(
        account=_account(secret, app_id),
        secret=_namespaced(secret) if secret else ("", ""),
        agora_url=settings.agora_url,
        kubeconfig=settings.kubeconfig,
        stop=stop,
        as_json=output == "json",
    )
    with _a_cluster():
        sys.exit(_run(run(request, click.echo, lambda text: click.echo(text, err=True))))


def _account(secret: str | None, app_id: str | None) -> Account | None:
    """The account of the environment; None where a Secret is named."""
    from agora_transcription.controller.credentials import SecretInvalid, account_of

    if (secret is None) == (app_id is None):
        raise click.UsageError("give either --secret or --app-id")
    if app_id is None:
        return None
    variables = {key: f"{ENVIRONMENT_PREFIX}{name}" for key, name in CUSTOMER.items()}
    missing = [name for name in variables.values() if not os.environ.get(name)]
    if missing:
        raise click.UsageError(f"--app-id needs the environment variables {' and '.join(missing)}")
    try:
        return account_of({"appId": app_id} | {key: os.environ[name] for key, name in variables.items()})
    except SecretInvalid as error:
        raise click.UsageError(f"--app-id: {error}") from None


def _namespaced(secret: str) -> tuple[str, str]:
    namespace, slash, name = secret.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise click.UsageError("--secret must be NAMESPACE/NAME")
    return namespace, name


def _address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Read an address that is no setting."""
    try:
        return shapes.address(value)
    except ValueError as error:
        click.echo(f"--listen: {error}", err=True)
        sys.exit(2)


@main.command()
@click.option(
    "--listen",
    default="127.0.0.1:8090",
    show_default=True,
    metavar="ADDR",
    callback=_address,
    help="HOST:PORT to listen on.",
)
@click.option("--faults", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Faults to begin with.")
def simulator(listen: str, faults: str | None) -> None:
    """Run an Agora on this machine: both APIs, stricter than the real one (docs/simulator.md)."""
    from agora_transcription.simulator.faults import read_faults
    from agora_transcription.simulator.options import SimulatorOptions
    from agora_transcription.simulator.server import run
    from agora_transcription.telemetry.addresses import AddressError

    try:
        run(listen, SimulatorOptions(), read_faults(Path(faults)) if faults else ())
    except AddressError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option("--keep", is_flag=True, help="Leave everything running at the end, until Ctrl-C.")
@click.option(
    "--kubeconfig",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Use this cluster instead of a control plane of the demo's own.",
)
@click.option("--captions", is_flag=True, help="Show how spoken words become captions on a page instead.")
@click.option(
    "--wav",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="What is spoken for --captions, in English.  [default: the beginning of a novel]",
)
def demo(*, keep: bool, kubeconfig: str | None, captions: bool, wav: str | None) -> None:
    """Show the whole life of a task: a real control plane, the simulator, the operator and sample objects."""
    from agora_transcription.local.captions import Speech, SpeechError
    from agora_transcription.local.demo import run

    if wav and not captions:
        raise click.UsageError("--wav belongs to --captions")
    try:
        speech = Speech.of(wav) if captions else None
    except SpeechError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(run(keep=keep, kubeconfig=kubeconfig, speech=speech))


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop, where there is one."""
    if sys.platform == "win32":
        return asyncio.run(coroutine)
    import uvloop

    return uvloop.run(coroutine)
