"""`rowbox user signout`: ends what a user has on one device, or on all."""

import click
import msgspec

from rowbox.api.operator.sign_out import SIGN_OUT, SignOutUser, UserSignedOut
from rowbox.cacheserver.port import SignOut
from rowbox.cli.operator import NoServer
from rowbox.cli.options import with_settings
from rowbox.cli.verbs.tokens.at_the_owner import asked, by_itself
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.devices import DEVICE_ID_IS, is_device_id
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.settings.config import LoadedSettings, Settings


@click.command("signout")
@click.argument("user", metavar="USER")
@click.option("--device", "device_id", metavar="ID", help="The device: rowbox mailbox show lists them.")
@click.option("--all", "is_all", is_flag=True, help="All devices, and all tokens that were issued until now.")
@with_settings("server.data_dir", "store.url", "server.admin_host", "server.admin_port")
def signout(loaded: LoadedSettings, user: str, device_id: str | None, *, is_all: bool) -> None:
    """Sign USER out of a device, or of all (401 signed_out), for good.

    Give one of --device and --all. It does what the user does by POST /v1/signOut: it holds at once, on every server,
    for sockets and waiting requests too, over restarts and takeovers; and he has to sign in again there, under another
    deviceId. To have his tokens refused while his devices stay: rowbox token revoke. The server on this data directory
    does it; where none runs, and the store is the embedded one, this verb does it itself. Reads the secret in the data
    directory, by which the server knows its operator; who is signed out, the owner writes to the store.
    """
    settings = loaded.settings
    if (device_id is None) != is_all:
        raise click.UsageError("give one of --device and --all")
    if device_id is not None and not is_device_id(device_id):
        raise BadRequest(f"--device is a deviceId, {DEVICE_ID_IS}")
    user_id = user_meant(settings.auth, user, "USER")
    gone = _signed_out(settings, user_id, device_id or "")
    named = f": {', '.join(gone)}" if gone else ""
    if device_id is not None:
        click.echo(f"{user_id} is signed out of {device_id}." if gone else f"{user_id} was signed out of it before.")
    else:
        click.echo(f"{user_id} is signed out everywhere, of {len(gone)} devices{named}.")


def _signed_out(settings: Settings, user_id: str, device_id: str) -> tuple[str, ...]:
    body = msgspec.json.encode(SignOutUser(user_id, device_id))
    try:
        answer = asked(settings, SIGN_OUT, body, "the user may be signed out or not: run this again")
        return msgspec.json.decode(answer, type=UserSignedOut).device_ids
    except NoServer as error:
        done = by_itself(settings, error, lambda store: store.port.sign_out(SignOut(user_id, device_id)))
        return tuple(done.device_ids)
