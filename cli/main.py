"""The command `rowbox`: its verbs, each imported when it is called, and what an error looks like to an operator."""

import importlib
import os
import signal
from collections.abc import Mapping
from typing import Any, Final

import click

from rowbox import __version__
from rowbox.cacheserver.stores.files.private import UMASK
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import ConfigError

VERBS: Final[Mapping[str, str]] = {
    "serve": "Run the server: HTTP API, owner of the mailboxes and store in one process.",
    "token": "Print a token for a user; change the secrets that sign tokens.",
    "check": "Look for broken invariants in the whole store.",
    "audit": "Prove, beside servers at work, that a sample's messages are in all mailboxes they belong to.",
    "mailbox": "Look into one user's mailbox, and repair it.",
    "user": "Look at what is known of one user.",
    "stats": "Say what is in the store.",
    "cluster": "Show the state of a cluster, in one screen.",
    "nodes": "Show the servers of a cluster, and change what they own.",
    "shards": "Show who owns which shard, and move shards by hand.",
    "schema": "Make the table of an HBase store, or say what differs from the plan.",
    "ring": "Show where shards are among nodes, and what joins and leaves move.",
    "push": "Make the key by which push services know the servers.",
    "clock": "Show what the store remembers of the time, or say that the clock is right.",
    "doctor": "Check what the server relies on: folder and device, or an HBase cluster.",
    "backup": "Copy an embedded store as of now, beside its server or without one.",
    "restore": "Put a backup in an embedded store's place.",
    "restored": "End a restore: say that the store was put back from a copy.",
    "health": "Say whether the server on this machine lives.",
    "config": "Show, check or print the settings.",
}
"""Each verb is `command` in a module of its name in rowbox.cli.verbs, or in the folder there that FOLDERS names. Its
help stands here, so that printing it imports no verb.
"""

FOLDERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("check", "audit", "mailbox", "user", "stats"), "mail"),
    **dict.fromkeys(("cluster", "nodes", "shards"), "cluster"),
}

EXIT_CODES: Final[Mapping[str, str]] = {
    "0": "It is done. A server: it was told to stop, and has.",
    "1": "It failed, and the last line on stderr says why; or a verb that looks at something found what is wrong.",
    "2": "The command line or a setting cannot be used: stderr names it, and nothing was begun.",
    "128 + N": "Signal N ended it. What it had begun to make is removed, unless that was SIGKILL (137).",
}
"""The exit codes of every verb, for scripts and supervisors."""


def module_of(verb: str) -> str:
    """The name of the module that holds the verb."""
    return ".".join(filter(None, ("rowbox.cli.verbs", FOLDERS.get(verb), verb)))


class LazyGroup(click.Group):
    """A group that imports a verb when it is called: `rowbox token` must not wait for a server to be imported.

    What a verb raises on purpose becomes one line on stderr: a RowboxError exits with 1, a ConfigError with 2, as
    click's own errors of usage do. Anything else is a bug and keeps its traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        if cmd_name == "serve":  # before its imports, which take so long that an operator may reload in between
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        command: click.Command = importlib.import_module(module_of(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl(list(EXIT_CODES.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RowboxError as error:
            raise click.ClickException(str(error)) from error
        except ConfigError as error:
            raise click.UsageError(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rowbox")
def main() -> None:
    """Rowbox: a per-user mailbox store for chat."""
    os.umask(UMASK)  # every file that a verb or RocksDB makes may hold mail or keys
