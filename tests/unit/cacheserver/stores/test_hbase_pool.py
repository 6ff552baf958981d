"""The pool without any gateway. With one: tests/integration/gateway/test_hbase_faults.py."""

from time import monotonic

import pytest

from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.hbase_schema.thrift.wire import DEFAULT
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable


async def test_a_call_whose_deadline_has_passed_does_not_begin() -> None:
    """A thread comes to it too late, and nobody waits for it any more."""
    pool = HBasePool([("127.0.0.1", 1)], connections=1, call_timeout_ms=1000, idle_ms=1000, wire=DEFAULT)
    with pytest.raises(StoreUnavailable, match="no connection became free") as failure:
        pool._write(lambda client: client.mutateRowsTs(b"t", [], 1, {}), monotonic())
    assert not isinstance(failure.value, StoreOutcomeUnknown)
    assert pool.counters.deadline_misses == 1
    await pool.close()
