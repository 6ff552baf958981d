"""Compares a live table with its plan: what differs, which differences break the protocol, and what no gateway showed.

Pure. Three things may differ and are not reported: the compression, which the operator chooses; the number of regions,
which grows by itself; and every region's boundary but the one before `meta/`.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START
from rowbox.hbase_schema.table_plan import Attributes, TablePlan

ESSENTIAL: Final = frozenset({"VERSIONS", "MIN_VERSIONS", "KEEP_DELETED_CELLS", "TTL"})
"""The attributes that decide which cells exist. All others matter for speed only."""
_FREE: Final = frozenset({"COMPRESSION"})


class LiveTable(NamedTuple):
    """A table as a gateway describes it. An attribute that the gateway's protocol does not show is missing."""

    families: Mapping[str, Attributes]
    region_starts: tuple[bytes, ...]


class Difference(NamedTuple):
    """One way in which a live table is not as planned."""

    what: str
    found: str
    planned: str
    is_essential: bool
    """Whether mailboxes must not be served from the table because of this difference."""
    remedy: str = ""
    """The line for HBase's shell that ends the difference; "" where no line does."""

    def __str__(self) -> str:
        return f"{self.what}: {self.found}, planned {self.planned}"


def differences(plan: TablePlan, live: LiveTable) -> list[Difference]:
    """Each thing in which the live table is not as planned, families in their order."""
    found = list(_families(plan, live))
    if META_START not in live.region_starts:
        remedy = f"split '{plan.table}', '{META_START.decode()}'"
        found.append(Difference("regions", "none begins at meta/", "one of its own", is_essential=False, remedy=remedy))
    return found


def not_shown(plan: TablePlan, live: LiveTable) -> list[str]:
    """The planned attributes that the gateway showed of no family, so that nobody knows whether they are right."""
    shown = {name for attributes in live.families.values() for name in attributes}
    return sorted({name for attributes in plan.families.values() for name in attributes} - shown - _FREE)


def _families(plan: TablePlan, live: LiveTable) -> Iterator[Difference]:
    for family, planned in plan.families.items():
        if family not in live.families:
            yield Difference(f"family {family}", "absent", "present", is_essential=True)
        else:
            yield from _attributes(plan.table, family, planned, live.families[family])
    for name in sorted(live.families.keys() - plan.families.keys()):
        yield Difference(f"family {name}", "present", "absent", is_essential=True)


def _attributes(table: str, family: Family, planned: Attributes, live: Attributes) -> Iterator[Difference]:
    for name, value in planned.items():
        found = live.get(name, value)
        if name not in _FREE and found.upper() != value.upper():
            remedy = f"alter '{table}', {{NAME => '{family}', {name} => '{value}'}}"
            yield Difference(f"{family}.{name}", found, value, is_essential=name in ESSENTIAL, remedy=remedy)
