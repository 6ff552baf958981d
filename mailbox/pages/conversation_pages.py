"""The pages and deltas of the list of conversations. Pure: the whole index is in memory, so the store is not read."""

from collections.abc import Sequence

import msgspec

from rowbox.mailbox.aggregate.index import Position
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.pages.cursor import Place, ResetReason
from rowbox.mailbox.pages.page_request import PageRequest

MAX_DELTA = 200
"""The most conversations in a delta. Where more have changed, the answer is a full first page."""


class ConversationPage(msgspec.Struct, frozen=True, gc=False):
    """A page of the list, or a delta of it. The fields of the same name are those of rowbox.cacheserver.port.Page.

    `token` is the version that the page's token names. `ended` names conversations of the page whose states still tell
    of messages that retention has taken. The page leaves those messages out as far as a state alone allows; the exact
    unread count and version are there only after the conversation is settled.
    """

    items: Sequence[bytes]
    is_delta: bool
    token: int | None
    next_cursor: str | None = None
    reset: ResetReason | None = None
    ended: Sequence[bytes] = ()


def conversation_page(mailbox: Mailbox, asked: PageRequest, horizon: int) -> ConversationPage:
    """The page that is asked for, newest message first. BadRequest where the list has no such place."""
    start = asked.start
    if isinstance(start, ResetReason):
        return msgspec.structs.replace(_numbered(mailbox, asked, horizon), reset=start)
    if isinstance(start, Place):
        found = mailbox.index.below(_parse(start.position), asked.size + 1)
        return _page(mailbox, asked, found, start.token, horizon)
    if start is not None:
        return _changes(mailbox, asked, start, horizon)
    return _numbered(mailbox, asked, horizon)


def _numbered(mailbox: Mailbox, asked: PageRequest, horizon: int) -> ConversationPage:
    """Page number 0, 1, ... of all conversations. Only page 0 has a token."""
    number, size = asked.number or 0, asked.size
    found = mailbox.index.newest(number * size, size + 1)
    return _page(mailbox, asked, found, mailbox.head if number == 0 else None, horizon)


def _changes(mailbox: Mailbox, asked: PageRequest, token: int, horizon: int) -> ConversationPage:
    """Every conversation that changed after the version `token`, once each; a full first page where more than MAX_DELTA
    changed, or the token cannot be served.

    The caller has to settle ended conversations before, because one that is not settled does not count as changed yet.
    """
    if token == mailbox.head:
        return ConversationPage((), True, token)
    changed = None if token > mailbox.head else mailbox.index.changed_since(token, MAX_DELTA)
    if changed is None:
        reason = ResetReason.FUTURE if token > mailbox.head else ResetReason.TOO_MANY
        return msgspec.structs.replace(_numbered(mailbox, asked, horizon), reset=reason)
    return ConversationPage(_encode(mailbox, changed, horizon), True, mailbox.head)


def has_delta(mailbox: Mailbox, token: int) -> bool:
    """Whether what changed after `token` is given as a delta."""
    return token <= mailbox.head and mailbox.index.changed_since(token, MAX_DELTA) is not None


def _page(
    mailbox: Mailbox, asked: PageRequest, found: list[Position], token: int | None, horizon: int
) -> ConversationPage:
    """The page of `found`, the positions of one conversation more than it shows where there are more."""
    shown = found[: asked.size]
    next_cursor = None
    if len(found) > asked.size:
        next_cursor = asked.bookmarks.cursor(token, shown[-1])
    ended = mailbox.index.ended_of(shown, horizon)
    return ConversationPage(_encode(mailbox, shown, horizon), False, token, next_cursor, None, ended)


def _encode(mailbox: Mailbox, positions: list[Position], horizon: int) -> list[bytes]:
    json_of = mailbox.index.json_of
    return [json_of(position[ID_BYTES:], horizon) for position in positions]


def _parse(position: bytes) -> Position:
    if len(position) != 2 * ID_BYTES:
        raise BadRequest("cursor is not one that this call has given")
    return position
