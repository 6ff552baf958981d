"""HBase's Thrift1 interface, as happybase brings it: its calls, and what they take and give.

The one module that knows happybase: its Table, its pool and its connection are not used (docs/adr/0012, 0042).
"""
# mypy: allow-untyped-calls

from collections.abc import Sequence
from typing import Any

from happybase.batch import BatchMutation, Mutation
from happybase.connection import ColumnDescriptor, Hbase
from happybase.table import TScan
from thriftpy2.thrift import TClient

from rowbox.hbase_schema.thrift.sequenced import CrossedReply

__all__ = ["BatchMutation", "ColumnDescriptor", "Mutation", "TScan", "Thrift1Client", "only_row"]


class Thrift1Client(TClient):
    """All calls of Thrift1, as methods under their names in HBase's interface definition, and one made of two."""

    def __init__(self, protocol: Any) -> None:
        super().__init__(Hbase, protocol)

    def last_rows(self, scanner: int, limit: int) -> list[Any]:
        """Up to `limit` rows of a scanner, which is closed: two requests in one round trip."""
        self._send("scannerGetList", id=scanner, nbRows=limit)
        self._send("scannerClose", id=scanner)
        rows: list[Any] = self._recv("scannerGetList")
        self._recv("scannerClose")
        return rows


def only_row(replied: Sequence[Any], row: bytes) -> dict[bytes, Any]:
    """The cells of the one row that was asked for, by their columns' names; a missing row is no row at all.

    CrossedReply: another row came.
    """
    if not replied:
        return {}
    if len(replied) != 1 or replied[0].row != row:
        raise CrossedReply("another row than was asked for")
    cells: dict[bytes, Any] = replied[0].columns
    return cells
