"""What makes and describes a table: a gateway of Thrift1, as the store uses, and one of Thrift2 if there is any."""

import time
from typing import Final, NamedTuple

from msgspec.structs import replace

from rowbox.hbase_schema.table_diff import LiveTable
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.hbase_schema.thrift.calls import CREATE_TIMEOUT_MS
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.spoken import require_same_wire, spoken_by
from rowbox.hbase_schema.thrift.thrift1 import Thrift1
from rowbox.hbase_schema.thrift.thrift2 import THRIFT1, THRIFT2, Thrift2, identify
from rowbox.hbase_schema.thrift.wire import DEFAULT, Wire
from rowbox.mailbox.errors import StoreUnavailable, StoreUnusable
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings

_POLL_S: Final = 0.1


class TableAdmin(NamedTuple):
    """One table, by the gateways through which an operator's verbs reach it.

    `thrift2` is None where only Thrift1 answers: then a table is made without splits and encoding.
    """

    table: str
    thrift1: Thrift1
    thrift2: Thrift2 | None

    def describe(self) -> LiveTable | None:
        """The table as it is now, in as much detail as the gateways show. None where there is none."""
        return self.thrift2.describe(self.table) if self.thrift2 else self.thrift1.describe()

    def create(self, plan: TablePlan) -> None:
        """Makes the table, unless there is one of that name or another process makes it. Returns when it can be read
        and written.

        StoreUnavailable where it cannot be used within CREATE_TIMEOUT_MS.
        """
        (self.thrift2 or self.thrift1).create(plan)
        deadline = time.monotonic() + CREATE_TIMEOUT_MS / 1000
        while not self.thrift1.is_enabled():
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"table {self.table} is there, and is still not enabled")
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Closes the connections."""
        self.thrift1.close()
        if self.thrift2:
            self.thrift2.close()


def first_thrift1(hbase: HBaseAddress, settings: HBaseSettings) -> Thrift1:
    """The first gateway of the store that answers.

    StoreUnavailable, naming each gateway, where none answers. StoreUnusable where it speaks Thrift2, or another
    transport or protocol than the settings say (hbase_schema/thrift/spoken.py).
    """
    failures = []
    for address in hbase.gateways:
        try:
            protocol = identify(address, settings).protocol
        except StoreUnavailable as error:
            failures.append(str(error))
            continue
        if protocol == THRIFT2:
            raise StoreUnusable(f"gateway {_name(address)} speaks Thrift2; --store names gateways of Thrift1")
        return Thrift1(address, hbase.table, settings)
    require_same_wire(hbase.gateways, settings)
    raise StoreUnavailable("; ".join(failures))


def thrift2_at(address: Address, settings: HBaseSettings) -> Thrift2:
    """The Thrift2 gateway at `address`. Its transport and protocol are found out, because the settings name Thrift1's.

    StoreUnavailable where it does not answer. StoreUnusable where it speaks Thrift1, or no Thrift in the clear.
    """
    speaking = _speaking(settings, DEFAULT)  # a gateway that speaks otherwise ends such a call at once
    try:
        protocol = identify(address, speaking).protocol
    except StoreUnavailable:
        spoken = spoken_by(address, speaking)
        if not isinstance(spoken, Wire):
            require_same_wire([address], speaking)
            raise
        speaking = _speaking(settings, spoken)
        protocol = identify(address, speaking).protocol
    if protocol == THRIFT1:
        raise StoreUnusable(f"gateway {_name(address)} speaks Thrift1, not Thrift2")
    return Thrift2(address, speaking)


def _speaking(settings: HBaseSettings, wire: Wire) -> HBaseSettings:
    return replace(settings, transport=wire.transport, protocol=wire.protocol)


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
