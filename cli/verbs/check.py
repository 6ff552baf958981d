"""`rowbox check`: the invariant checker over the whole store. Exit 0: nothing found; 1: something was."""

import asyncio
import sys

import click
import msgspec
import orjson

from rowbox.cacheserver.check.checker import Checker, Progress
from rowbox.cacheserver.clocks import wall_clock_ms
from rowbox.cli.options import with_settings
from rowbox.cli.walk import opened, shard_bar
from rowbox.mailbox.check.findings import Finding
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.settings.config import LoadedSettings, Settings

MOST_SHOWN = 1000
"""The most findings that are listed. Further ones are only counted."""


class Result(msgspec.Struct):
    """What a check has found."""

    progress: Progress
    findings: list[Finding]
    finding_count: int


@click.command("check")
@with_settings("server.data_dir", "store.url")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(loaded: LoadedSettings, *, as_json: bool) -> None:
    """Look for broken invariants in the whole store; exit 1 if there are any.

    Reads only, and may run beside the server: it sees an embedded store as it was when the check began. Nothing holds
    an HBase store still: what is found there is looked at again, until the mailbox stood still between two reads. The
    settings for retention and the like must be the server's.
    """
    result = asyncio.run(_check(loaded.settings))
    click.echo(_as_json(result) if as_json else _as_text(result))
    sys.exit(1 if result.finding_count else 0)


async def _check(settings: Settings) -> Result:
    async with opened(settings) as store:
        checker = Checker(store, settings.store, lambda: wall_clock_ms() * US_PER_MS)
        result = Result(checker.progress, [], 0)
        with shard_bar(store.shards) as show:
            async for item in checker.run():
                if isinstance(item, Progress):
                    show("looking at copies" if item.is_second_look else "checking", item.shards_done)
                else:
                    _add(result, item)
    return result


def _add(result: Result, finding: Finding) -> None:
    result.finding_count += 1
    if len(result.findings) < MOST_SHOWN:
        result.findings.append(finding)


def _as_text(result: Result) -> str:
    done = result.progress
    lines = [f"{code}  {user_id}: {text}" for code, user_id, text in result.findings]
    if result.finding_count > len(lines):
        lines.append(f"... and {result.finding_count - len(lines):,} more")
    count = f"{result.finding_count:,} findings" if result.finding_count != 1 else "1 finding"
    walked = f"{done.rows:,} mailboxes, {done.conversations:,} conversations, {done.messages:,} copies of messages"
    return "\n".join([*lines, f"Checked {walked}: {count if result.finding_count else 'nothing found'}."])


def _as_json(result: Result) -> bytes:
    done = result.progress
    return orjson.dumps(
        {
            "clean": result.finding_count == 0,
            "shards": done.shards,
            "mailboxes": done.rows,
            "conversations": done.conversations,
            "messages": done.messages,
            "findingCount": result.finding_count,
            "findings": [{"code": code, "userId": user_id, "text": text} for code, user_id, text in result.findings],
        },
        option=orjson.OPT_INDENT_2,
    )
