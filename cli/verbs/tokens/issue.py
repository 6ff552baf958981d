"""`rowbox token --user U`: prints a token for a user, signed with the data directory's secret, and nothing else."""

import time
from pathlib import Path
from typing import Final

import click

from rowbox.api.auth.authenticator import issue_token
from rowbox.cli.options import with_settings
from rowbox.cli.secret import load
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.devices import DEVICE_ID_IS, is_device_id
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.settings.config import LoadedSettings, Settings
from rowbox.mailbox.settings.units import format_duration, parse_duration_ms

DEFAULT_TTL_MS: Final = 3_600_000


@click.command("issue")
@click.option("--user", "user_id", required=True, metavar="USER", help="Whom the token is for.")
@click.option("--ttl", metavar="DURATION", help="How long it is valid: 30m, 12h, 7d.  [default: 1h]")
@click.option("--device", "device_id", metavar="ID", help="The device that it is of, which may be signed out.")
@click.option("--admin", is_flag=True, help="It may act for anyone.")
@with_settings("server.data_dir")
def issue(loaded: LoadedSettings, user_id: str, ttl: str | None, device_id: str | None, *, admin: bool) -> None:
    """Print a token for a user.

    The server on the same data directory accepts it. Reads the secret that signs tokens, which the server made there at
    its first start, and writes nothing.
    """
    settings = loaded.settings
    user_id = user_meant(settings.auth, user_id)
    ttl_ms = _duration(ttl, settings.auth.max_token_life_ms)
    _require_own_keys(settings)
    _require_device(settings, device_id)
    secret = load(Path(settings.server.data_dir))
    device_id, now, auth = device_id or "", time.time(), settings.auth
    token = issue_token(secret, user_id, ttl_ms / 1000, admin=admin, now=now, device_id=device_id, settings=auth)
    click.echo(token)


def _require_own_keys(settings: Settings) -> None:
    """BadRequest where the settings make servers refuse tokens that this verb would sign."""
    if settings.auth.jwks:
        raise BadRequest(
            f"auth.jwks is {settings.auth.jwks}: the server takes tokens of that key set's issuer, not ours"
        )
    if settings.server.insecure_dev:
        raise BadRequest("server.insecure_dev is on: the server takes no tokens, but Bearer insecure:<userId>")


def _require_device(settings: Settings, device_id: str | None) -> None:
    if device_id is None:
        return
    if not is_device_id(device_id):
        raise BadRequest(f"--device is {DEVICE_ID_IS}")
    if not settings.auth.device_claim:
        raise BadRequest("auth.device_claim is empty: the server reads no device from tokens")


def _duration(text: str | None, max_ms: int) -> int:
    if text is None:
        return min(DEFAULT_TTL_MS, max_ms or DEFAULT_TTL_MS)
    try:
        ttl_ms = parse_duration_ms(text)
    except ValueError as error:
        raise BadRequest(f"--ttl {text}: {error}") from error
    if ttl_ms <= 0:
        raise BadRequest("--ttl must be more than nothing")
    if max_ms and ttl_ms > max_ms:
        raise BadRequest(
            f"--ttl {text}: the server takes tokens of {format_duration(max_ms)} at most (auth.max_token_life_ms)"
        )
    return ttl_ms
