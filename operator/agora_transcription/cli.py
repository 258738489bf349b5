"""The command `agora-transcription` and its sub-commands."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from agora_transcription import __version__
from agora_transcription.settings import ENVIRONMENT_PREFIX, OperatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pydantic.fields import FieldInfo

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="agora-transcription")
def main() -> None:
    """Keep exactly one Agora real-time speech-to-text task running for each TranscriptionTask."""


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for every setting of the operator."""
    for name, field in reversed(OperatorSettings.model_fields.items()):
        command = _option(name, field)(command)
    return command


def _option(name: str, field: FieldInfo) -> Callable[[Callable[..., None]], Callable[..., None]]:
    repeated = get_origin(field.annotation) is tuple
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    variable = f"{ENVIRONMENT_PREFIX}{name.upper()}"
    default = "" if field.default in {None, (), ""} or field.default is False else f"  [default: {field.default!s}]"
    flag, text = f"--{name.replace('_', '-')}", f"{field.description}{default}  [{variable}]"
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


def _metavar(name: str) -> str:
    known = {
        "kubeconfig": "FILE",
        "namespace": "NS",
        "agora_url": "URL",
        "lease_namespace": "NS",
        "lease_name": "NAME",
    }
    return known.get(name, "ADDR" if name.endswith("_address") else "N")


@main.command()
@_settings_options
def operator(**flags: Any) -> None:  # noqa: ANN401 - one per setting
    """Run the operator against the cluster of the current kubeconfig, or the one it runs in."""
    from kubernetes.aio.config.config_exception import ConfigException

    from agora_transcription.controller import operator as controller
    from agora_transcription.telemetry import logs

    try:
        settings = OperatorSettings(**{name: value for name, value in flags.items() if value not in {None, ()}})
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]).replace("_", "-")
            click.echo(f"--{name}: {problem['msg']}", err=True)
        sys.exit(2)
    except SettingsError as error:
        click.echo(f'{error}: in the environment it must be a JSON list, as ["default"]', err=True)
        sys.exit(2)
    logs.configure(settings.log_format, settings.log_level)
    try:
        _run(controller.run(settings))
    except controller.AddressError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except ConfigException as error:
        click.echo(f"No cluster: {error}. Give --kubeconfig FILE, or set KUBECONFIG.", err=True)
        sys.exit(1)


@main.command()
@click.option("--listen", default="127.0.0.1:8090", show_default=True, metavar="ADDR", help="HOST:PORT to listen on.")
@click.option("--faults", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Faults to begin with.")
def simulator(listen: str, faults: str | None) -> None:
    """Run an Agora on this machine: both APIs, stricter than the real one (docs/simulator.md)."""
    from agora_transcription.simulator.faults import read_faults
    from agora_transcription.simulator.options import SimulatorOptions
    from agora_transcription.simulator.server import run

    try:
        run(listen, SimulatorOptions(), read_faults(Path(faults)) if faults else ())
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
def demo(*, keep: bool, kubeconfig: str | None) -> None:
    """Show the whole life of a task: a real control plane, the simulator, the operator and sample objects."""
    from agora_transcription.local.demo import run

    sys.exit(run(keep=keep, kubeconfig=kubeconfig))


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, where there is one."""
    if sys.platform == "win32":
        asyncio.run(coroutine)
    else:
        import uvloop

        uvloop.run(coroutine)
