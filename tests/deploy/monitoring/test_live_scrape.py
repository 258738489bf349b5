"""What pages, alerts and dashboard name is what the real processes serve, after a short life of everything."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import promql_parser as promql
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from deploy.monitoring.shipped import DASHBOARD, ROOT, RUNBOOKS, Json, alerts
from support.kube import has_reason, is_settled
from support.processes import Gateway, Serving, free_port
from support.stt import ScriptedStt, calling
from support.world import CREDENTIALS, World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from agora_transcription.local.controlplane import ControlPlane

OF_THE_TARGET = {"job", "namespace", "pod", "instance"}
"""Labels that Prometheus adds to every series."""

OF_A_POD = {"pod", "instance", "container", "endpoint", "service", "node"}
"""Those of them that another replica has with another value."""

OF_PROMETHEUS = {"up"}

OF_EVERY_PROCESS = "process_"
"""How metrics begin that operator, gateway and stt have alike."""

FLEET = [f"one-of-many-{number}" for number in range(10)]
"""As many as it takes for Agora's list to be asked for, which counts what nobody owns."""


@dataclass
class Live:
    """An operator that has seen everything, and what it tells of it, as do a gateway and an stt."""

    world: World
    families: dict[str, Metric]

    def samples(self, name: str) -> list[dict[str, str]]:
        """The labels of each series of that name."""
        return [s.labels for family in self.families.values() for s in family.samples if s.name == name]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(
    control_plane: ControlPlane, operator_kubeconfig: Path, module_namespace: str, logs: Path
) -> AsyncIterator[Live]:
    lease = ("lease", "agora-transcription-operator", "--namespace=agora-transcription")
    control_plane.kubectl("delete", *lease, "--ignore-not-found")
    webhook = free_port()
    flags = (
        "--leader-elect",
        "--lease-namespace=agora-transcription",
        f"--webhook-address=127.0.0.1:{webhook}",
    )
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, module_namespace, logs, *flags) as world:
        await live_a_little(world, f"http://127.0.0.1:{webhook}/agora/notifications")

        async def unowned() -> bool:
            return bool((await scrape(world.operator))["agora_transcription_unowned_tasks"].samples)

        async def ended() -> Live | None:
            page = await scrape(world.operator)
            reasons = {sample.labels["reason"] for sample in page["agora_transcription_task_ready"].samples}
            return Live(world, page) if "TaskEnded" in reasons else None

        await world.eventually(unowned, "a count of what nobody owns")
        await end_twice(world, FLEET[1])
        lived = await world.eventually(ended, "a task that ends early")
        for families in (await call_a_gateway(control_plane, world, logs), await speak_to_stt(logs)):
            own = {name: family for name, family in families.items() if not name.startswith(OF_EVERY_PROCESS)}
            assert not own.keys() & lived.families.keys()
            assert families.keys() - own.keys() <= lived.families.keys()
            lived.families.update(own)
        yield lived


async def call_a_gateway(control_plane: ControlPlane, world: World, logs: Path) -> dict[str, Metric]:
    """Start, query and stop a transcription; there are no tokens."""
    log = logs / f"{world.kube.namespace}-gateway.log"
    gateway = Gateway(log, control_plane.kubeconfig, world.kube.namespace, "--anonymous")
    try:
        await gateway.start_and_wait()
        async with httpx.AsyncClient(base_url=f"{gateway.url}/api", timeout=60) as client:
            ids = (await client.post("/transcription/start.json", json={"channel": "called"})).json()
            for call in ("query", "stop"):
                (await client.post(f"/transcription/{call}.json", json=ids)).raise_for_status()
            wanted = {"channel": "called", "uid": 7, "expireTime": 60, "role": "publisher"}
            assert (await client.post("/tokens.json", json=wanted)).status_code == 503
        return await scrape(gateway)
    finally:
        gateway.kill()


async def speak_to_stt(logs: Path) -> dict[str, Metric]:
    """Say a word."""
    stt = ScriptedStt(logs, "--anonymous", keys=False, script={})
    try:
        await stt.start_and_wait()
        async with calling(stt.url, None) as caller:
            await caller.start()
            await caller.say(1)
            assert (await caller.stop())["code"] == 1000
        return await scrape(stt)
    finally:
        stt.kill()


async def live_a_little(world: World, webhook: str) -> None:
    """Start, update, refuse, throttle, fail and delete; what is refused and what is deleted stay so."""
    refused = {**CREDENTIALS, "customerId": "nobody", "customerSecret": "wrong"}
    await world.kube.put_secret("refused", refused)
    await world.faults(
        {"operation": "join", "match": {"channel": "room-throttled"}, "status": 429, "headers": {"Retry-After": "1"}},
        {"operation": "join", "match": {"channel": "room-failing"}, "status": 503},
        {"operation": "leave", "match": {"channel": "room-stuck"}, "status": 503, "times": 0},
    )
    for name in (*FLEET, "throttled", "failing", "stuck"):
        await world.create(name)
    await world.create("refused", credentialsSecretRef={"name": "refused"})
    await world.kube.wait("refused", has_reason("CredentialsRefused"))
    for name in (*FLEET, "throttled", "failing", "stuck"):
        await world.running(name)
    await world.kube.patch(FLEET[0], {"languages": ["en-US", "fr-FR"]})
    await world.running(FLEET[0])
    await world.kube.delete("stuck")
    await world.kube.wait("stuck", has_reason("AgoraUnavailable"))
    async with httpx.AsyncClient() as client:
        (await client.post(webhook, json={})).raise_for_status()


async def end_twice(world: World, name: str) -> None:
    """After the second early end in a row the operator waits for 10 seconds."""
    ended = None

    def another_runs(body: Json) -> bool:
        return is_settled(body) and body["status"].get("taskId") not in {None, ended}

    for _ in range(2):
        body = await world.kube.wait(name, another_runs)
        ended = body["status"]["taskId"]
        await world.end(ended, "FAILED", "Fatal ASR error")


