"""`rowbox mailbox`: verbs about one user's mailbox. Each stands in a module of its own."""

import click

from rowbox.cli.verbs.mail.mailbox_hidden import hidden
from rowbox.cli.verbs.mail.mailbox_repair import repair
from rowbox.cli.verbs.mail.mailbox_show import show
from rowbox.cli.verbs.mail.mailbox_tail import tail
from rowbox.cli.verbs.mail.mailbox_verify import verify

command = click.Group(
    "mailbox", help="Look into one user's mailbox, and repair it.", commands=[show, tail, hidden, verify, repair]
)
