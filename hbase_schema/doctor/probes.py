"""Tries on a live table what the protocol relies on: timestamps, conditions, deletes, and the servers' clocks.

The probes write to a row of their own, which sorts behind all mailboxes, in a family that expires, so that a doctor
that is killed leaves nothing for ever. A probe judges what the row holds afterwards, never what a call answered.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from rowbox.hbase_schema.doctor.diagnosis import Diagnosis, judged
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START
from rowbox.hbase_schema.thrift.thrift1 import Cell, Thrift1

MAX_CLOCK_SKEW_MS: Final = 10_000
"""How far two clocks may differ. A node whose clock is farther off is not ready, because its cells' timestamps would
hide, or be hidden by, those of the owner before it."""
_FAMILY: Final = Family.DEDUPE
_NOT_HBASE: Final = "this is not how HBase's Thrift1 gateway acts; do not serve from it"

ClockMs = Callable[[], int]


class ProbeRow(NamedTuple):
    """A row that belongs to one run of the doctor."""

    thrift1: Thrift1
    row: bytes

    def put(self, qualifier: bytes, value: bytes, timestamp_ms: int) -> None:
        """Writes the column with the call that the store uses."""
        self.thrift1.put(self.row, _FAMILY, qualifier, Cell(value, timestamp_ms))

    def delete(self, qualifier: bytes, timestamp_ms: int) -> None:
        """Removes the column with the call that the store uses."""
        self.thrift1.delete(self.row, _FAMILY, qualifier, timestamp_ms)

    def check_and_put(self, qualifier: bytes, expected: bytes | None, value: bytes) -> None:
        """Writes the column if it holds `expected`, with the call that the store uses."""
        self.thrift1.check_and_put(self.row, _FAMILY, qualifier, expected, value)

    def cell(self, qualifier: bytes) -> Cell | None:
        """The cell of the column now; None where there is none."""
        return self.thrift1.read(self.row, _FAMILY, [qualifier]).get(qualifier)

    def value(self, qualifier: bytes) -> bytes | None:
        """The value of the column now; None where there is none."""
        cell = self.cell(qualifier)
        return cell.value if cell else None


@contextmanager
def probe_row(thrift1: Thrift1, token: bytes) -> Iterator[ProbeRow]:
    """The row `meta/doctor-<token>`. Its columns are removed in the end, whatever happened."""
    row = ProbeRow(thrift1, META_START + b"doctor-" + token)
    try:
        yield row
    finally:
        for qualifier in _QUALIFIERS:
            if cell := row.cell(qualifier):
                row.delete(qualifier, cell.timestamp_ms)


_STAMP, _CONDITION, _DELETE = _QUALIFIERS = (b"stamp", b"condition", b"delete")


def probe(row: ProbeRow, now_ms: ClockMs) -> Iterator[Diagnosis]:
    """The diagnosis of each probe. A later probe means something only if the earlier ones are well."""
    yield _keeps_timestamps(row, now_ms())
    yield _deletes_up_to(row, now_ms())
    yield _conditions(row)
    yield _clock(row, now_ms)


def _keeps_timestamps(row: ProbeRow, stamp_ms: int) -> Diagnosis:
    """Whether a cell has its call's timestamp, and the put with the greater timestamp wins, whichever runs last."""
    row.put(_STAMP, b"later", stamp_ms)
    row.put(_STAMP, b"earlier", stamp_ms - 1)
    found = row.cell(_STAMP)
    well = found == Cell(b"later", stamp_ms)
    finding = "mutateRowsTs keeps the timestamp it is given, and the greatest stands"
    return judged(well=well, subject="timestamps", finding=finding if well else f"not so: {found}", advice=_NOT_HBASE)


def _deletes_up_to(row: ProbeRow, stamp_ms: int) -> Diagnosis:
    """Whether a delete hides puts up to its own timestamp, also ones that execute after it, and none above it."""
    row.put(_DELETE, b"old", stamp_ms)
    row.delete(_DELETE, stamp_ms)
    row.put(_DELETE, b"late", stamp_ms)
    hidden = row.value(_DELETE)
    row.put(_DELETE, b"new", stamp_ms + 1)
    row.delete(_DELETE, stamp_ms)
    shown = row.value(_DELETE)
    well = (hidden, shown) == (None, b"new")
    finding = "a delete hides what is not newer than itself, and nothing else"
    not_so = f"not so: {hidden!r} and {shown!r} stand"
    advice = f"{_NOT_HBASE} (is NEW_VERSION_BEHAVIOR set?)"
    return judged(well=well, subject="deletes", finding=finding if well else not_so, advice=advice)


def _conditions(row: ProbeRow) -> Diagnosis:
    """Whether a checkAndPut writes where its condition holds, and only there."""
    stood = []
    for expected, value in ((b"other", b"1"), (None, b"2"), (None, b"3"), (b"3", b"4"), (b"2", b"5")):
        row.check_and_put(_CONDITION, expected, value)
        stood.append(row.value(_CONDITION))
    well = stood == [None, b"2", b"2", b"2", b"5"]
    finding = "checkAndPut puts where its condition holds, and only there"
    return judged(well=well, subject="conditions", finding=finding if well else f"not so: {stood}", advice=_NOT_HBASE)


def _clock(row: ProbeRow, now_ms: ClockMs) -> Diagnosis:
    """Compares the region server's clock, which stamps a checkAndPut, with this machine's around the call."""
    before_ms = now_ms()
    row.check_and_put(_CONDITION, row.value(_CONDITION), b"clock")
    after_ms = now_ms()
    cell = row.cell(_CONDITION)
    server_ms = cell.timestamp_ms if cell else 0
    ahead_ms = max(server_ms - after_ms, 0) or min(server_ms - before_ms, 0)
    return judged(
        well=abs(ahead_ms) <= MAX_CLOCK_SKEW_MS,
        subject="clock",
        finding=f"the region server's clock is {ahead_ms:+} ms from this machine's, give or take the call",
        advice=f"let both follow the same time source (at most {MAX_CLOCK_SKEW_MS // 1000} s)",
    )
