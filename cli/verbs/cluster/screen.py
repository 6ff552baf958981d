"""A cluster on a terminal: what an operator keeps open during an incident.

What an operator has to act on stands on top, whatever the size of the cluster: the verdict, what is wrong, and, where
the nodes do not all fit, those first that are not as they should be. A column is shown where it says something.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rowbox.cacheserver.shardmap.overview import NEVER, NodeView, Overview
from rowbox.cli.tables import printed, width

_STATES: Final[Mapping[str, str]] = {
    "alive": "green",
    "draining": "yellow",
    "standby": "cyan",
    "joining": "cyan",
    "of an older version": "yellow",
}
_WRONG: Final = "bold red"
_NOTED: Final = "bold yellow"
_BAR: Final = 10
_FRAME: Final = 2
"""Columns that `printed` puts around a table."""
_LATE_BEAT_S: Final = 2.5
"""A beat is once a second at default settings, and is looked for once a second."""
MOST_EVENTS: Final = 50
ALL_LINES: Final = 1 << 20
"""For output that scrolls."""


def screen(
    overview: Overview,
    events: Collection[str],
    note: str,
    *,
    columns: int,
    lines: int = ALL_LINES,
    is_old: bool = False,
) -> RenderableType:
    """All of it: the verdict first, then what is wrong, the nodes, what has changed, and a `note` below.

    It is `columns` wide and takes about so many `lines` at most, and says how much it left out. Where what is shown
    `is_old`, the note says so in place of the verdict.
    """
    parts: list[RenderableType] = [Text(note, style=_WRONG) if is_old else verdict(overview)]
    wrong = _at_most(overview.wrong, max(3, lines // 4), "more things are wrong: rowbox cluster status without --watch")
    parts += [Text(f"  {one}", style=_WRONG) for one in wrong]
    noted = _at_most(overview.noted, max(2, lines // 8), "more to know: rowbox cluster status without --watch")
    parts += [Text(f"  {one}", style=_NOTED) for one in noted]
    left = lines - _FURNITURE - sum(-(-(len(one) + 2) // columns) for one in (*wrong, *noted))
    shown = overview.nodes if len(overview.nodes) <= left else _worst_first(overview.nodes)[: max(3, left // 2)]
    parts += [Text(), nodes_table(overview, columns, shown)]
    if len(shown) < len(overview.nodes):
        parts.append(Text(f"{len(overview.nodes) - len(shown)} more nodes: rowbox nodes ls shows all", style="dim"))
    left -= len(shown)
    if events and left > 2:
        parts += [
            Text("\nChanges, newest first", style="bold"),
            *(Text(f"  {one}") for one in islice(events, left - 2)),
        ]
    parts.append(Text(f"\n{note}" if note and not is_old else "", style="dim"))
    return Group(*parts)


_FURNITURE: Final = 8
"""Lines beside those of the lists: the verdict, which may take two, the head of the table, its sums, the note, and
what is empty.
"""


def verdict(overview: Overview) -> Text:
    """One line: is all well, and how large is it. Where something is noted it is not called well."""
    owners = sum(node.shards > 0 for node in overview.nodes)
    text = f"{owners} of {len(overview.nodes)} nodes own {overview.shards - overview.ownerless:,} of "
    text += f"{overview.shards:,} shards, map version {overview.version}"
    text += f", {overview.moving:,} on the move" if overview.moving else ""
    text += f", {overview.pinned:,} pinned" if overview.pinned else ""
    if overview.wrong:
        number = len(overview.wrong)
        return Text.assemble((f"{number} {'thing is' if number == 1 else 'things are'} wrong: ", _WRONG), text)
    if overview.noted:
        return Text.assemble(("Every shard is served: ", _NOTED), text)
    return Text.assemble(("All is well: ", "bold green"), text)


def nodes_table(overview: Overview, columns: int, shown: Sequence[NodeView] | None = None) -> Table:
    """The nodes, or those of them that are to be shown, one a line, and the sums over all, `columns` wide at most.

    What an operator can do without best is left out first where it is not wide enough.
    """
    rows = list(map(_cells, overview.nodes if shown is None else shown))
    kept = _fitting(_columns(overview.nodes), rows, columns)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_footer=len(overview.nodes) > 1)
    for name, (side, total) in kept.items():
        table.add_column(
            name.removesuffix(_WITH_BAR),
            footer=total,
            justify=side,
            no_wrap=True,
            overflow="ellipsis",
            footer_style="dim",
        )
    for row in rows:
        table.add_row(*(row[name] for name in kept))
    return table


def printed_nodes(overview: Overview) -> str:
    """The table of nodes as text."""
    return printed(nodes_table(overview, width() - _FRAME))


def node_lines(node: NodeView) -> Iterator[str]:
    """One node, a fact a line."""
    load = node.load
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
        "Load": "it does not say"
        if load is None
        else f"{load.sends_per_s:,.0f} sends/s, {load.fetches_per_s:,.0f} fetches/s, {load.mailboxes:,} mailboxes in "
        f"memory, 99% of commits within {load.commit_p99_ms:,.0f} ms",
        "Reaches the mail": "yes" if node.reaches_mail else "no",
        "Last beat": _beat(node).plain,
    }
    yield from (f"{name:<16} {value}" for name, value in facts.items())


_Columns = Mapping[str, tuple[Literal["left", "right"], str]]
"""By name: on which side its values stand, and what stands below them."""
_WITH_BAR: Final = " "
_DISPENSABLE: Final = ("runs at", f"share{_WITH_BAR}", "zone", "weight", "mailboxes", "fetches/s", "commit", "sends/s")
"""Columns, the first to be left out first. The share stands as a bar, or else as a figure alone."""


def _columns(nodes: Sequence[NodeView]) -> _Columns:
    loads = [node.load for node in nodes if node.load is not None]
    columns: dict[str, tuple[Literal["left", "right"], str]] = {
        "node": ("left", "all"),
        "state": ("left", ""),
        "shards": ("right", f"{sum(node.shards for node in nodes):,}"),
        f"share{_WITH_BAR}": ("left", ""),
        "share": ("right", ""),
    }
    if any(node.leaving or node.arriving for node in nodes):
        columns["out"] = "right", f"{sum(node.leaving for node in nodes):,}"
        columns["in"] = "right", f"{sum(node.arriving for node in nodes):,}"
    if loads:
        columns["sends/s"] = "right", f"{sum(load.sends_per_s for load in loads):,.0f}"
        columns["fetches/s"] = "right", f"{sum(load.fetches_per_s for load in loads):,.0f}"
        columns["mailboxes"] = "right", f"{sum(load.mailboxes for load in loads):,}"
        columns["commit"] = "right", ""
    columns["beat"] = "right", ""
    if any(node.weight != 100 for node in nodes):
        columns["weight"] = "right", ""
    if any(node.zone for node in nodes):
        columns["zone"] = "left", ""
    return {**columns, "runs at": ("left", "")}


def _fitting(columns: _Columns, rows: Sequence[Mapping[str, str | Text]], most: int) -> _Columns:
    """Those of the columns that are shown side by side."""
    widths = {
        name: max(len(name), len(total), *(len(row[name]) for row in rows), 0) + 2
        for name, (_, total) in columns.items()
    }
    left_out = [name for name in ("share",) if name in widths]
    for name in _DISPENSABLE:
        if sum(width for name, width in widths.items() if name not in left_out) <= most:
            break
        left_out.append(name)
        if name.endswith(_WITH_BAR):
            left_out.remove("share")
    return {name: column for name, column in columns.items() if name not in left_out}


def _cells(node: NodeView) -> Mapping[str, str | Text]:
    load = node.load
    return {
        "node": escape(node.node_id or node.incarnation[:8]),
        "state": Text(node.state, style=_STATES.get(node.state, _WRONG)),
        "shards": f"{node.shards:,}",
        f"share{_WITH_BAR}": _load(node, with_bar=True),
        "share": _load(node, with_bar=False),
        "out": f"{node.leaving:,}" if node.leaving else "",
        "in": f"{node.arriving:,}" if node.arriving else "",
        "sends/s": "-" if load is None else f"{load.sends_per_s:,.0f}",
        "fetches/s": "-" if load is None else f"{load.fetches_per_s:,.0f}",
        "mailboxes": "-" if load is None else f"{load.mailboxes:,}",
        "commit": "-" if load is None else f"{load.commit_p99_ms:,.0f} ms",
        "beat": _beat(node),
        "weight": str(node.weight),
        "zone": escape(node.zone),
        "runs at": escape(node.address),
    }


def _worst_first(nodes: Sequence[NodeView]) -> Sequence[NodeView]:
    """Those that have something to look at, then the others, each in their order."""
    return sorted(nodes, key=lambda node: node.state in ("alive", "standby") and node.quiet_s < _LATE_BEAT_S)


def _at_most(texts: Sequence[str], most: int, rest: str) -> Sequence[str]:
    return texts if len(texts) <= most else [*texts[: most - 1], f"{len(texts) - most + 1} {rest}"]


def _load(node: NodeView, *, with_bar: bool) -> Text:
    if not node.share:
        return Text("" if not node.shards else "none")
    load = node.shards / node.share
    filled = min(_BAR, round(_BAR * load / 2))  # the share is in the middle
    bar = f"{'#' * filled:<{_BAR}} " if with_bar else ""
    return Text(f"{bar}{load:4.0%}", style="" if load <= 1.1 else "yellow")


def _beat(node: NodeView) -> Text:
    if node.state in ("gone", "stopped", "dead"):
        return Text("none")
    if node.quiet_s == NEVER:
        return Text("?")
    style = "yellow" if node.quiet_s >= _LATE_BEAT_S else ""
    return Text("now" if node.quiet_s < 1 else f"{node.quiet_s:.0f} s ago", style=style)
