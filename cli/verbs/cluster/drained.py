"""Waits until a node owns nothing, and shows how far that is."""

import asyncio
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from rowbox.cli.verbs.cluster.handle import opened_desk
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import Settings

EVERY_S = 0.5


class NotDrained(RowboxError):
    """The node still owns shards when the time is over. It goes on giving them away."""

    code = "not_drained"


async def wait_until_empty(settings: Settings, node_id: str, timeout_s: float) -> None:
    """Returns when no incarnation of the node owns a shard. NotDrained after `timeout_s` seconds."""
    ends_s = time.monotonic() + timeout_s
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("shards given away")
    async with opened_desk(settings, "nodes drain") as desk:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task, most = bar.add_task(node_id, total=None), 0
            while True:
                shard_map = (await desk.look()).map
                node = shard_map.node_of_id(node_id)
                owned = 0 if node is None else len(shard_map.shards_of(node.incarnation))
                most = max(most, owned)
                bar.update(task, total=most, completed=most - owned)
                if not owned:
                    return
                if time.monotonic() >= ends_s:
                    raise NotDrained(f"{node_id} still owns {owned} shards after {timeout_s:g} s, and goes on giving")
                await asyncio.sleep(EVERY_S)
