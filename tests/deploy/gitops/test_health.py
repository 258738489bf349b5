"""Argo CD's and Flux's health checks: on test data, and on everything that the operator can write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lupa.lua51 import LuaError

from agora_transcription.api import API_VERSION, KIND, Reason, merge_conditions
from agora_transcription.api.conditions import failed, progressing, ready, retrying, stalled, uncertain
from support.health import CHECK, DEPLOY, FLUX_FOR_KSTATUS, argo_health, as_argo_shows, flux_health, run_lua
from support.kstatus import kstatus

if TYPE_CHECKING:
    from pathlib import Path

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


def test_only_an_object_without_any_status_is_read_in_two_ways() -> None:
    """kstatus takes it for done; the CRD's default status does not let it come to that."""
    body = read(CHECK / "testdata" / "no_status.yaml")
    assert (kstatus(body), argo_health(body).status) == ("Current", "Progressing")


BODIES = st.fixed_dictionaries(
    {
        "make": st.sampled_from([progressing, uncertain, retrying, stalled, failed, ready]),
        "reason": st.sampled_from(Reason),
        "before": st.sampled_from([None, progressing, retrying, stalled, ready]),
        "message": st.text(max_size=1100),
        "observed": st.sampled_from([-1, 2, 3]),
        "deleting": st.booleans(),
    }
).map(lambda drawn: body_of(**drawn))
"""What the operator can write, before and after a change of the spec."""


def body_of(make: Any, reason: Reason, before: Any, message: str, observed: int, *, deleting: bool) -> dict[str, Any]:
    earlier, later = "2026-11-21T08:00:00Z", "2026-11-21T09:00:00Z"
    previous = merge_conditions((), before(Reason.STARTING, ""), generation=2, now=earlier) if before else ()
    conditions = merge_conditions(previous, make(reason, message), generation=max(observed, 1), now=later)
    dumped = [condition.model_dump(mode="json", by_alias=True) for condition in conditions]
    status = {"observedGeneration": observed, **({"conditions": dumped} if observed >= 0 else {})}
    metadata = {"name": "standup", "generation": 3, **({"deletionTimestamp": later} if deleting else {})}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {}, "status": status}


@given(BODIES)
def test_argo_cd_never_contradicts_kstatus(body: dict[str, Any]) -> None:
    assert as_argo_shows(body) in ARGO_FOR_KSTATUS[kstatus(body)]


@given(BODIES)
def test_suspended_is_said_of_tasks_that_are_and_of_no_others(body: dict[str, Any]) -> None:
    suspended = kstatus(body) == "Current" and body["status"]["conditions"][0]["reason"] == "Suspended"
    assert (as_argo_shows(body) == "Suspended") is suspended


@given(BODIES)
def test_flux_never_contradicts_kstatus(body: dict[str, Any]) -> None:
    if kstatus(body) != "Terminating":  # expressions are asked of what was applied, not of what goes
        assert flux_health(body) == FLUX_FOR_KSTATUS[kstatus(body)]


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
