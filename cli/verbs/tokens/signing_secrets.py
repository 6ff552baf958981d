"""`rowbox token rotate`, `retire` and `secrets`: change and list the secrets of a data directory."""

from datetime import UTC, datetime
from pathlib import Path

import click

from rowbox.cli import secret_rotation
from rowbox.cli.options import with_settings
from rowbox.mailbox.settings.config import LoadedSettings


@click.command()
@with_settings("server.data_dir")
def rotate(loaded: LoadedSettings) -> None:
    """Make a new secret that signs tokens; those of the one before count on.

    Servers that share the data directory notice it at the first token of the new one, or at SIGHUP. When the tokens of
    the previous secret have expired, end it with `rowbox token retire`. Reads and writes the secrets in the data
    directory, and nothing else.
    """
    secret_rotation.rotate(Path(loaded.settings.server.data_dir))
    click.echo("A new secret signs tokens. Those of the previous one count until `rowbox token retire`.")


@click.command()
@with_settings("server.data_dir")
def retire(loaded: LoadedSettings) -> None:
    """End the previous secret: tokens that it signed are refused.

    A server on the data directory notices it within a minute, or at once at SIGHUP (`systemctl reload`). Reads and
    writes the secrets in the data directory, and nothing else.
    """
    secret_rotation.retire(Path(loaded.settings.server.data_dir))
    click.echo("The previous secret is gone. Servers refuse its tokens within a minute, or at once at SIGHUP.")


@click.command()
@with_settings("server.data_dir")
def secrets(loaded: LoadedSettings) -> None:
    """List the secrets of the data directory: what each is for, since when it is there, and a name to compare.

    Reads them, and writes nothing.
    """
    for one in secret_rotation.shown(Path(loaded.settings.server.data_dir)):
        written = datetime.fromtimestamp(one.written_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        click.echo(f"{one.fingerprint}  {one.role:<18}  since {written}")
