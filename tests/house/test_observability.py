"""The board and the alerts ask for metrics that a server exports, and say what a person needs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from rowbox.mailbox.settings.config import SETTINGS
from tests.house.reference.metrics import NAME, RULES, Families

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "rowbox.json").read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]
CHARTS = [panel for panel in PANELS if panel["type"] != "row"]
LABEL: Final = re.compile(r"([a-z]+) *(?:=~|!~|!=|=) *\"")


@pytest.fixture
def exported(families: Families) -> set[str]:
    """The names of all series."""
    return {name for family in families.values() for name in family.series}


def expressions() -> Iterator[tuple[str, str]]:
    """What is asked for, by whom."""
    yield from ((panel["title"], target["expr"]) for panel in CHARTS for target in panel["targets"])
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)


def not_exported(asked: str, exported: set[str]) -> set[str]:
    return set(NAME.findall(asked)) - exported


@pytest.mark.integration
def test_every_metric_that_is_asked_for_is_exported(exported: set[str]) -> None:
    unknown = {who: names for who, asked in expressions() if (names := not_exported(asked, exported))}
    assert not unknown
    assert not_exported("rate(rowbox_sends[5m])", exported) == {"rowbox_sends"}  # a name left open is found


@pytest.mark.integration
def test_the_board_shows_every_metric(exported: set[str]) -> None:
    parts = re.compile(r"_(bucket|sum|count)$")
    shown = {
        parts.sub("", name) for panel in CHARTS for target in panel["targets"] for name in NAME.findall(target["expr"])
    }
    assert {parts.sub("", name) for name in exported} - shown == set()


def test_labels_are_ones_that_exist() -> None:
    known = {
        "code",
        "instance",
        "job",
        "keys",
        "link",
        "loop",
        "method",
        "outcome",
        "reason",
        "route",
        "side",
        "status",
    }
    assert {label for _, asked in expressions() for label in LABEL.findall(asked)} <= known


def test_each_panel_has_a_number_of_its_own_and_a_place_of_its_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = [cell for panel in PANELS for cell in _cells(panel["gridPos"])]
    assert len(set(taken)) == len(taken)
    assert all(x < 24 for x, _ in taken)


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        yield from ((x, y) for y in range(place["y"], place["y"] + place["h"]))


@pytest.mark.parametrize("panel", CHARTS, ids=lambda panel: panel["title"])
def test_a_panel_says_its_unit_and_what_it_means(panel: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    names = {name for target in panel["targets"] for name in NAME.findall(target["expr"])}
    assert panel["description"].endswith(".")
    if any(name.endswith("_bytes") for name in names):
        assert unit == "bytes"
    elif any(name.endswith("_bytes_total") for name in names):
        assert unit == "Bps"
    elif any("_seconds" in name for name in names):
        assert unit == "s"
    else:
        assert unit in {"ops", "reqps", "short"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_long_how_bad_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "runbook"}
    assert len(rule["annotations"]["runbook"]) > len(rule["annotations"]["summary"])


def test_a_runbook_names_settings_and_alerts_that_exist() -> None:
    alerts = [rule["alert"] for rule in RULES]
    assert len(set(alerts)) == len(alerts)
    text = " ".join(rule["annotations"]["runbook"] for rule in RULES)
    assert set(re.findall(r"\bRowbox[A-Z]\w+", text)) <= set(alerts)
    tables = {key.partition(".")[0] for key in SETTINGS}
    named = {name for name in re.findall(r"\b[a-z]+\.[a-z_]+\b", text) if name.partition(".")[0] in tables}
    assert named
    assert named <= SETTINGS.keys()


def test_the_example_loads_the_alerts_and_names_the_job_they_go_by() -> None:
    example = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert example["rule_files"] == ["alerts.yml"]
    jobs = {scrape["job_name"] for scrape in example["scrape_configs"]}
    assert set(re.findall(r'job="([^"]+)"', " ".join(rule["expr"] for rule in RULES))) == jobs
