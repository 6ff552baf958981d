"""Three cache servers, two API servers, Redis and HBase fail one after the other: nothing confirmed is lost."""

from pathlib import Path

import pytest

from tests.integration.cluster.support.fleet import TOOLS, running_fleet
from tests.integration.cluster.support.rounds import SMALL, Rounds
from tests.integration.support.chat import seeded_random
from tests.integration.support.hbase_server import QUICK_LEASE, made_store_on
from tests.support.hbase_cluster import HBaseCluster

pytestmark = [pytest.mark.integration, pytest.mark.tools(*TOOLS)]

SECONDS = 30.0
"""Each kind of fault comes at least once, however long that takes."""
USERS = 12


@pytest.mark.timeout(900)
async def test_nothing_confirmed_is_lost_doubled_or_misordered(hbase_cluster: HBaseCluster, tmp_path: Path) -> None:
    """`make chaos` runs it for longer, and kills region servers too."""
    random = seeded_random()
    with made_store_on(hbase_cluster) as store:
        async with running_fleet(hbase_cluster.hbase, store, tmp_path, QUICK_LEASE | SMALL, pushes=True) as fleet:
            print(await Rounds(fleet, hbase_cluster, random).play(USERS, SECONDS))  # noqa: T201