async def scrape(process: Serving) -> dict[str, Metric]:
    async with httpx.AsyncClient() as client:
        page = (await client.get(process.metrics)).text
    return {f.name: f for f in text_string_to_metric_families(page) if not f.name.endswith("_created")}


def panels() -> list[Json]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression that the project ships, and where it stands."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
        for word in re.findall(r'printf\s+"((?:[^"\\]|\\.)+)"', alert["annotations"]["description"]):
            yield f"{alert['alert']}'s description", word.replace("%q", '""')
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"].replace("$__rate_interval", "5m")
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if found := re.fullmatch(r"label_values\((\w.+), (\w+)\)", variable.get("definition", "")):
            yield f"variable {variable['name']}", f"count by ({found[2]}) ({found[1]})"
    for page in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```promql\n(.+?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                yield page.name, line


EXPRESSIONS = list(expressions())


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS, ids=[f"{where}" for where, _ in EXPRESSIONS])
def test_an_expression_names_what_is_served(live: Live, where: str, expression: str) -> None:
    tree = promql.parse(expression)
    assert names_in(tree), where
    promql.walk(tree, post_visit=lambda node: check(node, live))


def test_a_job_of_each_component_can_be_chosen(live: Live) -> None:
    [variable] = [each for each in json.loads(DASHBOARD.read_text())["templating"]["list"] if each["name"] == "job"]
    [pattern] = re.findall(r'^label_values\({__name__=~"([^"]+)"}, job\)$', variable["definition"])
    chosen = {name for name in live.families if re.fullmatch(pattern, name)}
    assert chosen == {name for name in live.families if name.endswith("build_info")}
    assert len(chosen) == 3


def check(node: promql.Expr, live: Live) -> None:
    match node:
        case promql.VectorSelector(name=str(name), matchers=matchers) if name not in OF_PROMETHEUS:
            series = live.samples(name)
            assert series, f"{name} is not served"
            for matcher in matchers.matchers:
                assert matcher.name in labels_of(series), f"{name} has no label {matcher.name}"
            known = [m for m in matchers.matchers if "$" not in m.value and m.value and m.name not in OF_THE_TARGET]
            assert any(all(holds(m, labels) for m in known) for labels in series), f"{node} selects nothing"
        case promql.AggregateExpr(modifier=promql.AggModifier() as modifier):
            known_labels = {label for name in names_in(node) for label in labels_of(live.samples(name))}
            if modifier.type == promql.AggModifierType.Without:
                known_labels |= OF_A_POD
            assert set(modifier.labels) <= known_labels, f"{node} aggregates by labels that are not there"


def names_in(node: promql.Expr) -> set[str]:
    found: set[str] = set()

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector) and node.name:
            found.add(node.name)

    promql.walk(node, pre_visit=visit)
    return found


def labels_of(series: list[dict[str, str]]) -> set[str]:
    return OF_THE_TARGET.union(*series)


def holds(matcher: promql.Matcher, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    match matcher.op:
        case promql.MatchOp.Equal:
            return value == matcher.value
        case promql.MatchOp.NotEqual:
            return value != matcher.value
        case promql.MatchOp.Re:
            return re.fullmatch(matcher.value, value) is not None
        case _:
            return re.fullmatch(matcher.value, value) is None


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_what_an_alert_says_is_in_its_labels(live: Live, alert: Json) -> None:
    tree = promql.parse(alert["expr"])
    there = {label for name in names_in(tree) for label in labels_of(live.samples(name))}
    said = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"]))
    assert said <= there


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_legend_is_made_of_labels(live: Live, panel: Json) -> None:
    for target in panel["targets"]:
        tree = promql.parse(target["expr"].replace("$__rate_interval", "5m"))
        there = {label for name in names_in(tree) for label in labels_of(live.samples(name))}
        assert set(re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))) <= there


def test_the_page_of_metrics_has_each_that_is_served_with_its_labels(live: Live) -> None:
    served = {}
    for family in live.families.values():
        if sys.platform != "linux" and family.name.startswith("process_"):
            continue
        assert family.samples, f"{family.name} has no series: the life that was led here was too short"
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = frozenset().union(*(sample.labels for sample in family.samples)) - {"le"}
        served[name] = (family.type, labels)
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \|([^|]*)\| [^|\s]", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE
    )
    assert len(rows) == len({name for name, _, _ in rows})
    assert {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows} == served


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_the_commands_of_a_runbook_can_be_run(live: Live, control_plane: ControlPlane, page: Path) -> None:
    """On objects that are there. What needs a Pod only has to name the chart's; nothing is changed."""
    for block in re.findall(r"```console\n(.+?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            program, *arguments = shlex.split(line.removeprefix("$ "))
            assert program == "kubectl", line
            places = {"NAMESPACE": live.world.kube.namespace, "NAME": "stuck"}
            arguments = [places.get(argument, argument) for argument in arguments]
            verbs = {"get", "describe", "auth", "patch", "logs", "exec"}
            match next(argument for argument in arguments if argument in verbs):
                case "logs":
                    [selector] = [each for each in arguments if each.startswith("app.kubernetes.io/")]
                    assert "app.kubernetes.io/name=agora-transcription" in selector.split(",")
                case "exec":
                    inside = " ".join(arguments[arguments.index("--") + 1 :])
                    assert "deployment/agora-transcription-operator" in arguments
                    assert re.fullmatch(r"agora-transcription orphans --secret \S+", inside)
                case "patch":
                    control_plane.kubectl(*arguments, "--dry-run=server")
                case _:
                    control_plane.kubectl(*arguments)
