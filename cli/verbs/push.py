"""`rowbox push`: what telling devices needs beside the settings."""

import os
from pathlib import Path

import click

from rowbox.mailbox.errors import StoreUnusable


@click.group()
def command() -> None:
    """Make the key by which push services know the servers (docs/how-to/push.md)."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def keys(file: Path) -> None:
    """Write a new key to FILE, which must not exist, and print the settings that use it.

    All servers of a store need the same file. Browsers subscribe with its public half: with another key all
    subscriptions end, so keep a copy. Needs the extra `rowbox[push]`; reads nothing, and writes nothing
    else.
    """
    try:
        from rowbox.cacheserver.push.services.web_push import made_key, read_key, server_key_of
    except ImportError as error:
        raise StoreUnusable("Web Push needs an extra: pip install 'rowbox[push]'") from error
    key = made_key()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(key)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise StoreUnusable(f"{file}: {error.strerror}; a key that is in use is not replaced") from error
    click.echo(f"# The public half, which fetchDevices gives to browsers: {server_key_of(read_key(key))}")
    click.echo(f'[push]\nvapid_key_file = "{file.absolute()}"\ncontact = "mailto:you@example.com"')
