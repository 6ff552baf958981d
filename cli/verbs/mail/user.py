"""`rowbox user`: verbs about one user, beside his mailbox."""

import click

from rowbox.cli.verbs.mail.user_show import show
from rowbox.cli.verbs.mail.user_signout import signout

command = click.Group("user", help="Look at what is known of one user, or sign him out.", commands=[show, signout])
