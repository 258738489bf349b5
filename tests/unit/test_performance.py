"""What is made of the benchmark's figures, and that the page has what its last run has measured."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from bench.operator import plot, report
from bench.operator.results import LINEAR, MANY, QUIET, Lap, Latencies, Phase, Run, growths, problems
from bench.operator.run import PAGE, PLOT, RESULTS
from support import pages

PUBLISHED = 5000
"""Tasks that the page's figures are for."""

LAST = Run.model_validate_json(RESULTS.read_text(encoding="utf-8"))


def phase_of(tasks: int, **figures: Any) -> Phase:
    usual = {"seconds": tasks / 100, "tail_seconds": 0.5, "cpu_seconds": tasks / 500, "latencies": Latencies.of([1, 2])}
    usual |= {"cluster_cpu_seconds": tasks / 100}
    measured = {"memory_mib": 100 + tasks / 50, "peak_mib": 100 + tasks / 20, "writes": 0, "counted_writes": 0}
    return Phase.model_validate({"tasks": tasks, **usual, **measured, "calls": {}, "events": 0, **figures})


def lap_of(tasks: int, **phases: Phase) -> Lap:
    start = {"ready_seconds": 1, "cpu_seconds": 1, "memory_mib": 100, "rest_cpu": 0}
    names = ("create", "events", "rest", "change", "update", "delete")
    made = {name: phase_of(tasks) for name in names} | phases
    return Lap.model_validate(
        {"tasks": tasks, "policy": False, "start": start, "phases": made, "doubled": 0, "left_running": 0}
    )


def run_of(*laps: Lap) -> Run:
    """On a machine that does nothing else."""
    return LAST.model_copy(update={"laps": list(laps), "others": 0})


def test_the_page_has_the_figures_of_the_last_run() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, content in report.contents(LAST).items():
        assert pages.inside(page, name) == content, "python -m bench.operator.run --render writes it anew"
    assert PLOT.read_text(encoding="utf-8") == plot.svg(LAST)


def test_the_chart_gives_the_memory_that_was_measured() -> None:
    """With a quarter more, for the Secrets and labels that these tasks do not have."""
    values = yaml.safe_load((PAGE.parents[1] / "deploy" / "chart" / "values.yaml").read_text())
    resources = values["operator"]["resources"]
    assert int(resources["requests"]["memory"].removesuffix("Mi")) > max(lap.start.memory_mib for lap in LAST.laps)
    peak = max(phase.peak_mib for lap in LAST.laps for phase in lap.phases.values())
    assert int(resources["limits"]["memory"].removesuffix("Mi")) > 1.25 * peak


def test_the_last_run_has_found_nothing_that_must_not_be() -> None:
    assert problems(LAST) == []


def test_the_last_run_can_be_relied_on() -> None:
    """Made with as many tasks as the page speaks of, on a machine that did nothing else."""
    assert LAST.others <= QUIET
    assert LAST.whole()[-1].tasks >= PUBLISHED


def test_percentiles_are_values_that_were_measured() -> None:
    found = Latencies.of(number / 100 for number in range(1, 101))
    assert (found.p50, found.p95, found.p99, found.max) == (0.5, 0.95, 0.99, 1.0)
    alone = Latencies.of([0.25])
    assert (alone.p50, alone.max) == (0.25, 0.25)


def test_what_costs_the_same_for_each_task_is_linear() -> None:
    run = run_of(lap_of(1000), lap_of(5000))
    assert {growth.ratio for growth in growths(run)} == {1.0}
    assert "All of it grows linearly" in report.contents(run)["bench"]


@pytest.mark.parametrize(("more", "linear"), [(LINEAR - 0.01, True), (LINEAR + 0.01, False)])
def test_what_costs_more_among_many_is_flagged(more: float, linear: bool) -> None:  # noqa: FBT001 - as parametrized
    run = run_of(lap_of(1000), lap_of(5000, update=phase_of(5000, cpu_seconds=5000 / 500 * more)))
    bent = [growth.what for growth in growths(run) if not growth.linear]
    assert bent == ([] if linear else ["update: CPU"])
    assert ("(!)" in report.contents(run)["bench"]) is not linear


@pytest.mark.parametrize(("others", "most"), [(QUIET + 0.01, MANY), (0, MANY - 1)], ids=["a busy machine", "few tasks"])
@pytest.mark.parametrize("factor", [1, 2], ids=["even", "bent"])
def test_of_what_tells_nothing_nothing_is_said(others: float, most: int, factor: int) -> None:
    last = lap_of(most, update=phase_of(most, cpu_seconds=most / 500 * factor))
    told = report.contents(run_of(lap_of(100), last).model_copy(update={"others": others}))["bench"]
    assert "cannot be said of this run" in told
    assert "(!)" not in told
    assert "grows linearly" not in told


def test_memory_is_sized_by_what_was_measured_and_a_quarter_more() -> None:
    """Of 100 MiB without tasks, and 50 with each 1,000."""
    told = report.contents(run_of(lap_of(1000), lap_of(3000)))["sizing"]
    assert "(100 + 5 &times; 50) &times; 1.25 = 438 MiB" in told


def test_laps_that_only_compare_the_policy_show_no_growth() -> None:
    brief = lap_of(5000)
    phases = {name: brief.phases[name] for name in ("create", "delete")}
    run = run_of(lap_of(1000), brief.model_copy(update={"phases": phases}))
    assert list(growths(run)) == []
    rows = [line for line in report.contents(run)["bench"].splitlines() if line.startswith("| 5,000 ")]
    assert len(rows) == 2, "create and delete"


def test_what_must_not_be_is_told() -> None:
    bad = lap_of(10, rest=phase_of(10, counted_writes=2)).model_copy(update={"doubled": 3, "left_running": 4})
    assert [sentence.split()[2] for sentence in problems(run_of(bad))] == ["3", "4", "2"]


def test_a_late_change_is_told() -> None:
    late = run_of(lap_of(10, change=phase_of(10, latencies=Latencies.of([0.3]))))
    assert "Missed with 10 tasks" in report.contents(late)["bench"]


def test_the_plot_is_well_formed_and_within_its_frame() -> None:
    drawing = ET.fromstring(plot.svg(run_of(lap_of(1000), lap_of(3000), lap_of(5000))))  # noqa: S314 - made here
    width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
    lines = drawing.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 14
    for line in lines:
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
