"""`rowbox token`: a token for a user, signed with the data directory's secret. Prints it and nothing else."""

import time
from pathlib import Path

import click

from rowbox.api.auth import issue_token
from rowbox.cli.options import with_settings
from rowbox.cli.secret import load
from rowbox.mailbox.config import Loaded, Settings
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.units import parse_duration_ms


@click.command("token")
@click.option("--user", "user_id", required=True, metavar="USER", help="Whom the token is for.")
@click.option("--ttl", default="1h", show_default=True, metavar="DURATION", help="How long it is valid: 30m, 12h, 7d.")
@click.option("--admin", is_flag=True, help="It may act for anyone.")
@with_settings("server.data_dir")
def command(loaded: Loaded, user_id: str, ttl: str, *, admin: bool) -> None:
    """Print a token for a user.

    The server on the same data directory accepts it, and made the secret there at its first start.
    """
    if not is_user_id(user_id):
        raise BadRequest("--user is 1 to 128 characters of A-Z a-z 0-9 . _ @ + : -")
    ttl_ms = _duration(ttl)
    _require_own_keys(loaded.settings)
    secret = load(Path(loaded.settings.server.data_dir))
    click.echo(issue_token(secret, user_id, ttl_ms / 1000, admin=admin, now=time.time()))


def _require_own_keys(settings: Settings) -> None:
    """Nobody gets a token that no server takes: where the settings say so, others sign them."""
    if settings.auth.jwks:
        raise BadRequest(
            f"auth.jwks is {settings.auth.jwks}: the server takes tokens of that key set's issuer, not ours"
        )
    if settings.server.insecure_dev:
        raise BadRequest("server.insecure_dev is on: the server takes no tokens, but Bearer insecure:<userId>")


def _duration(text: str) -> int:
    try:
        ttl_ms = parse_duration_ms(text)
    except ValueError as error:
        raise BadRequest(f"--ttl {text}: {error}") from error
    if ttl_ms <= 0:
        raise BadRequest("--ttl must be more than nothing")
    return ttl_ms
