"""`rowbox user`: verbs about one user, beside his mailbox."""

import click

from rowbox.cli.verbs.mail.user_erase import erase
from rowbox.cli.verbs.mail.user_show import show
from rowbox.cli.verbs.mail.user_signout import signout

command = click.Group(
    "user", help="Look at what is known of one user, sign him out, or delete him.", commands=[show, signout, erase]
)
