"""`rowbox mailbox hidden`: what is hidden from a user of those whom he blocks."""

from collections.abc import Iterator

import click
import msgspec
import orjson

from rowbox.api.operator.hidden import HIDDEN, PAGE, AskHidden
from rowbox.cacheserver.port import FetchHidden, HiddenPage, HiddenShown
from rowbox.cli.operator import NoServer
from rowbox.cli.options import with_settings
from rowbox.cli.times import time_text
from rowbox.cli.verbs.tokens.at_the_owner import asked, by_itself
from rowbox.cli.verbs.tokens.subjects import user_meant
from rowbox.mailbox.ids import sent_timestamp, to_text
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.settings.config import LoadedSettings, Settings


@click.command("hidden")
@click.argument("user", metavar="USER")
@with_settings("server.data_dir", "store.url", "server.admin_host", "server.admin_port")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each line; times in microseconds.")
def hidden(loaded: LoadedSettings, user: str, *, as_json: bool) -> None:
    """Show what is hidden from USER: messages of those whom he blocks, and what they did to messages.

    It shows what people wrote, and no other verb does: look only where something was reported. Each look is in the log
    of the server that has the mailbox (GET /v1/fetchHidden is the same for administrators). The server on this data
    directory is asked; where none runs, and the store is the embedded one, this verb reads it itself, and the log is
    what this verb prints on stderr. Reads only: mailboxes, and the secret in the data directory by which the server
    knows its operator.
    """
    settings = loaded.settings
    user_id = user_meant(settings.auth, user, "USER")
    count = 0
    for page in _pages(settings, user_id):
        count += len(page.messages)
        for one in page.messages:
            click.echo(_as_json(one) if as_json else _as_text(one))
    if not count and not as_json:
        click.echo(f"Nothing is hidden from {user_id}.")


def _pages(settings: Settings, user_id: str) -> Iterator[HiddenPage]:
    behind: tuple[bytes, bytes] | None = None
    while True:
        page = _page(settings, user_id, behind)
        yield page
        if page.next is None:
            return
        behind = page.next


def _page(settings: Settings, user_id: str, behind: tuple[bytes, bytes] | None) -> HiddenPage:
    body = msgspec.json.encode(AskHidden(user_id, behind))
    try:
        return msgspec.json.decode(asked(settings, HIDDEN, body, "run this again"), type=HiddenPage)
    except NoServer as error:
        request = FetchHidden(user_id, PAGE, PAGE_BYTES, behind)
        return by_itself(settings, error, lambda store: store.port.fetch_hidden(request))


def _as_text(one: HiddenShown) -> str:
    what = [f"{reaction.user_id} reacts {reaction.emoji}" for reaction in one.reactions if reaction.emoji]
    if one.change is not None:
        what.insert(0, "taken back" if one.change.is_unsent else "edited")
    done = f" ({', '.join(what)})" if what else ""
    return f"{time_text(one.hidden_us)}  {to_text(one.message_id)} {one.sender_id}{done}: {_one_line(one.content)}"


def _one_line(text: str) -> str:
    """A text as one line, which cannot be mistaken for another one, nor do anything to the terminal."""
    return text if text.isprintable() else orjson.dumps(text).decode()


def _as_json(one: HiddenShown) -> bytes:
    change = one.change
    return orjson.dumps(
        {
            "messageId": to_text(one.message_id),
            "conversationId": to_text(one.conversation_id),
            "senderId": one.sender_id,
            "messageContent": one.content,
            "sentTimestamp": sent_timestamp(one.message_id),
            "hiddenTimestamp": one.hidden_us,
            "editedTimestamp": change.version if change is not None and not change.is_unsent else None,
            "unsent": change is not None and change.is_unsent,
            "reactions": [{"userId": one.user_id, "emoji": one.emoji} for one in one.reactions],
        }
    )
