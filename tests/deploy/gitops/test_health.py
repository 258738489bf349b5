"""Argo CD's and Flux's health checks: on test data, and on everything that the operator can write."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from lupa.lua51 import LuaError

from agora_transcription.api import API_VERSION, KIND, Reason, merge_conditions
from agora_transcription.api.conditions import failed, progressing, ready, retrying, stalled, uncertain
from support.health import CHECK, DEPLOY, FLUX_FOR_KSTATUS, argo_health, as_argo_shows, flux_health, run_lua
from support.kstatus import kstatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = "2026-11-21T08:00:00Z"

CASES = yaml.safe_load((CHECK / "health_test.yaml").read_text())["tests"]

ARGO_FOR_KSTATUS = {
    "Current": {"Healthy", "Suspended"},
    "InProgress": {"Progressing"},
    "Failed": {"Degraded"},
    "Terminating": {"Progressing"},
}
"""What Argo CD may say where kstatus says this."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["inputPath"])
def test_argo_cd_says_of_the_test_data_what_its_test_file_asks(case: dict[str, Any]) -> None:
    health = argo_health(read(CHECK / case["inputPath"]))
    assert health._asdict() == case["healthStatus"]


def test_all_test_data_are_tested() -> None:
    assert {case["inputPath"] for case in CASES} == {f"testdata/{path.name}" for path in CHECK.glob("testdata/*")}


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"observedGeneration": 1}}])
def test_only_where_nothing_is_said_argo_cd_waits_and_kstatus_does_not(status: dict[str, Any]) -> None:
    """kstatus takes it for done; the CRD's default status does not let it come to that."""
    body = read(CHECK / "testdata" / "no_status.yaml") | status
    assert (kstatus(body), argo_health(body).status) == ("Current", "Progressing")


def test_where_there_are_no_conditions_flux_waits() -> None:
    assert flux_health(body_of([], observed=3, deleting=False, suspend=False)) is None


def body_of(conditions: list[dict[str, Any]], *, observed: int, deleting: bool, suspend: bool) -> dict[str, Any]:
    status = {"observedGeneration": observed, **({"conditions": conditions} if conditions else {})}
    metadata = {"name": "standup", "generation": 3, **({"deletionTimestamp": NOW} if deleting else {})}
    spec = {"suspend": suspend}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec, "status": status}


def written() -> Iterator[dict[str, Any]]:
    """Everything that the operator can write, of the newest spec and of the one before, and what stands there first."""
    flags = list(itertools.product([False, True], repeat=2))
    for deleting, suspend in flags:
        yield body_of([], observed=-1, deleting=deleting, suspend=suspend)
    makers = (progressing, uncertain, retrying, stalled, failed, ready)
    for make, reason, observed, (deleting, suspend) in itertools.product(makers, Reason, [2, 3], flags):
        merged = merge_conditions((), make(reason, 'Says "why", and\nwhat to do: 1 %'), generation=observed, now=NOW)
        conditions = [condition.model_dump(mode="json", by_alias=True) for condition in merged]
        yield body_of(conditions, observed=observed, deleting=deleting, suspend=suspend)


def conceivable() -> Iterator[dict[str, Any]]:
    """What a kstatus condition can be: also False where the operator takes it away, in any order."""
    for ready_is, *others in itertools.product(["True", "False", "Unknown"], *[[None, "True", "False", "Unknown"]] * 2):
        if others == ["True", "True"]:
            continue  # kstatus forbids it
        said = {"Ready": ready_is, "Reconciling": others[0], "Stalled": others[1]}
        given = [
            {"type": kind, "status": status, "reason": "Reason", "message": ""}
            for kind, status in said.items()
            if status
        ]
        for conditions in itertools.permutations(given):
            yield body_of(list(conditions), observed=3, deleting=False, suspend=False)


@pytest.mark.parametrize("bodies", [written, conceivable])
def test_argo_cd_never_contradicts_kstatus(bodies: Callable[[], Iterator[dict[str, Any]]]) -> None:
    for body in bodies():
        assert as_argo_shows(body) in ARGO_FOR_KSTATUS[kstatus(body)], body


@pytest.mark.parametrize("bodies", [written, conceivable])
def test_flux_never_contradicts_kstatus(bodies: Callable[[], Iterator[dict[str, Any]]]) -> None:
    for body in bodies():
        if kstatus(body) != "Terminating":  # expressions are asked of what was applied, not of what goes
            # Where no expression is true Flux waits, as for what is in progress.
            assert (flux_health(body) or "inProgress") == FLUX_FOR_KSTATUS[kstatus(body)], body


def test_suspended_is_said_of_tasks_that_are_and_of_no_others() -> None:
    for body in written():
        suspended = kstatus(body) == "Current" and body["status"]["conditions"][0]["reason"] == "Suspended"
        assert (as_argo_shows(body) == "Suspended") is suspended, body


@pytest.mark.parametrize("library", ["string.upper('x')", "math.huge", "('x'):upper()", "io.write('x')", "os.time()"])
def test_a_script_that_needs_a_library_which_argo_cd_leaves_out_would_be_found(library: str) -> None:
    with pytest.raises(LuaError):
        run_lua(f"return {{ status = 'Healthy', message = {library} }}", {})


def test_the_patch_of_argocd_cm_carries_the_check() -> None:
    patch = read(DEPLOY / "argocd" / "argocd-cm.yaml")
    carried = patch["data"][f"resource.customizations.health.{API_VERSION.split('/')[0]}_{KIND}"]
    assert carried == (CHECK / "health.lua").read_text(), "copy health.lua into deploy/argocd/argocd-cm.yaml"


def test_the_patch_of_argocd_cm_lets_waves_wait_for_applications() -> None:
    """Argo CD has had no check of its own for Applications since 1.8; without one the next wave does not wait."""
    script = read(DEPLOY / "argocd" / "argocd-cm.yaml")["data"][
        "resource.customizations.health.argoproj.io_Application"
    ]
    assert run_lua(script, {}) == ("Progressing", "")
    assert run_lua(script, {"status": {"health": {"status": "Degraded", "message": "why"}}}) == ("Degraded", "why")
    assert run_lua(script, {"status": {"health": {"status": "Healthy"}}}) == ("Healthy", "")
