"""`rowbox ring`: where the shards are among nodes, and what moves when nodes come and go.

Of nodes that are named, without any store; or of those of a cluster, by the map that stands.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import click
import msgspec
import orjson

from rowbox.cacheserver.shardmap.map_body import encode_map
from rowbox.cacheserver.shardmap.placement import may_own, place
from rowbox.cacheserver.shardmap.shard_map import MOST_NODES, NOBODY, ListedNode, ShardMap, empty_map
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.cluster.handle import opened_desk
from rowbox.hbase_schema.keys import MAX_SHARDS
from rowbox.mailbox.settings.config import LoadedSettings, Settings, parse_store_url

_SHARDS: Final = 4096
_MOST_SHOWN: Final = 64
"""Of a table's lines: who simulates more reads the sums, or --json."""


class _Load(msgspec.Struct, frozen=True):
    """What a node has: `of_share` is its load over what its weight entitles it to; 0.0 where it has no share."""

    node: str
    weight: int
    shards: int
    of_share: float
    gets: int = 0
    loses: int = 0


class _Shown(msgspec.Struct, frozen=True):
    """`least` and `most`: over all nodes, the load over the share. `moved_of_all`: the part of all shards."""

    shards: int
    nodes: tuple[_Load, ...]
    least: float
    most: float
    body_bytes: int
    plan_ms: int
    moved: int = 0
    moved_of_all: float = 0.0


class _Base(NamedTuple):
    """Where the shards are to begin with. `stands`: in a store, where they may be elsewhere than they should be."""

    map: ShardMap
    stands: bool


def _node(text: str) -> ListedNode:
    name, colon, weight = text.rpartition(":")
    if not colon:
        name, weight = text, "100"
    if not name or not weight.isdecimal() or not 1 <= int(weight) <= 10_000:
        raise click.UsageError(f"{text!r} is no node: its id, and perhaps :WEIGHT from 1 to 10000 (100: ordinary)")
    return ListedNode(name, name, weight=int(weight))


def _base(settings: Settings, nodes: str | None, count: int | None, shards: int) -> _Base:
    if nodes is not None and count is not None:
        raise click.UsageError("name the nodes by --nodes or by --count")
    if nodes is None and count is None:
        if parse_store_url(settings.store.url) is None:
            text = "name the nodes, --nodes A,B,C[:WEIGHT] or --count N, or the store of a cluster: --store hbase://..."
            raise click.UsageError(text)
        return _Base(asyncio.run(_standing(settings)), stands=True)
    listed = [_node(f"node-{number}") for number in range(1, (count or 0) + 1)] or [
        _node(text.strip()) for text in (nodes or "").split(",")
    ]
    return _Base(_placed(empty_map(shards).next().listing(_distinct(listed)))[0], stands=False)


async def _standing(settings: Settings) -> ShardMap:
    async with opened_desk(settings, "ring") as desk:
        return (await desk.look()).map


def _distinct(nodes: Sequence[ListedNode]) -> Sequence[ListedNode]:
    if len({node.node_id for node in nodes}) < len(nodes):
        raise click.UsageError("a node is named twice")
    return nodes


def _nodes_options(verb: Any) -> Any:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object."),
        click.option(
            "--shards",
            type=click.IntRange(1, MAX_SHARDS),
            default=_SHARDS,
            show_default=True,
            metavar="N",
            help="How many shards the store has.",
        ),
        click.option("--count", type=click.IntRange(1, MOST_NODES), metavar="N", help="As --nodes node-1,...,node-N."),
        click.option("--nodes", metavar="A,B,C[:WEIGHT]", help="The ids of the nodes; weight 100 is an ordinary one."),
    ):
        verb = option(verb)
    return verb


@click.command("show")
@_nodes_options
@with_settings("server.data_dir", "store.url")
def show(loaded: LoadedSettings, nodes: str | None, count: int | None, shards: int, *, as_json: bool) -> None:
    """Print how many shards each node owns, and what the plan would still move.

    Of the nodes in the map of a cluster's store, which is read; where nodes are named, of those as if they were all,
    and no store is read. Asks no server, writes nothing.
    """
    base = _base(loaded.settings, nodes, count, shards)
    spread, plan_ms = _placed(base.map.next())
    _print(_shown(base.map, spread, plan_ms, now=base.stands), as_json=as_json)


