"""What a store says of itself: the cluster's row, the schema row, the embedded folder's own entries."""

import msgspec
import pytest

from rowbox.cacheserver.access.revoked_ids import IDS_QUALIFIER, decode_ids, encode_ids
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, ClusterState, MapCell, own_place
from rowbox.cacheserver.stores.files.beside import LastBackup
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.cacheserver.stores.rocksdb.backup import Contents
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW
from rowbox.hbase_schema.schema_row import (
    HISTORY_QUALIFIER,
    SchemaRow,
    decode_history,
    decode_schema_row,
    encode_history,
)
from tests.golden.lines import Line, differences, lines, named, of_today
from tests.support.virtual_time import run_virtual

CLUSTER = lines("cluster")
SCHEMA = [line for line in lines("meta") if line["case"] == "schema row of a table"]


async def _read_back(line: Line) -> ClusterState:
    store = MemoryStore(64, {}, late_writes=True, now_ms=lambda: 1)
    put = Put(Family.INDEX, line["qualifier"].encode(), line["value"].encode())
    await store.mutate([RowMutation(CLUSTER_ROW, [put])], 1)
    return await ClusterCells(store).read()


@pytest.mark.parametrize("line", CLUSTER, ids=lambda line: line["case"])
def test_a_clusters_cell_that_was_ever_written_reads_as_it_was_meant(line: Line) -> None:
    state = run_virtual(_read_back(line))
    (cell,) = [state.map] if state.map is not None else state.cells.values()
    assert list(differences(line["fields"], cell)) == []


@pytest.mark.parametrize("line", of_today(CLUSTER), ids=lambda line: line["case"])
def test_a_clusters_cell_is_written_as_its_golden_line(line: Line) -> None:
    async def written() -> ClusterState:
        state = await _read_back(line)
        cells = ClusterCells(MemoryStore(64, {}, late_writes=True, now_ms=lambda: 1))
        empty = await cells.read()
        if state.map is not None:
            return await cells.swap(empty, MAP_PLACE, state.map)
        (cell,) = state.cells.values()
        return await cells.swap(empty, own_place(cell.incarnation), cell)

    state = run_virtual(written())
    cell = state.map if isinstance(state.map, MapCell) else next(iter(state.cells.values()))
    ((qualifier, value),) = state.raw.items()
    found = {"fields": named(cell), "qualifier": qualifier.decode(), "value": value.decode()}
    assert line == {"case": line["case"], **found}, "append what stands on the right to cluster.jsonl (docs/formats.md)"


def test_a_history_is_written_and_reads_as_its_golden_line() -> None:
    (line,) = [line for line in lines("meta") if line["case"] == "history of a store"]
    history = bytes.fromhex(line["fields"]["history"])
    ((qualifier, value),) = _columns(line)
    assert (HISTORY_QUALIFIER, encode_history(history)) == (qualifier, value)
    assert decode_history(value) == history


def test_a_list_of_revoked_tokens_is_written_and_reads_as_its_golden_line() -> None:
    (line,) = [line for line in lines("meta") if line["case"] == "revoked tokens by their ids"]
    entries = {bytes.fromhex(hashed): until_s for hashed, until_s in line["fields"].items()}
    ((qualifier, value),) = _columns(line)
    assert (IDS_QUALIFIER, encode_ids(entries)) == (qualifier, value)
    assert decode_ids(value) == entries
    assert decode_ids(value.replace(b"}", b',"later":1}')) == entries


def _columns(line: Line) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in line["columns"].items()]


@pytest.mark.parametrize("line", SCHEMA, ids=lambda line: str(line["columns"]))
def test_a_schema_row_that_was_ever_written_reads_as_it_was_meant(line: Line) -> None:
    row = decode_schema_row(_columns(line))
    assert list(differences(line["fields"], row)) == []


def test_a_schema_row_is_written_as_its_golden_line() -> None:
    (line,) = of_today(SCHEMA)
    assert SchemaRow(**line["fields"]).columns() == _columns(line)


@pytest.mark.parametrize(("case", "kind"), [("contents of a backup", Contents), ("last backup of a store", LastBackup)])
def test_what_a_backup_says_is_written_and_reads_as_its_golden_line(case: str, kind: type[msgspec.Struct]) -> None:
    for line in (found := [line for line in lines("meta") if line["case"] == case]):
        assert list(differences(line["fields"], msgspec.json.decode(line["value"], type=kind))) == []
    (line,) = of_today(found)
    assert msgspec.json.encode(kind(**line["fields"])).decode() == line["value"]
