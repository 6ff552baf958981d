"""`rowbox user`: verbs about one user, beside his mailbox."""

import click

from rowbox.cli.verbs.mail.user_show import show

command = click.Group("user", help="Look at what is known of one user.", commands=[show])
