"""`make chaos`: chaos for as long as one likes, in rounds of a few minutes, each with users of its own, and judged.

Between two rounds all servers are stopped and started. The first breach ends it.
"""

import asyncio
import tempfile
from pathlib import Path

import click

from tests.integration.cluster.support.fleet import running_fleet
from tests.integration.cluster.support.rounds import SMALL, Rounds
from tests.integration.support.chat import seeded_random
from tests.integration.support.hbase_server import QUICK_LEASE, made_store_on
from tests.support.hbase_cluster import HBaseCluster, running_cluster

REGIONS = 8
"""So that both region servers have some."""


@click.command
@click.option("--minutes", default=5.0, show_default=True, help="How long things go wrong, in all.")
@click.option("--round-seconds", default=150.0, show_default=True, help="Faults of one round, before the verdict.")
@click.option("--users", default=12, show_default=True, help="Users of a round.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the data lie meanwhile.")
def main(minutes: float, round_seconds: float, users: int, folder: Path | None) -> None:
    """Break a cluster of real processes, and judge what its clients were told."""
    with (
        tempfile.TemporaryDirectory(prefix="rowbox-chaos-", dir=folder) as name,
        running_cluster(Path(name) / "hbase", region_servers=2, gateways=2) as hbase,
    ):
        asyncio.run(_rounds(hbase, Path(name), minutes * 60, round_seconds, users))


async def _rounds(hbase: HBaseCluster, folder: Path, seconds: float, round_seconds: float, users: int) -> None:
    random = seeded_random()
    with made_store_on(hbase, regions=REGIONS) as store:
        async with running_fleet(hbase.hbase, store, folder, QUICK_LEASE | SMALL) as fleet:
            rounds = Rounds(fleet, hbase, random, region_servers=True)
            click.echo(f"round 1: {await rounds.play(users, round_seconds)}")
            while rounds.done.seconds < seconds:
                await fleet.start()
                done = await rounds.play(users, round_seconds)
                click.echo(f"round {rounds.number}: {done}")
            click.echo(f"{rounds.number} rounds without a breach, in all {rounds.done}")


if __name__ == "__main__":
    main()
