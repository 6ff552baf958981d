"""A cluster on a terminal: what an operator keeps open during an incident."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rowbox.cacheserver.shardmap.overview import NEVER, NodeView, Overview
from rowbox.cli.tables import printed

_STATES: Final[Mapping[str, str]] = {
    "alive": "green",
    "draining": "yellow",
    "standby": "cyan",
    "joining": "cyan",
    "of an older version": "yellow",
}
_WRONG: Final = "bold red"
_BAR: Final = 20
MOST_EVENTS: Final = 12


def screen(overview: Overview, events: Sequence[str], note: str) -> RenderableType:
    """All of it: the verdict first, then what is wrong, the nodes, what has changed, and a `note` below."""
    parts: list[RenderableType] = [verdict(overview)]
    parts += [Text(f"  {one}", style=_WRONG) for one in overview.wrong]
    parts.append(nodes_table(overview))
    if events:
        parts += [Text("Changes, newest first", style="bold"), *(Text(f"  {one}") for one in events[:MOST_EVENTS])]
    parts.append(Text(note, style="dim"))
    return Group(*parts)


def verdict(overview: Overview) -> Text:
    """One line: is all well, and how large is it."""
    owners = sum(node.shards > 0 for node in overview.nodes)
    text = f"{owners} of {len(overview.nodes)} nodes own {overview.shards - overview.ownerless:,} of "
    text += f"{overview.shards:,} shards, map version {overview.version}"
    text += f", {overview.moving:,} on the move" if overview.moving else ""
    text += f", {overview.pinned:,} pinned" if overview.pinned else ""
    if overview.wrong:
        number = len(overview.wrong)
        return Text.assemble((f"{number} {'thing is' if number == 1 else 'things are'} wrong: ", _WRONG), text)
    return Text.assemble(("All is well: ", "bold green"), text)


def nodes_table(overview: Overview) -> Table:
    """The nodes, one a line."""
    table = Table("node", "state", "shards", "of its share", "out", "in", "weight", "zone", "beat", "runs at", box=None)
    for column in (2, 4, 5, 6):
        table.columns[column].justify = "right"
    for node in overview.nodes:
        table.add_row(
            escape(node.node_id or node.incarnation[:8]),
            Text(node.state, style=_STATES.get(node.state, _WRONG)),
            f"{node.shards:,}",
            _load(node),
            f"{node.leaving:,}" if node.leaving else "",
            f"{node.arriving:,}" if node.arriving else "",
            str(node.weight),
            escape(node.zone),
            _beat(node),
            escape(node.address),
        )
    return table


def printed_nodes(overview: Overview) -> str:
    """The table of nodes as text."""
    return printed(nodes_table(overview))


def node_lines(node: NodeView) -> Iterator[str]:
    """One node, a fact a line."""
    facts = {
        "Node": node.node_id,
        "Incarnation": node.incarnation,
        "State": node.state,
        "Runs at": node.address,
        "Peer address": node.peer or "none",
        "Zone": node.zone or "none",
        "Weight": str(node.weight),
        "Shards": f"{node.shards:,}, of a share of {node.share:,.0f}",
        "On the move": f"{node.leaving:,} out, {node.arriving:,} in",
        "Reaches the mail": "yes" if node.reaches_mail else "no",
        "Last beat": _beat(node).plain,
    }
    yield from (f"{name:<15} {value}" for name, value in facts.items())


def _load(node: NodeView) -> Text:
    if not node.share:
        return Text("" if not node.shards else "no share")
    load = node.shards / node.share
    filled = min(_BAR, round(_BAR * load / 2))  # the share is in the middle
    return Text(f"{'#' * filled:<{_BAR}} {load:4.0%}", style="" if load <= 1.1 else "yellow")


def _beat(node: NodeView) -> Text:
    if node.quiet_s == NEVER:
        return Text("?")
    return Text("now" if node.quiet_s < 1 else f"{node.quiet_s:.0f} s ago")
