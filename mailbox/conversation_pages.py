"""Which conversations a fetch answers with. Pure: everything is in the index, nothing is read."""

from collections.abc import Sequence
from typing import NamedTuple

from rowbox.mailbox.cursor import Bookmarks, Place, ResetReason
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.index import Position
from rowbox.mailbox.mailbox import Mailbox

MAX_DELTA = 200
"""A delta of more conversations is a full page instead."""


class ConversationPage(NamedTuple):
    """A page of the list, or a delta of it: see rowbox.cacheserver.port.Page for the fields.

    `token` is the version that the page's token names.
    """

    items: Sequence[bytes]
    is_delta: bool
    token: int | None
    next_cursor: str | None = None
    reset: ResetReason | None = None


def numbered_page(mailbox: Mailbox, bookmarks: Bookmarks, number: int, size: int, now_us: int) -> ConversationPage:
    """Page `number` of all conversations, newest message first; only page 0 has a token."""
    found = mailbox.index.newest(number * size, size + 1)
    return _page(mailbox, bookmarks, found, size, mailbox.head if number == 0 else None, now_us)


def page_after(mailbox: Mailbox, bookmarks: Bookmarks, place: Place, size: int, now_us: int) -> ConversationPage:
    """The page behind the place of a cursor. BadRequest when this list has no such place."""
    found = mailbox.index.below(_parse(place.position), size + 1)
    return _page(mailbox, bookmarks, found, size, place.token, now_us)


def changes_since(mailbox: Mailbox, bookmarks: Bookmarks, token: int, size: int, now_us: int) -> ConversationPage:
    """Every conversation changed after `token`, once; a full first page where that cannot be said."""
    if token == mailbox.head:
        return ConversationPage((), True, token)
    changed = None if token > mailbox.head else mailbox.index.changed_since(token, MAX_DELTA)
    if changed is None:
        reason = ResetReason.FUTURE if token > mailbox.head else ResetReason.TOO_MANY
        return numbered_page(mailbox, bookmarks, 0, size, now_us)._replace(reset=reason)
    return ConversationPage(_encode(mailbox, changed, now_us), True, mailbox.head)


def _page(
    mailbox: Mailbox, bookmarks: Bookmarks, found: list[Position], size: int, token: int | None, now_us: int
) -> ConversationPage:
    shown = found[:size]
    next_cursor = None
    if len(found) > size:
        next_cursor = bookmarks.cursor(token, shown[-1])
    return ConversationPage(_encode(mailbox, shown, now_us), False, token, next_cursor)


def _encode(mailbox: Mailbox, positions: list[Position], now_us: int) -> list[bytes]:
    json_of, retention_ms = mailbox.index.json_of, mailbox.limits.retention_ms
    return [json_of(position[ID_BYTES:], now_us, retention_ms) for position in positions]


def _parse(position: bytes) -> Position:
    if len(position) != 2 * ID_BYTES:
        raise BadRequest("cursor is not one that this call has given")
    return position
