"""`rowbox check`: the invariant checker over the whole store. Exit 0: nothing found; 1: something was."""

import asyncio
import sys

import click
import msgspec
import orjson

from rowbox.cacheserver.check.checker import Checker, Progress
from rowbox.cacheserver.clocks import wall_clock_ms
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.mail.findings import Findings
from rowbox.cli.walk import opened, shard_bar
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.settings.config import LoadedSettings, Settings


class Result(msgspec.Struct):
    """What a check has found."""

    progress: Progress
    findings: Findings


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
    sys.exit(1 if result.findings.count else 0)


async def _check(settings: Settings) -> Result:
    async with opened(settings) as store:
        checker = Checker(store, settings.store, lambda: wall_clock_ms() * US_PER_MS)
        result = Result(checker.progress, Findings())
        with shard_bar(store.shards) as show:
            async for item in checker.run():
                if isinstance(item, Progress):
                    show("looking at copies" if item.is_second_look else "checking", item.shards_done)
                else:
                    result.findings.add(item)
    return result


def _as_text(result: Result) -> str:
    done = result.progress
    walked = f"{done.rows:,} mailboxes, {done.conversations:,} conversations, {done.messages:,} copies of messages"
    return "\n".join([*result.findings.lines(), f"Checked {walked}: {result.findings.summary}."])


def _as_json(result: Result) -> bytes:
    done = result.progress
    return orjson.dumps(
        {
            "shards": done.shards,
            "mailboxes": done.rows,
            "conversations": done.conversations,
            "messages": done.messages,
            **result.findings.as_fields(),
        },
        option=orjson.OPT_INDENT_2,
    )
