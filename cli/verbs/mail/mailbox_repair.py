"""`rowbox mailbox repair`: brings a user's messages to those who should have them and do not."""

import asyncio
import sys
from collections import Counter

import click

from rowbox.api.operator.deliveries import DELIVER, redelivery
from rowbox.cacheserver.check.mailbox_check import MailboxReport
from rowbox.cli.operator import ask_server
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.mail.mailbox_verify import checked
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.settings.config import LoadedSettings

DEADLINE_S = 20.0
"""Seconds that the verb waits for each delivery: longer than a write may take in the server (commit.timeout_ms)."""


@click.command("repair")
@click.argument("user", metavar="USER")
@with_settings("server.data_dir", "store.url", "server.admin_host", "server.admin_port")
@click.option("--dry-run", is_flag=True, help="Show what would be delivered, and deliver nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def repair(loaded: LoadedSettings, user: str, *, dry_run: bool, yes: bool) -> None:
    """Bring messages that USER sent to those who take part and have no copy.

    It looks first, as `verify` does, and then has the server on this data directory deliver each copy that is missing,
    as if it had just come in: it is in the recipient's next delta, and a copy that is there after all is not doubled.
    Where it had been counted as unread before it was lost, it counts twice until the conversation is read.
    What else `verify` finds no verb repairs. Reads the store, and the secret in the data directory; the server writes
    the mailboxes of the recipients. Exit 1 where copies are missing still, or another thing is broken.
    """
    settings = loaded.settings
    user_id = user_meant(settings.auth, user, "USER")
    report = asyncio.run(checked(settings, user_id))
    for holder, number in sorted(Counter(copy.user_id for copy in report.missing).items()):
        click.echo(f"{holder} is without {number:,} of {user_id}'s messages.")
    if not report.missing or dry_run:
        _say(report)
        sys.exit(1 if report.findings else 0)
    if not yes:
        if not sys.stdin.isatty():
            raise BadRequest("nobody is there to be asked: say --yes to do it, or --dry-run to see it")
        click.confirm(f"Deliver {len(report.missing):,} copies?", abort=True)
    for copy in sorted(report.missing, key=lambda copy: copy.message.message_id):
        ask_server(settings, DELIVER, redelivery(copy.user_id, copy.message), DEADLINE_S)
    after = asyncio.run(checked(settings, user_id))
    click.echo(f"Delivered {len(report.missing) - len(after.missing):,} copies.")
    _say(after)
    sys.exit(1 if after.findings else 0)


def _say(report: MailboxReport) -> None:
    others = len(report.findings) - len(report.missing)
    missing = f"{len(report.missing):,} copies are missing" if report.missing else "no copy is missing"
    more = f", and {others:,} findings that no verb repairs: `rowbox mailbox verify` lists them" if others else ""
    click.echo(f"Of {report.user_id}'s messages {missing}{more}.")
