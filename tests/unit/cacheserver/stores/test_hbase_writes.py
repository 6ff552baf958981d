"""How a write is cut into requests that fit into a gateway's frames. On a real one: integration/test_hbase_wires.py."""

from collections.abc import Sequence
from typing import Any

import pytest

from rowbox.cacheserver.stores.hbase.writes import CALL_BYTES, CELL_BYTES, ROW_BYTES, delete_columns, put_rows
from rowbox.cacheserver.stores.port import RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import StoreUnavailable

TABLE = b"t"
ROW = ROW_BYTES + 2 + CELL_BYTES + len(b"m:q") + 100
"""Bytes that a row of `rows` counts for."""


class Gateway:
    """Remembers the rows of each request."""

    def __init__(self) -> None:
        self.requests: list[list[bytes]] = []

    def mutateRowsTs(self, _table: bytes, batches: Sequence[Any], *_: object) -> None:  # noqa: N802 - Thrift's name
        self.requests.append([batch.row for batch in batches])


def rows(count: int) -> list[RowMutation]:
    return [RowMutation(b"%02d" % number, [(Family.MESSAGES, b"q", bytes(100))]) for number in range(count)]


def put(count: int, most_bytes: int | None) -> list[int]:
    """How many rows each request holds."""
    gateway: Any = Gateway()
    put_rows(gateway, TABLE, rows(count), 1, most_bytes)
    assert [row for request in gateway.requests for row in request] == [row for row, _ in rows(count)]
    return [len(request) for request in gateway.requests]


def test_without_frames_a_write_is_one_request() -> None:
    assert put(5, None) == [5]


@pytest.mark.parametrize(("spare", "expected"), [(0, [2, 2, 1]), (-1, [1, 1, 1, 1, 1]), (10_000, [5])])
def test_a_request_holds_as_many_whole_rows_as_fit(spare: int, expected: list[int]) -> None:
    assert put(5, CALL_BYTES + len(TABLE) + 2 * ROW + spare) == expected


def test_deletes_are_cut_as_well() -> None:
    gateway: Any = Gateway()
    deletes = [RowDelete(b"%02d" % number, [(Family.MESSAGES, b"q")]) for number in range(3)]
    delete_columns(gateway, TABLE, deletes, 1, CALL_BYTES + len(TABLE) + 100)
    assert gateway.requests == [[b"00"], [b"01"], [b"02"]]


def test_where_one_row_does_not_fit_nothing_is_sent() -> None:
    gateway: Any = Gateway()
    with pytest.raises(StoreUnavailable, match=r"hbase\.frame_bytes"):
        put_rows(gateway, TABLE, [*rows(1), RowMutation(b"r", [(Family.MESSAGES, b"q", bytes(3000))])], 1, 2000)
    assert gateway.requests == []


def test_a_row_that_just_fits_is_sent() -> None:
    assert put(2, CALL_BYTES + len(TABLE) + ROW) == [1, 1]
