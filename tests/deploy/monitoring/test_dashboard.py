"""The dashboard's JSON: what Grafana would show askew, or not at all."""

from __future__ import annotations

import itertools
import json

import pytest

from deploy.monitoring.shipped import DASHBOARD, Json

BOARD: Json = json.loads(DASHBOARD.read_text())
PANELS: list[Json] = BOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
UNITS = {"short", "s", "bytes", "ops", "reqps", "wps"}
WIDTH = 24


def cells(panel: Json) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))


def test_panels_have_ids_and_titles_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    rows: dict[str, list[str]] = {}
    for panel in PANELS:
        if panel["type"] == "row":
            titles = rows.setdefault(panel["title"], [])
        else:
            titles.append(panel["title"])
    assert all(len(set(titles)) == len(titles) for titles in rows.values())


def test_no_panel_covers_another() -> None:
    for panel, other in itertools.combinations(PANELS, 2):
        assert not cells(panel) & cells(other), f"{panel['title']} and {other['title']}"
    assert all(x < WIDTH for panel in PANELS for x, _ in cells(panel))


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_asks_the_chosen_data_source_and_has_a_unit(panel: Json) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for asked in (panel, *panel["targets"]):
        assert asked["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        assert 'job=~"$job"' in target["expr"], "one installation of several can be chosen"


def test_the_variables_that_expressions_use_are_there() -> None:
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert variables.keys() == {"datasource", "job", "namespace"}
    assert variables["datasource"]["query"] == "prometheus"
    assert BOARD["uid"] == "agora-transcription"
