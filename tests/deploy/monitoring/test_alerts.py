"""The alerts: what Prometheus itself says of them, and that they fit the code and the pages."""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from agora_transcription import agora
from agora_transcription.api import Reason
from agora_transcription.controller.grounds import ABANDON_AFTER
from agora_transcription.controller.policy import EARLY_END, RESTART_DELAYS, ROLLOVER_MARGIN
from agora_transcription.stt.metrics import REJECTED
from agora_transcription.stt.protocol import MAX_BACKLOG_SECONDS
from deploy.monitoring.shipped import ROOT, RULE_TESTS, RULES, RUNBOOKS, Json, alerts
from support import tools
from support.helm import one, template

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [alert["alert"] for alert in alerts()]
RUNBOOK_URL = "https://github.com/agora-transcription/agora-transcription/blob/main/docs/runbooks/{}.md"


@pytest.fixture(scope="session")
def promtool() -> Path:
    return tools.find("promtool")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules(promtool: Path) -> None:
    assert f"{len(NAMES)} rules found" in run(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES)


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(promtool: Path, path: Path) -> None:
    run(promtool, "test", "rules", path)


def test_prometheus_takes_the_sample_of_a_configuration(promtool: Path) -> None:
    run(promtool, "check", "config", "--syntax-only", ROOT / "deploy" / "monitoring" / "prometheus.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_tested_to_fire_and_not_to_fire(name: str) -> None:
    groups: list[Json] = [group for path in RULE_TESTS for group in yaml.safe_load(path.read_text())["tests"]]
    cases = [case for group in groups for case in group["alert_rule_test"] if case["alertname"] == name]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


@pytest.mark.parametrize("alert", alerts(), ids=NAMES)
def test_each_alert_says_how_bad_it_is_and_what_to_do(alert: Json) -> None:
    assert re.fullmatch(r"AgoraTranscription[A-Z]\w+", alert["alert"])
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == RUNBOOK_URL.format(alert["alert"])
    assert "{{" not in alert["annotations"]["summary"], "a summary is the same for all of a group"


def test_critical_is_only_what_stops_all_work() -> None:
    critical = {alert["alert"] for alert in alerts() if alert["labels"]["severity"] == "critical"}
    assert critical == {"AgoraTranscriptionOperatorDown", "AgoraTranscriptionNoLeader"}


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    pages = {page.stem: page.read_text() for page in RUNBOOKS.glob("*.md") if page.stem != "README"}
    assert sorted(pages) == sorted(NAMES)
    index = (RUNBOOKS / "README.md").read_text()
    for alert in alerts():
        name, severity = alert["alert"], alert["labels"]["severity"]
        assert pages[name].startswith(f"# {name}\n"), name
        headings = re.findall(r"^## (.+)$", pages[name], re.MULTILINE)
        assert headings == ["What it means", "What it costs", "Where to look", "What to do"], name
        assert f"| [{name}]({name}.md) | {severity} |" in index, name


def test_a_task_near_its_end_has_missed_half_of_the_time_to_renew_it() -> None:
    [rule] = [alert for alert in alerts() if alert["alert"] == "AgoraTranscriptionTaskNearExpiry"]
    assert timedelta(seconds=threshold(rule)) * 2 == ROLLOVER_MARGIN


def test_a_deletion_is_stuck_later_than_the_operator_lets_an_object_go() -> None:
    [rule] = [alert for alert in alerts() if alert["alert"] == "AgoraTranscriptionDeletionStuck"]
    assert timedelta(seconds=threshold(rule)) == ABANDON_AFTER * 1.5


def test_a_task_that_ends_early_is_seen_to_before_the_last_end_is_forgotten() -> None:
    [rule] = [alert for alert in alerts() if alert["alert"] == "AgoraTranscriptionTaskRestarting"]
    [minutes] = re.findall(r"\[(\d+)m\]", rule["expr"])
    assert EARLY_END + RESTART_DELAYS[-1] < timedelta(minutes=int(minutes)) < timedelta(minutes=int(rule["for"][:-1]))


def test_who_is_behind_has_half_of_what_ends_a_session() -> None:
    [rule] = [alert for alert in alerts() if alert["alert"] == "AgoraTranscriptionSttBehind"]
    assert threshold(rule) * 2 == MAX_BACKLOG_SECONDS


def threshold(rule: Json) -> int:
    found = re.search(r"[<>] (\d+)\s*$", rule["expr"])
    assert found
    return int(found[1])


def test_the_words_that_alerts_look_for_are_the_code_s() -> None:
    text = RULES.read_text()
    for metric, known in (("task_ready", set(Reason)), ("stt_admission_rejected_total", set(REJECTED))):
        asked = re.findall(rf'_{metric}{{reason!?[=~]+"([^"]+)"', text)
        assert asked
        assert {word for matched in asked for word in matched.split("|")} <= known
    [codes] = re.findall(r'agora_requests_total{code=~"([^"]+)"', text)
    kinds = {code for code in codes.split("|") if code.isalpha()}
    assert kinds == {agora.NotSent.__name__, agora.Ambiguous.__name__, agora.Upstream.__name__}


def test_the_chart_carries_the_alerts_and_has_tasks_keep_their_namespace() -> None:
    monitors = {"PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"}
    objects = template(
        "--set=monitoring.prometheusRule.enabled=true",
        "--set=operator.metrics.podMonitor.enabled=true",
        "--set=operator.metrics.serviceMonitor.enabled=true",
        *(f"--api-versions=monitoring.coreos.com/v1/{kind}" for kind in ("PrometheusRule", *monitors)),
    )
    assert one(objects, "PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text())
    # So does a call of the gateway its endpoint, which is a label of the target as well.
    for kind, endpoints in monitors.items():
        [endpoint] = one(objects, kind)["spec"][endpoints]
        assert endpoint["honorLabels"] is True
