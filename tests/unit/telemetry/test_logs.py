"""Log lines for people and for machines, and what is never in them."""

from __future__ import annotations

import base64
import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from agora_transcription.agora import Account, AgoraClient, Dialect, Handle, NotSent
from agora_transcription.telemetry import logs
from agora_transcription.telemetry.logs import ObjectLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Output = io.StringIO

PASSWORD, CERTIFICATE, TOKEN = "hunter2", "f" * 32, "a-builder-token"


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Output]]:
    """Set logging up as the operator does; answers what it writes to."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in logs.QUIET}

    def configure(form: str = "json", level: str = "info") -> Output:
        output = Output()
        monkeypatch.setattr(sys, "stderr", output)
        logs.configure(form, level)
        return output

    yield configure
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


def lines(output: Output) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_json_line_has_the_fields_that_collectors_want(configure: Callable[..., Output]) -> None:
    output = configure()
    logging.getLogger("agora_transcription.test").warning("%d of %s", 3, "five")
    (line,) = lines(output)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"severity": "WARNING", "logger": "agora_transcription.test", "message": "3 of five"}


def test_a_line_about_an_object_has_it_as_a_field(configure: Callable[..., Output]) -> None:
    output = configure()
    ObjectLogger(logging.getLogger("agora_transcription.test"), "calls", "standup", "7c9e").info("started")
    (line,) = lines(output)
    assert line["object"] == {"namespace": "calls", "name": "standup", "uid": "7c9e"}
    assert line["message"] == "started"


def test_a_text_line_names_the_object(configure: Callable[..., Output]) -> None:
    output = configure("text")
    ObjectLogger(logging.getLogger("agora_transcription.test"), "calls", "standup", "7c9e").info("started")
    assert output.getvalue().endswith("Z INFO [calls/standup] started\n")


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_keeps_its_traceback(configure: Callable[..., Output], form: str) -> None:
    output = configure(form)
    try:
        int("the cause")
    except ValueError:
        logging.getLogger("agora_transcription.test").exception("it failed")
    assert "Traceback" in output.getvalue()
    assert "the cause" in output.getvalue()
    if form == "json":
        assert len(lines(output)) == 1, "a line is a record"


def test_less_severe_lines_are_left_out(configure: Callable[..., Output]) -> None:
    output = configure(level="error")
    logging.getLogger("agora_transcription.test").warning("hm")
    assert output.getvalue() == ""


@pytest.mark.parametrize("library", logs.QUIET)
def test_chatty_libraries_are_quiet_whatever_the_level(configure: Callable[..., Output], library: str) -> None:
    output = configure(level="debug")
    logging.getLogger(f"{library}.somewhere").info("GET https://api.agora.io/?builderToken=x")
    assert output.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "text"])
async def test_no_secret_of_a_call_is_printed(configure: Callable[..., Output], form: str) -> None:
    """A failing call at the most talkative level, with every secret that it has."""
    output = configure(form, "debug")
    account = Account("0123456789abcdef0123456789abcdef", "customer", SecretStr(PASSWORD), SecretStr(CERTIFICATE))
    async with AgoraClient("http://127.0.0.1:9") as client:
        with pytest.raises(NotSent) as failed:
            await client.dialect(Dialect.V6).query(account, Handle("task", SecretStr(TOKEN)))
    logging.getLogger("agora_transcription.test").error("%s: %r", failed.value, account, exc_info=failed.value)
    written = output.getvalue()
    assert "no connection to Agora" in written
    for secret in (PASSWORD, CERTIFICATE, TOKEN, base64.b64encode(f"customer:{PASSWORD}".encode()).decode()):
        assert secret not in written
