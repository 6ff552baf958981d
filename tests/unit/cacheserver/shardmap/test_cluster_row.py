"""The row of a cluster: the whole of it or named places, the cells of an older and of a newer Rowbox, the swap."""

import msgspec
import pytest

from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, MapRoot, decode_map_cell, decode_node_cell
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, MapCell, NodeCell, own_place
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.errors import StoreDamaged
from tests.support.virtual_time import virtual_time

A, B = NodeCell("a-1", 1, "alive", "here", node_id="a"), NodeCell("b-1", 1, "stopped", "there", node_id="b")
ROOT = MapRoot(7, "body", "digest")


async def written(*cells: NodeCell | MapRoot) -> ClusterReader:
    reader = ClusterReader(MemoryStore(64, {}, late_writes=True, now_ms=lambda: 1))
    for cell in cells:
        place = MAP_PLACE if isinstance(cell, MapRoot) else own_place(cell.incarnation)
        await reader.swap(await reader.whole(), place, cell)
    return reader


@virtual_time
async def test_the_whole_row_shows_every_cell() -> None:
    row = await (await written(A, ROOT, B)).whole()
    assert (row.map, row.cell_of("a-1"), row.cell_of("b-1"), row.cell_of("c-1")) == (ROOT, A, B, None)
    assert (row.place_of("a-1"), row.place_of("c-1")) == (own_place("a-1"), None)
    assert [row.has_ended(incarnation) for incarnation in ("a-1", "b-1", "c-1")] == [False, True, True]


@virtual_time
async def test_named_places_are_read_alone() -> None:
    reader = await written(A, ROOT, B)
    assert (await reader.named([own_place("b-1"), own_place("c-1")]))[:2] == (None, {own_place("b-1"): B})
    assert (await reader.named([MAP_PLACE, own_place("a-1")]))[:2] == (ROOT, {own_place("a-1"): A})


@virtual_time
async def test_a_swap_that_expects_what_is_gone_changes_nothing() -> None:
    reader = await written(A)
    stale = await reader.whole()
    renewed = msgspec.structs.replace(A, beat=2)
    await reader.swap(stale, own_place("a-1"), renewed)
    await reader.swap(stale, own_place("a-1"), msgspec.structs.replace(A, status="dead"))
    assert (await reader.whole()).cell_of("a-1") == renewed


@pytest.mark.parametrize(
    ("status", "has_ended"),
    [("alive", False), ("draining", False), ("a later one", False), ("stopped", True), ("dead", True)],
)
def test_only_the_stopped_and_the_dead_have_ended(status: str, *, has_ended: bool) -> None:
    assert NodeCell("a-1", 1, status, "here").has_ended is has_ended


def test_fields_of_a_newer_rowbox_are_passed_over() -> None:
    value = msgspec.json.encode({**msgspec.structs.asdict(A), "later": [1]})
    assert decode_node_cell(value) == A
    assert decode_map_cell(b'{"version":7,"body":"body","digest":"digest","later":{}}') == ROOT


def test_the_cell_of_an_older_rowbox_names_one_owner_of_everything() -> None:
    assert decode_map_cell(b'{"version":3,"owner":"a-1","address":"here"}') == MapCell(3, "a-1", "here")
    assert decode_node_cell(b'{"incarnation":"a-1","beat":1,"status":"alive","address":"here"}').node_id == ""


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"version":"x","body":"b","digest":""}', b'{"version":1}'])
def test_what_is_no_cell_is_damage(value: bytes) -> None:
    with pytest.raises(StoreDamaged):
        decode_map_cell(value)
    with pytest.raises(StoreDamaged):
        decode_node_cell(value)
