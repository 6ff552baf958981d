"""A Thrift2 gateway: makes tables with splits and encodings, which Thrift1 cannot, and describes them in full."""

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import thriftpy2
from thriftpy2.thrift import TClient

from rowbox.hbase_schema.table_diff import LiveTable
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.hbase_schema.thrift.calls import CREATE_TIMEOUT_MS, GatewayCalls
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.errors import HBaseRefused
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import HBaseSettings

_IDL: Final = thriftpy2.load(
    str(Path(__file__).with_name("thrift2.thrift")), module_name="rowbox.hbase_schema.thrift.thrift2_thrift"
)
THRIFT1: Final = 1
THRIFT2: Final = 2
_DEFAULT_NAMESPACE: Final = "default"
FRAMED_SPLITS: Final = (
    "a framed Thrift2 gateway of HBase cannot split a table that it makes: it takes its whole request for each key. "
    "Start one that is not framed (hbase thrift2 start, without -f) and name it with --thrift2; once is enough"
)
"""HBase 2.6's ThriftUtilities.splitKeyFromThrift takes `array()` of buffers that are slices of the frame."""


class GatewayIdentity(NamedTuple):
    """Which protocol a gateway speaks (THRIFT1, THRIFT2), and for which cluster; None where it is too old to say."""

    protocol: int | None
    cluster_id: str | None


def identify(address: Address, settings: HBaseSettings) -> GatewayIdentity:
    """What the gateway at `address`, of either kind, says of itself. StoreUnavailable where it does not answer."""
    with closing(GatewayCalls(address, partial(TClient, _IDL.Identity), settings)) as calls:
        protocol, cluster_id = _asked(calls, "getThriftServerType"), _asked(calls, "getClusterId")
        return GatewayIdentity(protocol, cluster_id and cluster_id.decode())


def _asked(calls: GatewayCalls, call: str) -> Any:
    try:
        return calls.call(call)
    except HBaseRefused:
        return None


class Thrift2:
    """The tables of a cluster, through one Thrift2 gateway. Its calls raise as GatewayCalls."""

    def __init__(self, address: Address, settings: HBaseSettings) -> None:
        self._is_framed = settings.transport == "framed"
        self._calls = GatewayCalls(address, partial(TClient, _IDL.THBaseService), settings)

    def describe(self, table: str) -> LiveTable | None:
        """The table as it stands; None: there is none."""
        if not self._calls.call("tableExists", _table_name(table)):
            return None
        descriptor = self._calls.call("getTableDescriptor", _table_name(table))
        families = {family.name.decode(): _decoded(family.attributes) for family in descriptor.columns}
        locations = self._calls.call("getAllRegionLocations", table.encode())
        return LiveTable(families, tuple(sorted(location.regionInfo.startKey for location in locations)))

    def create(self, plan: TablePlan) -> bool:
        """Makes the table, all of it as planned; False: there is one of that name already.

        StoreUnusable, and nothing is made: the gateway is framed, and would split the table at the wrong keys.
        """
        if self._is_framed and plan.split_points:
            raise StoreUnusable(FRAMED_SPLITS)
        families = [
            _IDL.TColumnFamilyDescriptor(family.encode(), {k.encode(): v.encode() for k, v in attributes.items()})
            for family, attributes in plan.families.items()
        ]
        descriptor = _IDL.TTableDescriptor(_table_name(plan.table), families)
        try:
            splits = list(plan.split_points)
            self._calls.call("createTable", descriptor, splits, writes=True, timeout_ms=CREATE_TIMEOUT_MS)
        except HBaseRefused as error:
            if error.exception == "TableExistsException":
                return False
            raise
        return True

    def close(self) -> None:
        """Gives the connection back."""
        self._calls.close()


def _table_name(table: str) -> Any:
    namespace, _, name = table.rpartition(":")
    return _IDL.TTableName((namespace or _DEFAULT_NAMESPACE).encode(), name.encode())


def _decoded(attributes: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in attributes.items()}
