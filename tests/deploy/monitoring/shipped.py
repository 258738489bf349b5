"""The rule file that the chart carries, as the tests of this folder read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "chart" / "files" / "alerts.yaml"
RULE_TESTS = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
DASHBOARD = ROOT / "deploy" / "chart" / "files" / "dashboards" / "agora-transcription.json"
RUNBOOKS = ROOT / "docs" / "runbooks"

Json = dict[str, Any]


def alerts() -> list[Json]:
    """All alerting rules."""
    groups: list[Json] = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]
