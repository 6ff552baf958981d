"""`rowbox mailbox tail`: the changes of one mailbox, as they are committed."""

import asyncio
from collections.abc import AsyncIterator

import click
import orjson

from rowbox.cacheserver.check.mailbox_summary import changes_after, summary_of
from rowbox.cli.options import with_settings
from rowbox.cli.times import time_text
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.cli.walk import opened
from rowbox.mailbox.cells import ChangeKind, LogCell
from rowbox.mailbox.ids import to_text
from rowbox.mailbox.settings.config import LoadedSettings, Settings

EVERY_S = 1.0
"""Between two looks at the mailbox."""
KIND_WORDS = {
    ChangeKind.MESSAGE: "message",
    ChangeKind.READ_MARK: "read mark",
    ChangeKind.EXPIRY: "expiry",
    ChangeKind.EDIT: "edit",
    ChangeKind.UNSEND: "unsend",
    ChangeKind.REACTION: "reaction",
    ChangeKind.GROUP: "group",
    ChangeKind.RECEIPT: "receipt",
    ChangeKind.ACCOUNT: "account",
    ChangeKind.SETTINGS: "settings",
    ChangeKind.TTL: "ttl",
}


@click.command("tail")
@click.argument("user", metavar="USER")
@with_settings("server.data_dir", "store.url")
@click.option("--all", "from_start", is_flag=True, help="Begin with all changes that the log still has.")
@click.option("--no-follow", "once", is_flag=True, help="End after what is there.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each change; times in microseconds.")
def tail(loaded: LoadedSettings, user: str, *, from_start: bool, once: bool, as_json: bool) -> None:
    """Print the changes of the mailbox of USER as they come, until Ctrl-C.

    Reads only, about once a second, and shows nothing of what somebody wrote. May run beside the server.
    """
    settings = loaded.settings
    user_id = user_meant(settings.auth, user, "USER")
    try:
        asyncio.run(_print(settings, user_id, from_start=from_start, once=once, as_json=as_json))
    except KeyboardInterrupt:
        return


async def _print(settings: Settings, user_id: str, *, from_start: bool, once: bool, as_json: bool) -> None:
    async for change in _changes(settings, user_id, from_start=from_start, once=once):
        click.echo(_as_json(change) if as_json else _as_text(change))


async def _changes(settings: Settings, user_id: str, *, from_start: bool, once: bool) -> AsyncIterator[LogCell]:
    """Opens the store for each look: an embedded one is seen as it was when it was opened."""
    seen = 0
    if not from_start:
        async with opened(settings) as store:
            seen = (await summary_of(store, user_id)).head
    while True:
        async with opened(settings) as store:
            async for change in changes_after(store, user_id, seen):
                seen = change.version
                yield change
        if once:
            return
        await asyncio.sleep(EVERY_S)


def _as_text(change: LogCell) -> str:
    about = [to_text(one) for one in (change.conversation_id, change.message_id) if any(one)]
    return f"{time_text(change.version)}  {_kind(change):<10} {' '.join(about)}"


def _kind(change: LogCell) -> str:
    return KIND_WORDS[change.kind] if isinstance(change.kind, ChangeKind) else f"kind {change.kind}"


def _as_json(change: LogCell) -> bytes:
    return orjson.dumps(
        {
            "version": change.version,
            "kind": _kind(change),
            "conversationId": to_text(change.conversation_id) or None,
            "messageId": to_text(change.message_id) or None,
        }
    )
