"""`rowbox token revoke`: makes servers refuse tokens that have not expired."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

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
from rowbox.cacheserver.port import RevocationPort
from rowbox.cli.admin_address import admin_address
from rowbox.cli.data_dir import as_the_server, existing_store
from rowbox.cli.operator import NoServer, OperatorOutcomeUnknown, ask_server
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.errors import BadRequest, StoreLocked, StoreUnusable
from rowbox.mailbox.revocation import LONGEST_TOKEN_ID
from rowbox.mailbox.settings.config import LoadedSettings, Settings, parse_store_url

_T = TypeVar("_T")
DEADLINE_S: Final = 20.0
"""Seconds that the verb waits for the server: longer than a write may take there (commit.timeout_ms), with the second
that passes before the answer."""


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
        answer = _asked(settings, REVOKE_USER, msgspec.json.encode(RevokeUser(user_id)))
        before_s = msgspec.json.decode(answer, type=UserRevoked).before_s
    except NoServer as error:
        before_s = _by_itself(settings, error, lambda port: port.revoke_user(user_id))
    before = datetime.fromtimestamp(before_s, UTC).isoformat().replace("+00:00", "Z")
    click.echo(f"Tokens of {user_id} that were issued before {before} are refused.")


def _revoke_id(settings: Settings, token_id: str) -> None:
    if not is_token_id(token_id):
        raise BadRequest(f"--id is the jti of a token, 1 to {LONGEST_TOKEN_ID} characters")
    try:
        _asked(settings, REVOKE_ID, msgspec.json.encode(RevokeToken(token_id)))
    except NoServer as error:
        _by_itself(settings, error, lambda port: port.revoke_id(token_id))
    click.echo("The token with this id is refused.")


def _asked(settings: Settings, name: str, body: bytes) -> bytes:
    try:
        return ask_server(settings, name, body, DEADLINE_S)
    except OperatorOutcomeUnknown as error:
        raise OperatorOutcomeUnknown(f"{error}; the tokens may be revoked or not: run this again") from error


def _by_itself(settings: Settings, error: NoServer, revoke: Callable[[RevocationPort], Awaitable[_T]]) -> _T:
    """Revokes in an embedded store that no server has open.

    NoServer, as `error` says, for a cluster's store; StoreUnusable where the store cannot be opened.
    """
    if parse_store_url(settings.store.url) is not None:
        raise NoServer(f"{error}; the owner of the mailboxes has to do it: run this beside it") from error
    folder = existing_store(settings)
    try:
        with as_the_server(folder):
            return asyncio.run(_revoke_in_store(settings, revoke))
    except StoreLocked as locked:
        host, port = admin_address(settings)
        raise StoreLocked(
            f"a server has the store in {folder} open, and its admin port is not {host}:{port}: "
            "name it with --admin-host and --admin-port, or give this verb the server's settings"
        ) from locked


async def _revoke_in_store(settings: Settings, revoke: Callable[[RevocationPort], Awaitable[_T]]) -> _T:
    from rowbox.cli.serving.backends import (
        backend,  # imported here, because the other verbs of tokens should not wait for a store's imports
    )

    failures: list[StoreUnusable] = []
    async with backend(settings, failures.append) as store:
        return await revoke(store.revocations)
