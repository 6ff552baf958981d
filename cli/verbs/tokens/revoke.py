"""`rowbox token revoke`: makes servers refuse tokens that have not expired."""

from datetime import UTC, datetime
from typing import Final

import click
import msgspec

from rowbox.api.operator.tokens import (
    REVOKE_ID,
    REVOKE_USER,
    RevokeToken,
    RevokeUser,
    UserRevoked,
    is_token_id,
)
from rowbox.cli.operator import NoServer
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.tokens.at_the_owner import asked, by_itself
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.revocation import LONGEST_TOKEN_ID
from rowbox.mailbox.settings.config import LoadedSettings, Settings

MAYBE: Final = "the tokens may be revoked or not: run this again"


@click.command("revoke")
@click.option("--user", "user_id", metavar="USER", help="Whose tokens: all that were issued until now.")
@click.option("--id", "token_id", metavar="ID", help="The id of a single token: its claim jti.")
@with_settings("server.data_dir", "store.url", "server.admin_host", "server.admin_port")
def revoke(loaded: LoadedSettings, user_id: str | None, token_id: str | None) -> None:
    """Have tokens refused (401 token_revoked), for good.

    Give one of --user and --id. It holds at once, for waiting requests too, over restarts and takeovers, until the
    tokens expire (auth.max_token_life_ms; without that setting for ever). Tokens that the user is given after this
    verb has ended count. The server on this data directory does it; where none runs, and the store is the embedded
    one, this verb does it itself. Reads the secret in the data directory, by which the server knows its operator; what
    is revoked, the owner writes to the store.
    """
    settings = loaded.settings
    if settings.server.insecure_dev:
        raise BadRequest("server.insecure_dev is on: the server takes no tokens, so there is none to revoke")
    if (user_id is None) == (token_id is None):
        raise click.UsageError("give one of --user and --id")
    if user_id is not None:
        _revoke_user(settings, user_meant(settings.auth, user_id))
    elif token_id is not None:
        _revoke_id(settings, token_id)


def _revoke_user(settings: Settings, user_id: str) -> None:
    try:
        answer = asked(settings, REVOKE_USER, msgspec.json.encode(RevokeUser(user_id)), MAYBE)
        before_s = msgspec.json.decode(answer, type=UserRevoked).before_s
    except NoServer as error:
        before_s = by_itself(settings, error, lambda store: store.revocations.revoke_user(user_id))
    before = datetime.fromtimestamp(before_s, UTC).isoformat().replace("+00:00", "Z")
    click.echo(f"Tokens of {user_id} that were issued before {before} are refused.")


def _revoke_id(settings: Settings, token_id: str) -> None:
    if not is_token_id(token_id):
        raise BadRequest(f"--id is the jti of a token, 1 to {LONGEST_TOKEN_ID} characters")
    try:
        asked(settings, REVOKE_ID, msgspec.json.encode(RevokeToken(token_id)), MAYBE)
    except NoServer as error:
        by_itself(settings, error, lambda store: store.revocations.revoke_id(token_id))
    click.echo("The token with this id is refused.")
