"""Changes of the map that an operator asks for: shown first, then confirmed, then made."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import click

from rowbox.cacheserver.shardmap.desk import Edit
from rowbox.cacheserver.shardmap.edits import moves_of_plan
from rowbox.cacheserver.shardmap.overview import changes_between
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cli.verbs.cluster.handle import opened_desk
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.settings.config import Settings


def with_confirmation(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a verb `--dry-run` and `--yes`."""
    yes = click.option("--yes", is_flag=True, help="Do not ask.")
    return click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")(yes(verb))


def change(settings: Settings, verb: str, edit: Edit, *, dry_run: bool, yes: bool) -> bool:
    """Shows what `edit` would change, asks, and has it done. Returns whether the map has it now.

    Without a terminal somebody has to say --yes: a script does not answer questions.
    """
    before, after = asyncio.run(_planned(settings, verb, edit))
    if after is None:
        click.echo("There is nothing to change.")
        return True
    for line in (*changes_between(before, after), *moves_of_plan(after)):
        click.echo(line)
    if dry_run:
        return False
    if not yes:
        if not sys.stdin.isatty():
            raise BadRequest("nobody is there to be asked: say --yes to do it, or --dry-run to see it")
        click.confirm("Do it?", abort=True)
    standing = asyncio.run(_changed(settings, verb, edit))
    click.echo(f"Version {standing.version} of the map says so.")
    return True


async def _planned(settings: Settings, verb: str, edit: Edit) -> tuple[ShardMap, ShardMap | None]:
    async with opened_desk(settings, verb) as desk:
        seen = await desk.look()
        return seen.map, edit(seen)


async def _changed(settings: Settings, verb: str, edit: Edit) -> ShardMap:
    async with opened_desk(settings, verb) as desk:
        return await desk.change(edit)
