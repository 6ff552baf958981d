"""`rowbox shards`: who owns which shard, and moving them by hand."""

import asyncio
from collections.abc import Iterator

import click
import orjson
from rich.table import Table

from rowbox.cacheserver.shardmap.desk import Seen
from rowbox.cacheserver.shardmap.edits import moved, pinned, require_shards, shards_named
from rowbox.cacheserver.shardmap.plan import rebalanced
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cli.options import with_settings
from rowbox.cli.tables import printed
from rowbox.cli.verbs.cluster.confirmed import change, with_confirmation
from rowbox.cli.verbs.cluster.handle import opened_desk
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.settings.config import LoadedSettings, Settings

_with_store = with_settings("server.data_dir", "store.url")
_shards = click.argument("shards", nargs=-1, required=True, metavar="SHARD...")
_json = click.option("--json", "as_json", is_flag=True, help="JSON.")


@click.group()
def command() -> None:
    """Show who owns which shard, and move shards by hand.

    A SHARD is a number, or a range as 7-12.
    """


@command.command("ls")
@_with_store
@click.option("--node", "node_id", metavar="NODE", help="Only those that this node owns or is to get.")
@click.option("--moving", is_flag=True, help="Only those on the move.")
@_json
def list_shards(loaded: LoadedSettings, node_id: str | None, *, moving: bool, as_json: bool) -> None:
    """List the shards in runs that have one owner. Reads the map in the store, and writes nothing."""
    shard_map = asyncio.run(_look(loaded.settings)).map
    rows = [row for row in _runs(shard_map) if node_id in (None, row["owner"], row["movingTo"])]
    rows = [row for row in rows if row["movingTo"] is not None or not moving]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    table = Table("shards", "owner", "since version", "moving to", "pinned to")
    for row in rows:
        first, last = row["first"], row["last"]
        cells = [row["owner"] or "NOBODY", str(row["since"]), row["movingTo"] or "", row["pinnedTo"] or ""]
        table.add_row(str(first) if first == last else f"{first}-{last}", *map(str, cells))
    click.echo(printed(table), nl=False)


@command.command("show")
@click.argument("shard", type=int, metavar="SHARD")
@_with_store
@_json
def show_shard(loaded: LoadedSettings, shard: int, *, as_json: bool) -> None:
    """Show one SHARD. Reads the map in the store, and writes nothing."""
    _print_shard(asyncio.run(_look(loaded.settings)).map, shard, as_json=as_json)


@command.command("where")
@click.argument("user", metavar="USER")
@_with_store
@_json
def where(loaded: LoadedSettings, user: str, *, as_json: bool) -> None:
    """Show the shard of a USER, and who owns it. Reads the map in the store, and writes nothing."""
    shard_map = asyncio.run(_look(loaded.settings)).map
    user_id = user_meant(loaded.settings.auth, user, "USER")
    _print_shard(shard_map, shard_of(user_id, shard_map.shards), as_json=as_json)


@command.command("move")
@_shards
@click.option("--to", "node_id", required=True, metavar="NODE", help="The node that is to own them.")
@click.option("--pin", is_flag=True, help="Keep them there, whatever the plan says.")
@_with_store
@with_confirmation
def move(loaded: LoadedSettings, shards: tuple[str, ...], node_id: str, *, pin: bool, dry_run: bool, yes: bool) -> None:
    """Have the owners of SHARDs give them to a node, warm. No request fails. Reads and writes the map in the store.

    Without --pin a later plan may move them on, when a node joins or leaves.
    """
    numbers = shards_named(shards)
    move_them, pin_them = moved(numbers, node_id), pinned(numbers, node_id)

    def edit(seen: Seen) -> ShardMap | None:
        after = move_them(seen)
        if not pin:
            return after
        also = pin_them(seen if after is None else seen._replace(map=after))
        return after if also is None else also

    change(loaded.settings, "shards move", edit, dry_run=dry_run, yes=yes)


@command.command("pin")
@_shards
@click.option("--to", "node_id", required=True, metavar="NODE", help="The node that is to own them while it lives.")
@_with_store
@with_confirmation
def pin(loaded: LoadedSettings, shards: tuple[str, ...], node_id: str, *, dry_run: bool, yes: bool) -> None:
    """Keep SHARDs at a node while it lives: the plan moves them there.

    Reads and writes the map in the store.
    """
    change(loaded.settings, "shards pin", pinned(shards_named(shards), node_id), dry_run=dry_run, yes=yes)


@command.command("unpin")
@_shards
@_with_store
@with_confirmation
def unpin(loaded: LoadedSettings, shards: tuple[str, ...], *, dry_run: bool, yes: bool) -> None:
    """Let the plan place SHARDs again. They stay where they are until it has a reason.

    Reads and writes the map in the store.
    """
    change(loaded.settings, "shards unpin", pinned(shards_named(shards), None), dry_run=dry_run, yes=yes)


@command.command("rebalance")
@click.option("--at-once", type=click.IntRange(1), default=64, show_default=True, help="Shards on the move, at most.")
@_with_store
@with_confirmation
def rebalance(loaded: LoadedSettings, *, at_once: int, dry_run: bool, yes: bool) -> None:
    """Begin the moves of the plan now, also where servers hold them back. Reads and writes the map in the store.

    Servers begin them by themselves, a few at a time, once every shard has an owner and the store is not slow.
    """
    change(loaded.settings, "shards rebalance", lambda seen: rebalanced(seen.map, at_once), dry_run=dry_run, yes=yes)


async def _look(settings: Settings) -> Seen:
    async with opened_desk(settings, "shards") as desk:
        return await desk.look()


def _print_shard(shard_map: ShardMap, shard: int, *, as_json: bool) -> None:
    require_shards(shard_map, [shard])
    owner, target = shard_map.owner_of(shard), shard_map.target_of(shard)
    fields = {
        "shard": shard,
        "owner": None if owner is None else owner.node_id,
        "incarnation": None if owner is None else owner.incarnation,
        "peer": None if owner is None else owner.peer,
        "since": shard_map.since[shard],
        "movingTo": None if target is None else target.node_id,
        "pinnedTo": shard_map.pins.get(shard),
        "mapVersion": shard_map.version,
    }
    if as_json:
        click.echo(orjson.dumps(fields, option=orjson.OPT_INDENT_2))
        return
    for name, value in fields.items():
        click.echo(f"{name:<12} {'-' if value in (None, '') else value}")


def _runs(shard_map: ShardMap) -> Iterator[dict[str, int | str | None]]:
    """Adjacent shards that do not differ in what is shown of them."""
    run: dict[str, int | str | None] | None = None
    for shard in range(shard_map.shards):
        owner, target = shard_map.owner_of(shard), shard_map.target_of(shard)
        shown: dict[str, int | str | None] = {
            "owner": None if owner is None else owner.node_id,
            "since": shard_map.since[shard],
            "movingTo": None if target is None else target.node_id,
            "pinnedTo": shard_map.pins.get(shard),
        }
        if run is not None and shown.items() <= run.items():
            run["last"] = shard
            continue
        if run is not None:
            yield run
        run = {"first": shard, "last": shard, **shown}
    if run is not None:
        yield run
