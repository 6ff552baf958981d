"""`rowbox nodes`: the servers of a cluster, and what operators wish of them."""

import asyncio

import click
import orjson

from rowbox.cacheserver.shardmap.edits import MOST_WEIGHT, require_node, wished
from rowbox.cacheserver.shardmap.overview import NodeView, Overview, as_fields, node_fields
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.cluster.confirmed import change, with_confirmation
from rowbox.cli.verbs.cluster.drained import wait_until_empty
from rowbox.cli.verbs.cluster.handle import opened_desk
from rowbox.cli.verbs.cluster.screen import node_lines, printed_nodes
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.settings.config import LoadedSettings, Settings

_with_store = with_settings("server.data_dir", "store.url")
_node = click.argument("node", metavar="NODE")
_json = click.option("--json", "as_json", is_flag=True, help="JSON.")
_SHOWN_SHARDS = 64


@click.group()
def command() -> None:
    """Show the servers of a cluster, and change what they own."""


@command.command("ls")
@_with_store
@_json
def list_nodes(loaded: LoadedSettings, *, as_json: bool) -> None:
    """List the nodes: what each owns, what moves, what it does, and whether it beats.

    Reads the cluster's row in the store twice, a beat apart, and writes nothing.
    """
    overview = asyncio.run(_overview(loaded.settings))
    if as_json:
        click.echo(orjson.dumps(as_fields(overview)["nodes"], option=orjson.OPT_INDENT_2))
    else:
        click.echo(printed_nodes(overview), nl=False)


@command.command("show")
@_node
@_with_store
@_json
def show_node(loaded: LoadedSettings, node: str, *, as_json: bool) -> None:
    """Show one NODE by its id, with the shards that it owns. Reads only."""
    view, shards = asyncio.run(_node_and_shards(loaded.settings, node))
    if as_json:
        click.echo(orjson.dumps({**node_fields(view), "ownedShards": shards}, option=orjson.OPT_INDENT_2))
        return
    for line in node_lines(view):
        click.echo(line)
    shown = ", ".join(map(str, shards[:_SHOWN_SHARDS]))
    click.echo(f"{'Its shards':<16} {shown or 'none'}{' ...' if len(shards) > _SHOWN_SHARDS else ''}")


@command.command("drain")
@_node
@_with_store
@with_confirmation
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when the node owns nothing.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0), default=600.0, show_default=True, help="Seconds.")
def drain(loaded: LoadedSettings, node: str, *, dry_run: bool, yes: bool, wait: bool, timeout_s: float) -> None:
    """Have a NODE give all its shards to the others, warm, and keep none until `undrain`.

    No request fails meanwhile. Exit 1 where the node still owns shards after --timeout. Reads and writes the map in the
    store.
    """
    if change(loaded.settings, "nodes drain", wished(node, draining=True), dry_run=dry_run, yes=yes) and wait:
        asyncio.run(wait_until_empty(loaded.settings, node, timeout_s))
        click.echo(f"{node} owns nothing now.")


@command.command("undrain")
@_node
@_with_store
@with_confirmation
def undrain(loaded: LoadedSettings, node: str, *, dry_run: bool, yes: bool) -> None:
    """Let a NODE own shards again: it gets its share by moves.

    Reads and writes the map in the store.
    """
    change(loaded.settings, "nodes undrain", wished(node, draining=False), dry_run=dry_run, yes=yes)


@command.command("weight")
@_node
@click.argument("weight", type=click.IntRange(1, MOST_WEIGHT))
@_with_store
@with_confirmation
def set_weight(loaded: LoadedSettings, node: str, weight: int, *, dry_run: bool, yes: bool) -> None:
    """Have a NODE own WEIGHT percent of an ordinary node's share.

    Reads and writes the map in the store.
    """
    change(loaded.settings, "nodes weight", wished(node, weight=weight), dry_run=dry_run, yes=yes)


@command.command("standby")
@_node
@click.argument("state", type=click.Choice(["on", "off"]))
@_with_store
@with_confirmation
def standby(loaded: LoadedSettings, node: str, state: str, *, dry_run: bool, yes: bool) -> None:
    """Have a NODE own nothing until another one dies, or be a node like the others.

    Reads and writes the map in the store.
    """
    change(loaded.settings, "nodes standby", wished(node, standby=state == "on"), dry_run=dry_run, yes=yes)


async def _overview(settings: Settings) -> Overview:
    async with opened_desk(settings, "nodes") as desk:
        return desk.overview(await desk.look_twice())


async def _node_and_shards(settings: Settings, node_id: str) -> tuple[NodeView, list[int]]:
    async with opened_desk(settings, "nodes") as desk:
        seen = await desk.look_twice()
        require_node(seen.map, node_id)
        found = [one for one in desk.overview(seen).nodes if one.node_id == node_id]
        if not found:
            raise BadRequest(f"the node {node_id} has a wish and is not there")
        return found[0], list(seen.map.shards_of(found[0].incarnation))
