"""An owner that cannot know that it was replaced: it answers nothing, and what it wrote late counts nowhere (P5, P6).

Each is shown to be noticed by a server with the rule switched off.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.hbase_schema.keys import row_key
from tests.integration.cluster.support.fleet import TOOLS, Fleet, Machine, running_fleet
from tests.integration.support import mutants
from tests.integration.support.client import UNKNOWN_OUTCOME, Client, Refused
from tests.integration.support.hbase_server import QUICK_LEASE, SHARDS, made_store, opened, until_answered
from tests.integration.support.server_process import DEADLINE_S
from tests.support.hbase_cluster import HBase

pytestmark = [pytest.mark.integration, pytest.mark.tools(*TOOLS), pytest.mark.timeout(400)]

ANNS_ROW = row_key("ann", SHARDS)


class Island(NamedTuple):
    """ben's owner and an API server, which reach each other, their clients and nothing else."""

    fleet: Fleet
    owner: Machine
    api: Machine
    mainland: Machine
    """The API server that reaches everything else."""

    def ben(self, api: Machine) -> Client:
        return self.fleet.client("ben", api)


@asynccontextmanager
async def island(hbase: HBase, folder: Path, rule_off: str | None = None) -> AsyncIterator[Island]:
    """Ann's message "before" is confirmed before the cut, and "after" by the rest of the cluster after it."""
    every = [f"cache-{number}" for number in range(1, 4)]
    commands: Mapping[str, Sequence[str]] = dict.fromkeys(every, mutants.command(rule_off)) if rule_off else {}
    with made_store(hbase) as store:
        async with running_fleet(hbase, store, folder, QUICK_LEASE, commands=commands) as fleet:
            await fleet.shared()
            api, mainland = fleet.apis
            owner = await fleet.owner_of("ben")
            await fleet.client("ann", mainland).send("ben", "before", "before")
            assert await texts(fleet.client("ben", api)) == ["before"]
            alone = {owner.place, api.place}
            for place in set(fleet.network.places) - alone:
                for one in alone:
                    await fleet.network.part(one, place)
            yield Island(fleet, owner, api, mainland)


async def texts(client: Client) -> list[str]:
    return [message.message_content for message in await client.all_messages()]


async def outcome(client: Client) -> list[str] | None:
    """What its mailbox is said to hold; None where nothing is said."""
    try:
        return await texts(client)
    except (Refused, *UNKNOWN_OUTCOME):
        return None


async def replaced(island: Island) -> None:
    """Returns when the rest of the cluster has delivered "after" to ben."""
    ann = island.fleet.client("ann", island.mainland)
    async with asyncio.timeout(2 * DEADLINE_S):
        while True:
            try:
                if not (await ann.send("ben", "after", "after")).pending_recipients:
                    break
            except (Refused, *UNKNOWN_OUTCOME):
                pass
    assert await texts(island.ben(island.mainland)) == ["after", "before"]


async def test_it_answers_nothing_while_another_one_owns(hbase: HBase, tmp_path: Path) -> None:
    async with island(hbase, tmp_path) as cut_off:
        await replaced(cut_off)
        assert await outcome(cut_off.ben(cut_off.api)) is None
        await cut_off.fleet.network.heal()
        await until_answered(lambda: cut_off.ben(cut_off.api).messages())
        assert await texts(cut_off.ben(cut_off.api)) == ["after", "before"]


async def test_one_that_does_not_look_at_its_lease_is_found_out(hbase: HBase, tmp_path: Path) -> None:
    async with island(hbase, tmp_path, "without-lease") as cut_off:
        await replaced(cut_off)
        assert await outcome(cut_off.ben(cut_off.api)) == ["before"]


@asynccontextmanager
async def late_write(hbase: HBase, folder: Path, rule_off: str | None = None) -> AsyncIterator[Fleet]:
    """A send of ann waits in her owner's connection when that is replaced; she sends again, and then it lands."""
    every = [f"cache-{number}" for number in range(1, 4)]
    commands: Mapping[str, Sequence[str]] = dict.fromkeys(every, mutants.command(rule_off)) if rule_off else {}
    with made_store(hbase) as store:
        async with running_fleet(hbase, store, folder, QUICK_LEASE, commands=commands) as fleet:
            await fleet.shared()
            owner, ann = await fleet.owner_of("ann"), fleet.client("ann")
            await ann.send("ann", "before", "before")
            await fleet.network.cut(owner.place, fleet.store)
            await until_answered(lambda: ann.send("ann", "late", "late"))
            assert await fleet.owner_of("ann") != owner
            async with opened(fleet.settings) as beside_it:
                beside = RowCells(beside_it, ignore)
                known = {cell.message_id async for (cell, *_) in beside.messages(ANNS_ROW)}
                await fleet.network.heal()
                async with asyncio.timeout(DEADLINE_S):
                    while known.issuperset([cell.message_id async for (cell, *_) in beside.messages(ANNS_ROW)]):
                        pass
            fleet.kill()
            await fleet.ended()
            await fleet.start()
            yield fleet


async def test_what_it_wrote_late_counts_nowhere(hbase: HBase, tmp_path: Path) -> None:
    async with late_write(hbase, tmp_path) as fleet:
        assert await texts(fleet.client("ann")) == ["late", "before"]


async def test_servers_that_go_by_no_claims_are_found_out(hbase: HBase, tmp_path: Path) -> None:
    async with late_write(hbase, tmp_path, "without-fence") as fleet:
        assert await texts(fleet.client("ann")) == ["late", "late", "before"]