@click.command("simulate")
@_nodes_options
@click.option("--add", multiple=True, metavar="NODE[:WEIGHT]", help="A node that joins. May be given more than once.")
@click.option("--remove", multiple=True, metavar="NODE", help="A node that leaves. May be given more than once.")
@with_settings("server.data_dir", "store.url")
def simulate(
    loaded: LoadedSettings,
    nodes: str | None,
    count: int | None,
    shards: int,
    add: Sequence[str],
    remove: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Print what each node would get and lose if nodes joined and left. Asks no server, writes nothing.

    The shards begin as in the map of a cluster's store, which is read; or, where nodes are named, as `rowbox ring show`
    has them, and no store is read.
    """
    before = _base(loaded.settings, nodes, count, shards).map
    joining = [_node(text) for text in add]
    if unknown := set(remove) - {node.node_id for node in before.nodes}:
        raise click.UsageError(f"no such node to remove: {', '.join(sorted(unknown))}")
    _distinct([*before.nodes, *joining])
    leaving = [node.incarnation for node in before.nodes if node.node_id in remove]
    if len(before.nodes) + len(joining) == len(leaving):
        raise click.UsageError("nobody would be left")
    after, plan_ms = _placed(before.next().listing(joining).unlisting(leaving))
    _print(_shown(before, after, plan_ms), as_json=as_json)


command = click.Group(
    "ring", help="Show where shards are among nodes, and what joins and leaves move.", commands=[show, simulate]
)


def _placed(shard_map: ShardMap) -> tuple[ShardMap, int]:
    """Every shard where it should be, and the milliseconds that finding out took."""
    begun_s = time.perf_counter()
    wanted = place(shard_map)
    plan_ms = round((time.perf_counter() - begun_s) * 1000)
    moves: dict[int, list[int]] = {}
    for shard, (owner, to) in enumerate(zip(shard_map.owners, wanted, strict=True)):
        if to not in (owner, NOBODY):
            moves.setdefault(to, []).append(shard)
    for to, shards in moves.items():
        shard_map = shard_map.giving(shards, shard_map.nodes[to].incarnation)
    return shard_map, plan_ms


def _shown(before: ShardMap, after: ShardMap, plan_ms: int, *, now: bool = False) -> _Shown:
    """`now`: the loads are those before, with what is still to change; else those after."""
    nodes = [after.as_wished(node) for node in after.nodes]
    whole = sum(node.weight for node in nodes if may_own(node))
    loads = []
    for node in nodes:
        had, has = set(before.shards_of(node.incarnation)), set(after.shards_of(node.incarnation))
        share = after.shards * node.weight / whole if may_own(node) else 0.0
        shards = len(had if now else has)
        of_share = round(shards / share, 3) if share else 0.0
        loads.append(_Load(node.node_id, node.weight, shards, of_share, len(has - had), len(had - has)))
    moved = sum(load.gets for load in loads)
    of_shares = [load.of_share for load in loads if load.of_share] or [0.0]
    return _Shown(
        after.shards,
        tuple(loads),
        min(of_shares),
        max(of_shares),
        len(encode_map(before if now else after)),
        plan_ms,
        moved,
        round(moved / after.shards, 4),
    )


def _print(shown: _Shown, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(shown), option=orjson.OPT_INDENT_2))
        return
    width = max(len("node"), *(len(load.node) for load in shown.nodes), 0)
    click.echo(f"{'node':<{width}}  weight  shards  of share   gets  loses")
    for load in shown.nodes[:_MOST_SHOWN]:
        figures = f"{load.weight:>6}  {load.shards:>6}  {load.of_share:>8.3f}  {load.gets:>5}  {load.loses:>5}"
        click.echo(f"{load.node:<{width}}  {figures}")
    if len(shown.nodes) > _MOST_SHOWN:
        click.echo(f"... and {len(shown.nodes) - _MOST_SHOWN} more: --json shows all")
    click.echo(f"\n{shown.shards} shards on {len(shown.nodes)} nodes: {shown.least} to {shown.most} of the share")
    if shown.moved:
        click.echo(f"{shown.moved} shards move, {100 * shown.moved_of_all:.2f}% of all")
    click.echo(f"the map is {shown.body_bytes} bytes; the plan took {shown.plan_ms} ms")
