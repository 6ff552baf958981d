"""`rowbox token`: tokens, and the secrets that sign them. Each verb under it stands in a module of its own."""

import click

from rowbox.cli.verbs.tokens.issue import issue
from rowbox.cli.verbs.tokens.revoke import revoke
from rowbox.cli.verbs.tokens.signing_secrets import retire, rotate, secrets
from rowbox.cli.verbs.tokens.subjects import subject, user_id


class _TokenGroup(click.Group):
    """A group that reads `rowbox token --user U` as `rowbox token issue --user U`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["issue", *args]
        return super().parse_args(ctx, args)


command = _TokenGroup(
    "token",
    help="Print a token for a user (`rowbox token --user USER`), revoke tokens, and change the secrets that sign them.",
    commands=[issue, revoke, rotate, retire, secrets, user_id, subject],
)
