"""`rowbox mailbox verify`: checks one mailbox. Exit 0: nothing found; 1: something was."""

import asyncio
import sys

import click
import orjson

from rowbox.cacheserver.check.mailbox_check import MailboxCheck, MailboxReport
from rowbox.cacheserver.clocks import wall_clock_ms
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.mail.findings import Findings
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.cli.walk import opened
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.settings.config import LoadedSettings, Settings


@click.command("verify")
@click.argument("user", metavar="USER")
@with_settings("server.data_dir", "store.url")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(loaded: LoadedSettings, user: str, *, as_json: bool) -> None:
    """Look for broken invariants in the mailbox of USER, and for copies of its messages in all others'.

    Reads only, and may run beside the server, as `rowbox audit` does for a sample of all users. Exit 1 if anything is
    broken.
    """
    settings = loaded.settings
    report = asyncio.run(checked(settings, user_meant(settings.auth, user, "USER")))
    findings = Findings()
    for finding in report.findings:
        findings.add(finding)
    click.echo(_as_json(report, findings) if as_json else _as_text(report, findings))
    sys.exit(1 if findings.count else 0)


async def checked(settings: Settings, user_id: str) -> MailboxReport:
    """The report of a user's mailbox in the store of `settings`. Raises what opening and reading a store raises."""
    async with opened(settings) as store:
        return await MailboxCheck(store, settings.store, lambda: wall_clock_ms() * US_PER_MS).check(user_id)


def _as_text(report: MailboxReport, findings: Findings) -> str:
    held = f"{report.conversations:,} conversations, {report.messages:,} copies of messages"
    looked = f"{report.lookups:,} looked up in other mailboxes"
    return "\n".join([*findings.lines(), f"Checked {report.user_id}: {held}, {looked}: {findings.summary}."])


def _as_json(report: MailboxReport, findings: Findings) -> bytes:
    return orjson.dumps(
        {
            "userId": report.user_id,
            "conversations": report.conversations,
            "messages": report.messages,
            "lookups": report.lookups,
            **findings.as_fields(),
        },
        option=orjson.OPT_INDENT_2,
    )
