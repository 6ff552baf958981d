"""A reply about another row than was asked for is no answer, whatever made it come."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rowbox.cacheserver.stores.hbase import reads as hbase_reads
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.thrift.sequenced import CrossedReply

I = Family.INDEX  # noqa: E741 - its letter
CELL = SimpleNamespace(value=b"v")


def gateway_with(row: bytes) -> Any:
    """A client whose every reply is about `row`."""
    column = SimpleNamespace(columnName=b"i:q", cell=CELL)
    found = SimpleNamespace(row=row, columns={b"i:q": CELL}, sortedColumns=[column])
    return SimpleNamespace(
        getRowWithColumns=lambda *_: [found], scannerOpenWithScan=lambda *_: 1, last_rows=lambda *_: [found]
    )


READS: dict[str, Callable[[Any], object]] = {
    "get_row": lambda client: hbase_reads.get_row(client, b"t", b"0001/bob", [I]),
    "get_row_within": lambda client: hbase_reads.get_row_within(client, b"t", b"0001/bob", [I], 1),
    "get_columns": lambda client: hbase_reads.get_columns(client, b"t", b"0001/bob", I, [b"q"]),
    "get_range": lambda client: hbase_reads.get_range(client, b"t", b"0001/bob", I, b"", b"z", 1, keys_only=False),
    "get_part": lambda client: hbase_reads.get_part(client, b"t", b"0001/bob", I, b"", b"z", limit=9, limit_bytes=9),
    "scan": lambda client: hbase_reads.scan(client, b"t", b"0001/b", b"0001/c", I, 1),
    "scan_rows": lambda client: hbase_reads.scan_rows(client, b"t", b"0001/b", b"0001/c", I, 1),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("row", [b"0001/alice", b"0001/carol"])
def test_another_row_is_refused(read: Callable[[Any], object], row: bytes) -> None:
    with pytest.raises(CrossedReply):
        read(gateway_with(row))


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_the_row_that_was_asked_for_is_not(read: Callable[[Any], object]) -> None:
    assert read(gateway_with(b"0001/bob"))


def test_nor_is_one_row_taken_where_more_came() -> None:
    replied = [SimpleNamespace(row=row, columns={b"i:q": CELL}) for row in (b"0001/bob", b"0001/carol")]
    client: Any = SimpleNamespace(getRowWithColumns=lambda *_: replied)
    with pytest.raises(CrossedReply):
        hbase_reads.get_row(client, b"t", b"0001/bob", [I])
