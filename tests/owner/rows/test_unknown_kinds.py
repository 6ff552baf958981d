"""An owner that takes over from a newer Rowbox: cells of kinds that it does not know are passed over, and counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import log_qualifier, row_key
from rowbox.mailbox.cells import FenceCell
from rowbox.mailbox.check.findings import Code
from rowbox.mailbox.fence import is_valid, newest
from tests.checking import findings_of
from tests.support.cluster import SHARDS, Cluster, cluster, parsed
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
ANN = row_key("ann", SHARDS)
AHEAD_US = 5_000_000
"""How far before the clock the newer owner's change stands: whoever does not count it gives its version again."""


class Newer:
    """What a newer owner of ann's row wrote last: a wish of a user, say, with a log entry that names no message."""

    def __init__(self, servers: Cluster) -> None:
        self.servers = servers
        self.epoch = servers.node.owner.table.grant_of("ann").epoch
        self.version = servers.clock.now_us() + AHEAD_US

    async def write(self, *, with_state_before: bool = True) -> None:
        before = [self.version - 7, self.epoch, "eve", False] if with_state_before else None
        state = msgspec.msgpack.encode([[self.version, self.epoch, "eve", True, {"more": 1}], before])
        change = msgspec.msgpack.encode([77, "eve"])
        qualifier = b"W" + b"eve" + self.epoch.to_bytes(8, "big")
        puts = [
            Put(Family.INDEX, qualifier, state),
            Put(Family.LOG, log_qualifier(self.version, self.epoch), change),
        ]
        await self.servers.store.mutate([RowMutation(ANN, puts)], self.servers.clock.now_ms())


@asynccontextmanager
async def replaced(*, late: bool) -> AsyncIterator[Newer]:
    """A newer owner wrote, stopped, and one of today took over."""
    async with cluster(late=late) as servers:
        await servers.node.send("bob", "ann", "before", "c1")
        await servers.quiet()
        newer = Newer(servers)
        await newer.write(with_state_before=late)
        await servers.restart()
        yield newer


@both_kinds
@virtual_time
async def test_the_version_of_an_unknown_change_is_not_given_again(late: bool) -> None:
    async with replaced(late=late) as newer:
        node = newer.servers.node
        sent = await node.send("ann", "bob", "after", "c2")
        assert sent.last_updated_timestamp > newer.version


@both_kinds
@virtual_time
async def test_a_row_with_unknown_kinds_is_read_and_written_as_ever(late: bool) -> None:
    async with replaced(late=late) as newer:
        node = newer.servers.node
        await node.send("ann", "bob", "after", "c2")
        await newer.servers.quiet()
        for page in (await node.messages("ann"), await node.messages("ann", page_size=1, page_number=1)):
            assert [item["messageContent"] for item in parsed(page)][-1] == "before"
        (conversation,) = parsed(await node.conversations("ann"))
        assert conversation["snippet"] == "after"


@virtual_time
async def test_what_a_newer_owner_wrote_still_counts_after_it_was_replaced() -> None:
    async with replaced(late=True) as newer:
        await newer.servers.node.send("ann", "bob", "after", "c2")
        columns = (await newer.servers.store.get_row(ANN, (Family.INDEX,)))[Family.INDEX]
        cells = [codec.decode_index(*column) for column in columns]
        fence = newest(cell.fence for cell in cells if isinstance(cell, FenceCell))
        assert fence[-1].epoch > newer.epoch
        assert is_valid(fence, newer.epoch, newer.version)


@both_kinds
@virtual_time
async def test_the_check_names_unknown_kinds_and_finds_nothing_else(late: bool) -> None:
    async with replaced(late=late) as newer:
        servers = newer.servers
        await servers.node.send("ann", "bob", "after", "c2")
        await servers.quiet()
        await servers.node.process.call(servers.node.owner.cleaner.flush())
        found = await findings_of(servers.store, servers.settings, servers.clock.now_us())
        assert {(finding.code, finding.user_id) for finding in found} == {(Code.UNKNOWN_KIND, "ann")}
        assert [text.split(": ")[0] for _, _, text in found] == [
            "the row has 1 index cells of kind b'W'",
            "the row has 1 log entries of kind 77",
        ]
