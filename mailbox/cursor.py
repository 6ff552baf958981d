"""Tokens and cursors: where a client stands.

token    The mailbox's head as of an answer: a version, in the open. "Everything up to here I have."
cursor   A place in a list and the token of the list's first page, as opaque text. Every page of a list returns that one
         token, so what is written between two pages is in the next delta: nothing is missed, whatever moves meanwhile.

Example: page one of the conversations was answered at head 70 and ended with conversation X. Its cursor is
(conversations, token 70, position of X). Before page two is asked for, Y (not yet shown) gets a message at version 71
and moves to the top, above the cursor: page two does not show it, the delta from token 70 does.
"""

import base64
import binascii
from enum import StrEnum

import msgspec

from rowbox.mailbox.clock import US_PER_MS
from rowbox.mailbox.errors import BadRequest


class CursorKind(StrEnum):
    """Which list a cursor belongs to."""

    CONVERSATIONS = "c"
    MESSAGES = "m"
    ALL_MESSAGES = "a"


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list. `position` is the list's own: see rowbox.mailbox.pages."""

    kind: CursorKind
    token: int | None
    conversation_id: bytes
    position: bytes


class ResetReason(StrEnum):
    """Why a token was answered with a full page."""

    FUTURE = "future"
    EXPIRED = "expired"
    TOO_MANY = "too_many"


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Cursor).decode


def to_text(cursor: Cursor) -> str:
    """A cursor as clients see it."""
    # As base64.urlsafe_b64encode, at a third of its time: every page that has a next one gets a cursor.
    return binascii.b2a_base64(_pack(cursor), newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def from_text(text: str, kind: CursorKind, conversation_id: bytes = b"") -> Cursor:
    """The inverse of `to_text`; BadRequest where `text` is no cursor of this list."""
    try:
        padding = "=" * (-len(text) % 4)
        cursor = _unpack(base64.b64decode(text + padding, altchars=b"-_", validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BadRequest("cursor is not one that this call has given") from error
    if cursor.kind is not kind or cursor.conversation_id != conversation_id:
        raise BadRequest("cursor belongs to another list")
    return cursor


def reset_reason(token: int, head: int, *, born: int, now_us: int, token_life_ms: int) -> ResetReason | None:
    """Why the changes after `token` cannot be given from the log; None when they can.

    token == head always can. A log that is younger than the tokens' life reaches back to the mailbox's first change
    (`born`), and then every token can, 0 included.
    """
    if token == head:
        return None
    if token > head:
        return ResetReason.FUTURE
    oldest = now_us - token_life_ms * US_PER_MS
    if token < oldest and born < oldest:
        return ResetReason.EXPIRED
    return None
