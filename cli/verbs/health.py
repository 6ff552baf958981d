"""`rowbox health`: asks a running server, over its admin port, whether it lives or should get traffic."""

import http.client
from typing import Final

import click
import msgspec

from rowbox.cli.admin_address import admin_address
from rowbox.cli.options import with_settings
from rowbox.mailbox.settings.config import LoadedSettings

DEADLINE_S: Final = 5.0


class _Health(msgspec.Struct):
    """The part of the answers of /healthz and /readyz that this verb reads."""

    reasons: tuple[str, ...] = ()


@click.command("health")
@click.option("--ready", is_flag=True, help="Ask whether it should get traffic, and not only whether it lives.")
@with_settings("server.admin_host", "server.admin_port")
def command(loaded: LoadedSettings, *, ready: bool) -> None:
    """Say whether the server on this machine lives; exit with 1 where it does not. For a container's health check.

    A standby lives, but is not ready: restarting it would help nobody. Reads what the admin port answers, and writes
    nothing.
    """
    host, port = admin_address(loaded.settings)
    try:
        status, reasons = _ask(host, port, "/readyz?verbose" if ready else "/healthz")
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        reason = " ".join(str(error).split())  # a broken answer is quoted in it, line breaks and all
        raise click.ClickException(f"no Rowbox answers at {host}, admin port {port}: {reason}") from error
    if status != http.client.OK:
        raise click.ClickException(f"not ready: {', '.join(reasons) or f'status {status}'}")
    click.echo("ready" if ready else "alive")


def _ask(host: str, port: int, path: str) -> tuple[int, tuple[str, ...]]:
    """The answer's status, and the reasons it names."""
    connection = http.client.HTTPConnection(host, port, timeout=DEADLINE_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, msgspec.json.decode(response.read(), type=_Health).reasons
    finally:
        connection.close()
