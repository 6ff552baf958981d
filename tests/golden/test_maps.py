"""The map of a cluster: the cell that names a body, and the bytes of a body."""

import zlib
from typing import Any

import msgspec
import pytest

from rowbox.cacheserver.shardmap.cluster_row import MapRoot, decode_map_cell
from rowbox.cacheserver.shardmap.cluster_state import MapCell
from rowbox.cacheserver.shardmap.map_body import decode_map, encode_map
from tests.golden.lines import Line, differences, lines, named, of_today

LINES = lines("maps")
ROOTS = [line for line in LINES if line["case"] == "MapRoot"]
BODIES = [line for line in LINES if line["case"].startswith("ShardMap")]
OLD_ROOTS = [line for line in lines("cluster") if line["case"] == "MapCell"]
ADVICE = "append what stands on the right to maps.jsonl (docs/formats.md)"


@pytest.mark.parametrize("line", [*ROOTS, *OLD_ROOTS], ids=lambda line: line["case"])
def test_a_maps_cell_that_was_ever_written_reads_as_it_was_meant(line: Line) -> None:
    cell = decode_map_cell(line["value"].encode())
    assert isinstance(cell, MapCell if line in OLD_ROOTS else MapRoot)
    assert list(differences(line["fields"], cell)) == []


def test_a_maps_cell_is_written_as_its_golden_line() -> None:
    (line,) = of_today(ROOTS)
    root = decode_map_cell(line["value"].encode())
    found = {"fields": named(root), "qualifier": "map", "value": msgspec.json.encode(root).decode()}
    assert line == {"case": line["case"], **found}, ADVICE


@pytest.mark.parametrize("line", BODIES, ids=lambda line: line["case"])
def test_a_body_that_was_ever_written_reads_as_it_was_meant(line: Line) -> None:
    assert list(differences(line["fields"], decode_map(bytes.fromhex(line["value"])))) == []


@pytest.mark.parametrize("line", of_today(BODIES), ids=lambda line: line["case"])
def test_a_body_is_written_as_its_golden_line(line: Line) -> None:
    """What is compressed is compared: another zlib may compress the same to other bytes."""
    stored = bytes.fromhex(line["value"])
    written = encode_map(decode_map(stored))
    assert line["fields"] == named(decode_map(written))
    assert _content(written) == _content(stored), f"{ADVICE}: {written.hex()}"


def _content(body: bytes) -> tuple[int, Any]:
    content = msgspec.msgpack.decode(zlib.decompress(body[1:]))
    return body[0], content
