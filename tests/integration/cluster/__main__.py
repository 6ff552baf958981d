"""`make chaos`: chaos for as long as one likes, in rounds of a few minutes, each with users of its own, and judged.

Between two rounds all servers are stopped and started. The first breach ends it.
"""

import asyncio
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from tests.integration.cluster.support.fleet import running_fleet
from tests.integration.cluster.support.kill_sockets import kill_under_sockets
from tests.integration.cluster.support.owner_kill import Killed, kill_an_owner
from tests.integration.cluster.support.rounds import SMALL, Rounds
from tests.integration.cluster.support.steady import percentile
from tests.integration.support.chat import seeded_random
from tests.integration.support.hbase_server import QUICK_LEASE, made_store_on
from tests.support.hbase_cluster import HBaseCluster, running_cluster

REGIONS = 8
"""So that both region servers have some."""


@click.command
@click.option("--minutes", default=5.0, show_default=True, help="How long things go wrong, in all.")
@click.option("--round-seconds", default=150.0, show_default=True, help="Faults of one round, before the verdict.")
@click.option("--users", default=12, show_default=True, help="Users of a round.")
@click.option("--owner-kills", type=int, metavar="N", help="Instead: kill an owner N times, and measure its users.")
@click.option("--sockets", type=int, metavar="N", help="Instead: kill an owner and an API server under N sockets.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the data lie meanwhile.")
def main(
    minutes: float, round_seconds: float, users: int, owner_kills: int | None, sockets: int | None, folder: Path | None
) -> None:
    """Break a cluster of real processes, and judge what its clients were told."""
    with (
        tempfile.TemporaryDirectory(prefix="rowbox-chaos-", dir=folder) as name,
        running_cluster(Path(name) / "hbase", region_servers=2, gateways=2) as hbase,
    ):
        if owner_kills is not None:
            asyncio.run(_owner_kills(hbase, Path(name), owner_kills))
        elif sockets is not None:
            asyncio.run(_sockets(hbase, Path(name), sockets))
        else:
            asyncio.run(_rounds(hbase, Path(name), minutes * 60, round_seconds, users))


async def _rounds(hbase: HBaseCluster, folder: Path, seconds: float, round_seconds: float, users: int) -> None:
    random = seeded_random()
    with made_store_on(hbase, regions=REGIONS) as store:
        async with running_fleet(hbase.hbase, store, folder, QUICK_LEASE | SMALL, pushes=True) as fleet:
            rounds = Rounds(fleet, hbase, random, region_servers=True)
            click.echo(f"round 1: {await rounds.play(users, round_seconds)}")
            while rounds.done.seconds < seconds:
                await fleet.start()
                done = await rounds.play(users, round_seconds)
                click.echo(f"round {rounds.number}: {done}")
            click.echo(f"{rounds.number} rounds without a breach, in all {rounds.done}")


async def _owner_kills(hbase: HBaseCluster, folder: Path, kills: int) -> None:
    """With the settings that a server has by default."""
    random = seeded_random()
    done: list[Killed] = []
    with made_store_on(hbase, regions=REGIONS) as store:
        async with running_fleet(hbase.hbase, store, folder, {}) as fleet:
            while len(done) < kills:
                done.append(await kill_an_owner(fleet, random))
                click.echo(f"kill {len(done)}: {_told(done[-1:])}")
    click.echo(f"{kills} kills: {_told(done)}")


async def _sockets(hbase: HBaseCluster, folder: Path, sockets: int) -> None:
    """With the settings that a server has by default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket and a request for each user, and their servers'
    random = seeded_random()
    with made_store_on(hbase, regions=REGIONS) as store:
        async with running_fleet(hbase.hbase, store, folder, {}) as fleet:
            for one in await kill_under_sockets(fleet, sockets, random):
                hit, others = (_times(moments_s) for moments_s in (one.hit_s, one.others_s))
                click.echo(f"kill -9 of {one.server} under {sockets} sockets: {hit} its users, {others} the others")
                if one.wrong:
                    raise click.ClickException(f"{len(one.wrong)} have not what is there: {one.wrong[:20]}")


def _times(moments_s: Sequence[float]) -> str:
    median_s, p99_s, last_s = (percentile(moments_s, part) for part in (0.5, 0.99, 1.0))
    return f"{median_s:.2f} s (median), {p99_s:.2f} s (p99), {last_s:.2f} s (all) for the {len(moments_s)} of"


def _told(done: Sequence[Killed]) -> str:
    back_s = [moment_s for killed in done for moment_s in killed.back_s]
    median_s, p99_s, last_s = (percentile(back_s, part) for part in (0.5, 0.99, 1.0))
    return (
        f"its {len(back_s)} users were served again within {median_s:.2f} s (median), {p99_s:.2f} s (p99), "
        f"{last_s:.2f} s (all); {sum(len(killed.failed) for killed in done)} of their requests failed, "
        f"{sum(len(killed.others_failed) for killed in done)} of {sum(killed.others for killed in done)} of other users"
    )


if __name__ == "__main__":
    main()
