"""`rowbox audit`: looks up every copy of every message of a sample of users. Exit 1 if anything is broken."""

import asyncio
import secrets
import sys
import time
from typing import Any, Final

import click
import msgspec
import orjson

from rowbox.cacheserver.check.audit import Audit, AuditProgress
from rowbox.cacheserver.clocks import wall_clock_ms
from rowbox.cacheserver.stores.paced_reader import PacedReader
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.mail.findings import Findings
from rowbox.cli.walk import opened, shard_bar
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.settings.config import LoadedSettings, Settings

SEED_BYTES: Final = 8


class Share(click.ParamType[float]):
    """A part of all users: `1%`, `0.01`, `all`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = 1.0 if text == "all" else float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            self.fail(f"{value} is no part of all users: give 1%, 0.01 or all", param, ctx)
        return share


class Result(msgspec.Struct):
    """What an audit has found."""

    progress: AuditProgress
    findings: Findings
    seed: str
    reads: int
    seconds: float


@click.command("audit")
@with_settings("server.data_dir", "store.url")
@click.option(
    "--sample", "share", type=Share(), default="1%", show_default=True, help="Part of all users: 1%, 0.01, all."
)
@click.option(
    "--reads-per-second",
    type=click.FloatRange(0, min_open=True),
    default=200.0,
    show_default=True,
    help="Calls of the store in a second, at most: what the audit takes from servers at work.",
)
@click.option("--seed", help="Draws the same sample as the audit that printed it.  [default: another one each time]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(loaded: LoadedSettings, *, share: float, reads_per_second: float, seed: str | None, as_json: bool) -> None:
    """Prove, beside servers at work, that the messages of a sample of users are in every mailbox they belong to.

    Reads only. Each mailbox of the sample is checked by itself, as `rowbox check` does, and each message in it is
    looked up in the mailboxes of all others who take part. Messages of the last minute, and those that still stand in
    their sender's outbox, may be on their way and are not missed. An embedded store is read as it was when the audit
    began. Exit 1 if anything is broken.
    """
    seed = seed if seed is not None else secrets.token_hex(SEED_BYTES)
    result = asyncio.run(_audit(loaded.settings, share, reads_per_second, seed))
    click.echo(_as_json(result) if as_json else _as_text(result))
    sys.exit(1 if result.findings.count else 0)


async def _audit(settings: Settings, share: float, reads_per_s: float, seed: str) -> Result:
    began_s = time.monotonic()
    async with opened(settings) as store:
        paced = PacedReader(store, reads_per_s, time.monotonic)
        audit = Audit(paced, settings.store, lambda: wall_clock_ms() * US_PER_MS, share=share, seed=seed)
        findings = Findings()
        with shard_bar(store.shards) as show:
            async for item in audit.run():
                if isinstance(item, AuditProgress):
                    show(f"{item.mailboxes:,} mailboxes audited", item.shards_done)
                else:
                    findings.add(item)
    return Result(audit.progress, findings, seed, paced.reads, time.monotonic() - began_s)


def _as_text(result: Result) -> str:
    done = result.progress
    walked = f"{done.mailboxes:,} of {done.users:,} mailboxes, {done.messages:,} copies of messages"
    looked = f"{done.lookups:,} looked up in other mailboxes"
    cost = f"{result.reads:,} reads in {result.seconds:.0f} s, --seed {result.seed}"
    return "\n".join([*result.findings.lines(), f"Audited {walked}, {looked} ({cost}): {result.findings.summary}."])


def _as_json(result: Result) -> bytes:
    done = result.progress
    return orjson.dumps(
        {
            "users": done.users,
            "mailboxes": done.mailboxes,
            "conversations": done.conversations,
            "messages": done.messages,
            "lookups": done.lookups,
            "reads": result.reads,
            "seed": result.seed,
            **result.findings.as_fields(),
        },
        option=orjson.OPT_INDENT_2,
    )
