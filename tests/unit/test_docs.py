"""The pages say what the code does: reasons, settings, metrics and links."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from prometheus_client import generate_latest

from agora_transcription import agora
from agora_transcription.api import Reason, TranscriptionTask
from agora_transcription.controller.queue import WorkQueue
from agora_transcription.controller.troubles import trouble_of
from agora_transcription.gateway.metrics import GatewayMetrics
from agora_transcription.settings import GatewaySettings, OperatorSettings, SttSettings
from agora_transcription.stt.metrics import SttMetrics
from agora_transcription.telemetry.metrics import Metrics
from chaos import tables
from support import pages

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]

TASK = TranscriptionTask.parse(
    {
        "metadata": {
            "name": "standup",
            "namespace": "default",
            "uid": "b5a4e7c2",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": "2026-11-21T08:00:00Z",
        },
        "spec": {"channel": "standup", "languages": ["en-US"]},
    }
)

TRIED_AGAIN, STALLED = "Failed, and tried again", "Stalled"


def test_the_troubleshooting_page_has_every_reason_once() -> None:
    listed = [reason for section in reasons_by_section().values() for reason in section]
    # The reason of Reconciling, never of Ready: the page names it above the table.
    assert sorted(listed) == sorted(set(Reason) - {Reason.PROGRESSING_WITH_RETRY})


@pytest.mark.parametrize(
    "error",
    [
        agora.NotSent("start"),
        agora.Ambiguous("start"),
        agora.Upstream("start"),
        agora.Busy("update"),
        agora.Throttled("start"),
        agora.Conflict("start"),
        agora.QuotaExceeded("start"),
        agora.CredentialsRefused("start"),
        agora.ServiceNotEnabled("start"),
        agora.RequestRefused("start"),
        agora.CircuitOpen(60),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_reason_stands_under_what_the_operator_makes_of_the_failure(
    error: agora.AgoraError | agora.CircuitOpen,
) -> None:
    verdict = trouble_of(TASK, error, failures=1, jitter=0, now=datetime(2026, 11, 21, tzinfo=UTC)).verdict
    assert verdict
    assert verdict.reason in reasons_by_section()[STALLED if verdict.stalled else TRIED_AGAIN]


@pytest.mark.parametrize(
    ("kind", "section"),
    [(OperatorSettings, ""), (GatewaySettings, "The gateway"), (SttSettings, "The Socket.IO service")],
)
def test_the_page_of_settings_has_a_row_for_each_setting_as_it_is(
    kind: type[OperatorSettings | GatewaySettings | SttSettings], section: str
) -> None:
    expected = []
    prefix = kind.model_config["env_prefix"]
    for name, field in kind.model_fields.items():
        words = ", ".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "" if words in {None, ""} or words is False else f"`{words}`"
        flag, variable = f"--{name.replace('_', '-')}", f"{prefix}{name.upper()}"
        expected.append([f"`{flag}`", f"`{variable}`", default, field.description])
    sections = re.split(r"^## (.*)$", (ROOT / "docs" / "settings.md").read_text(), flags=re.MULTILINE)
    text = dict(zip(["", *sections[1::2]], sections[::2], strict=True))[section]
    lines = [line for line in text.splitlines() if line.startswith("| `--")]
    rows = [line.strip("| ").split(" | ") for line in lines]
    # The third says how the chart calls it: tests/deploy/chart/test_values.py
    assert [[*row[:2], *row[3:]] for row in rows] == expected


def test_each_metric_that_a_page_names_is_served() -> None:
    metrics = Metrics()
    metrics.watch_state([TASK], WorkQueue(AsyncMock()), lambda: {"poll": 0})
    registries = (metrics.registry, GatewayMetrics().registry, SttMetrics().registry)
    served = b"".join(generate_latest(registry) for registry in registries).decode()
    named = {
        name
        for page in PAGES
        for name in re.findall(
            r"\b(?:agora_transcription_(?:\w+)|controller_runtime_\w+|workqueue_\w+)", page.read_text()
        )
    }
    assert len(named) >= 5
    for name in named:
        family = re.sub(r"_(?:sum|count|bucket)$", "", name)
        assert f"# TYPE {family} " in served, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_the_page_of_guarantees_has_the_tables_of_a_run_in_which_everything_passed() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    for name, content in tables.contents(tables.EVERYTHING_PASSED).items():
        assert content == pages.inside(page, name), f"run `make chaos`: the {name} has changed since"


def reasons_by_section() -> dict[str, list[str]]:
    """The first cells of the tables of the troubleshooting page, by heading."""
    page = ROOT / "docs" / "troubleshooting.md"
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    return {heading: first_cells(section_of(page, heading)) for heading in headings}


def section_of(page: Path, heading: str) -> str:
    _, _, rest = page.read_text().partition(f"\n## {heading}\n")
    assert rest, heading
    return rest.partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
