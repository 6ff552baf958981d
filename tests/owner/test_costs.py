"""What a send and a load cost a cluster's store: counted at the store, and by the owner's own metrics."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rowbox.cacheserver.owner.samples import owner_samples
from rowbox.cacheserver.stores.port import RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from tests.support.cluster import SHARDS, Node, cluster
from tests.support.virtual_time import virtual_time

ANN, BOB = row_key("ann", SHARDS), row_key("bob", SHARDS)
I, M, L, D, O = Family.INDEX, Family.MESSAGES, Family.LOG, Family.DEDUPE, Family.OUTBOX  # noqa: E741 - their letters
READS = ("get_row", "get_row_within", "get_columns", "get_range", "scan", "scan_rows")


class Calls:
    """Every call that a node makes to its store: its name, and the cells it writes or removes, by row."""

    def __init__(self, node: Node, patch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, dict[bytes, list[Family]]]] = []
        for name in READS:
            self._watch(node, patch, name)
        mutate, delete = node.store.mutate, node.store.delete

        async def watched_mutate(mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
            self.made.append(("mutate", {row: sorted(family for family, _, _ in puts) for row, puts in mutations}))
            await mutate(mutations, timestamp_ms)

        async def watched_delete(deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
            self.made.append(("delete", {row: sorted(family for family, _ in cells) for row, cells in deletes}))
            await delete(deletes, timestamp_ms)

        patch.setattr(node.store, "mutate", watched_mutate)
        patch.setattr(node.store, "delete", watched_delete)

    def _watch(self, node: Node, patch: pytest.MonkeyPatch, name: str) -> None:
        call = getattr(node.store, name)

        async def watched(*arguments: Any, **options: Any) -> Any:
            self.made.append((name, {}))
            return await call(*arguments, **options)

        patch.setattr(node.store, name, watched)


def metrics(node: Node) -> dict[str, float]:
    return {name: value for name, _, _, _, value in owner_samples(node.owner)}


@virtual_time
async def test_a_warm_send_is_two_writes_one_after_the_other_and_nine_cells() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=True) as servers:
            node = servers.node
            for user in ("ann", "bob"):
                await node.conversations(user)
            before, calls = metrics(node), Calls(node, patch)
            assert (await node.send("ann", "bob", "x", "c")).pending_recipients == 0
            assert calls.made == [("mutate", {ANN: [D, I, L, M, O]}), ("mutate", {BOB: [I, L, M]})]
            await asyncio.sleep(1)
            assert calls.made[2:] == [("delete", {ANN: [O]})]
            change = {name: value - before[name] for name, value in metrics(node).items()}
            assert change["rowbox_sends_total"] == 1
            assert change["rowbox_send_store_calls_total"] == 2
            assert change["rowbox_commit_cells_total"] + change["rowbox_cells_removed_total"] == 9


@virtual_time
async def test_sends_that_join_cost_no_more_each() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await asyncio.gather(*(node.send("ann", "bob", str(n), f"c{n}") for n in range(50)))
        await asyncio.sleep(1)
        found = metrics(node)
        assert found["rowbox_sends_total"] == 50
        assert found["rowbox_send_store_calls_total"] == 100
        assert found["rowbox_commit_cells_total"] + found["rowbox_cells_removed_total"] <= 9 * 50


@virtual_time
async def test_a_retry_and_an_embedded_send() -> None:
    async with cluster(late=True) as servers:
        for _ in range(2):
            await servers.node.send("ann", "bob", "x", "c")
        assert metrics(servers.node)["rowbox_sends_total"] == 1
    async with cluster(late=False) as servers:
        await servers.node.send("ann", "bob", "x", "c")
        assert metrics(servers.node)["rowbox_send_store_calls_total"] == 1
        assert metrics(servers.node)["rowbox_commit_cells_total"] == 7


@virtual_time
async def test_a_cold_load_is_one_read_and_one_claim() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=True) as servers:
            for n in range(100):
                await servers.node.send("ann", f"user{n}", "x", f"c{n}")
            await servers.quiet()
            await asyncio.sleep(1)
            node = await servers.restart()
            before, calls = metrics(node), Calls(node, patch)
            page = await node.conversations("ann", page_size=100)
            assert len(page.items) == 100
            mine = [call for call in calls.made if call[0] != "scan_rows"]
            assert mine == [("get_row_within", {}), ("mutate", {ANN: [I]})]
            change = {name: value - before[name] for name, value in metrics(node).items()}
            assert change["rowbox_mailbox_loads_total"] == 1
            assert change["rowbox_load_store_calls_total"] == 2
            assert change["rowbox_folding_reads_total"] == 0
