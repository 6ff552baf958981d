from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.output import document
from bench.output.document import mark, with_output
from bench.output.part import Part
from bench.pictures import Bar, Series, bars, lines
from bench.pictures.lines import powers, ticks

RUNS = ("bench", "bench-long")


def test_a_run_replaces_its_own_output_only() -> None:
    both = with_output(with_output("# Head\n", "bench-long", RUNS, "long 1"), "bench", RUNS, "short 1\n")
    assert both == f"# Head\n\n{mark('bench')}\nshort 1\n\n{mark('bench-long')}\nlong 1\n"
    again = with_output(both, "bench", RUNS, "short 2")
    assert again == both.replace("short 1", "short 2")
    assert with_output(again, "bench-long", RUNS, "long 2") == again.replace("long 1", "long 2")


def test_writing(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Head\n", encoding="utf-8")
    document.write(page, "bench", RUNS, "text", [Part("text", pictures={"rates": "<svg/>"})])
    assert page.read_text(encoding="utf-8").endswith("text\n\n![rates](benchmarks/rates.svg)\n")
    assert (tmp_path / "benchmarks" / "rates.svg").read_text(encoding="utf-8") == "<svg/>"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_bars_are_valid_xml() -> None:
    svg = bars("Rates <of> all", "per second", [Bar("send", "a & b", 2500.0), Bar("send", "c", 0.0)])
    assert texts(svg) == ["Rates <of> all (per second)", "send", "a & b", "2,500", "c", "0"]


@pytest.mark.parametrize("logarithmic", [True, False])
@pytest.mark.parametrize("points", [[(100, 0.3), (1_000_000, 0.4)], [(100, 0.3)]])
def test_lines_are_valid_xml(points: list[tuple[float, float]], logarithmic: bool) -> None:
    svg = lines("Sizes", "messages", "ms", [Series("p50 <", points)], logarithmic=logarithmic)
    assert {"Sizes", "messages", "ms", "p50 <"} <= set(texts(svg))


def test_an_empty_picture_is_one_too() -> None:
    assert texts(lines("None", "x", "y", []))[0] == "None"
    assert texts(bars("None", "y", [])) == ["None (y)"]


def test_ticks() -> None:
    assert ticks(9) == [0, 2, 4, 6, 8, 10]
    assert ticks(418) == [0, 100, 200, 300, 400, 500]
    assert ticks(0) == [0, 1]
    assert powers(100, 1_000_000) == [100, 1_000, 10_000, 100_000, 1_000_000]
    assert powers(1000, 1000) == [1_000, 10_000]
