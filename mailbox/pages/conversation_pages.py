"""Which conversations a fetch answers with. Pure: everything is in the index, nothing is read."""

from collections.abc import Sequence
from typing import NamedTuple

from rowbox.mailbox.aggregate.index import Position
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.pages.cursor import Bookmarks, Place, ResetReason

MAX_DELTA = 200
"""A delta of more conversations is a full page instead."""


class ConversationPage(NamedTuple):
    """A page of the list, or a delta of it: see rowbox.cacheserver.port.Page for the fields.

    `token` is the version that the page's token names. `ended` names the conversations in it whose states tell of what
    retention has taken. They are shown without that, as far as a state alone can say it: for a count and a version that
    are exact they are to be settled.
    """

    items: Sequence[bytes]
    is_delta: bool
    token: int | None
    next_cursor: str | None = None
    reset: ResetReason | None = None
    ended: Sequence[bytes] = ()


def numbered_page(mailbox: Mailbox, bookmarks: Bookmarks, number: int, size: int, horizon: int) -> ConversationPage:
    """Page `number` of all conversations, newest message first; only page 0 has a token."""
    found = mailbox.index.newest(number * size, size + 1)
    return _page(mailbox, bookmarks, found, size, mailbox.head if number == 0 else None, horizon)


def page_after(mailbox: Mailbox, bookmarks: Bookmarks, place: Place, size: int, horizon: int) -> ConversationPage:
    """The page behind the place of a cursor. BadRequest when this list has no such place."""
    found = mailbox.index.below(_parse(place.position), size + 1)
    return _page(mailbox, bookmarks, found, size, place.token, horizon)


def changes_since(mailbox: Mailbox, bookmarks: Bookmarks, token: int, size: int, horizon: int) -> ConversationPage:
    """Every conversation changed after `token`, once; a full first page where that cannot be said.

    What has ended and is not settled has not changed yet: whoever asks has all of it settled before.
    """
    if token == mailbox.head:
        return ConversationPage((), True, token)
    changed = None if token > mailbox.head else mailbox.index.changed_since(token, MAX_DELTA)
    if changed is None:
        reason = ResetReason.FUTURE if token > mailbox.head else ResetReason.TOO_MANY
        return numbered_page(mailbox, bookmarks, 0, size, horizon)._replace(reset=reason)
    return ConversationPage(_encode(mailbox, changed, horizon), True, mailbox.head)


def has_delta(mailbox: Mailbox, token: int) -> bool:
    """Whether what changed after `token` is given as a delta."""
    return token <= mailbox.head and mailbox.index.changed_since(token, MAX_DELTA) is not None


def _page(
    mailbox: Mailbox, bookmarks: Bookmarks, found: list[Position], size: int, token: int | None, horizon: int
) -> ConversationPage:
    shown = found[:size]
    next_cursor = None
    if len(found) > size:
        next_cursor = bookmarks.cursor(token, shown[-1])
    ended = mailbox.index.ended_of(shown, horizon)
    return ConversationPage(_encode(mailbox, shown, horizon), False, token, next_cursor, None, ended)


def _encode(mailbox: Mailbox, positions: list[Position], horizon: int) -> list[bytes]:
    json_of = mailbox.index.json_of
    return [json_of(position[ID_BYTES:], horizon) for position in positions]


def _parse(position: bytes) -> Position:
    if len(position) != 2 * ID_BYTES:
        raise BadRequest("cursor is not one that this call has given")
    return position
