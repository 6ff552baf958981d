"""Tokens and cursors: where a client stands. Opaque text outside, numbers inside: this is where one becomes the other.

token    The mailbox's head as of an answer: a version. "Everything up to here I have."
cursor   A place in a list and the token of the list's first page. Every page of a list returns that one token, so what
         is written between two pages is in the next delta: nothing is missed, whatever moves meanwhile.

Example: page one of the conversations was answered at head 70 and ended with conversation X. Its cursor is
(conversations, token 70, position of X). Before page two is asked for, Y (not yet shown) gets a message at version 71
and moves to the top, above the cursor: page two does not show it, the delta from token 70 does.

A version means nothing by itself: it is a place in the changes of one user, of which a list shows some, in one history
of the store. A store that was put back from a copy gives the versions of the lost time a second time, to other changes.
So both carry what they are bound to: the history, and the user with the list. Neither is signed: whoever makes one up
gets pages of his own mailbox that he has to make sense of himself.
"""

import binascii
import re
from base64 import b64decode
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.errors import BadRequest

BOUND_BYTES = 6
"""Of the history, and of the user with the list. By chance two are alike once in 2**48."""
MOST_REMEMBERED = 10_000
"""Lists whose bookmarks are kept: about 5 MB."""


class ListKind(StrEnum):
    """What a token or a cursor is for."""

    CONVERSATIONS = "c"
    MESSAGES = "m"
    ALL_MESSAGES = "a"


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """What a cursor says, in the order of its bytes. `position` is the list's own.

    `bound_to` is the history and the user with the list, empty in one that was given before there was such a thing.
    """

    kind: ListKind
    token: int | None
    conversation_id: bytes
    position: bytes
    bound_to: bytes = b""


class Place(NamedTuple):
    """Where a page begins: behind `position`, and the token that all pages of the list return."""

    token: int | None
    position: bytes


Start = int | Place | None
"""Where a fetch begins: behind a version, at a cursor's place, or at the beginning."""


class ResetReason(StrEnum):
    """Why a token or a cursor was answered with a full first page."""

    FUTURE = "future"
    EXPIRED = "expired"
    TOO_MANY = "too_many"
    RESTORED = "restored"
    """It was given in another history of the store: before it was put back from a copy."""
    FOREIGN = "foreign"
    """It was given for another user, another kind of call or another filter, or by a Rowbox that did not say which."""


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_TOKEN = re.compile(r"(0|[1-9][0-9]{0,15})(?:\.([0-9a-f]{24}))?")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Cursor).decode


class Bookmarks:
    """Makes and reads the tokens and cursors of one list of one user, in one history."""

    __slots__ = ("_bound", "_tag", "conversation_id", "kind")

    def __init__(self, history: bytes, user_id: str, kind: ListKind, conversation_id: bytes | None) -> None:
        """`history`: BOUND_BYTES. `conversation_id` is None but for MESSAGES."""
        self.kind = kind
        self.conversation_id = conversation_id
        # A userId holds no zero byte.
        name = f"{kind}{user_id}\0".encode() + (conversation_id or b"")
        listed = blake2b(name, digest_size=BOUND_BYTES).digest()
        self._bound = history + listed
        self._tag = self._bound.hex()

    def token(self, version: int) -> str:
        """The token of a version."""
        return f"{version}.{self._tag}"

    def read_token(self, text: str) -> int | ResetReason:
        """The version of a token of this list, or why it is none; BadRequest where no server ever gave such a text.

        A number alone is what the first Rowbox gave. 0 is the beginning in any history.
        """
        version, _, tag = text.partition(".")
        if tag == self._tag and version.isdecimal() and version.isascii() and (version[0] != "0" or version == "0"):
            return int(version)
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise BadRequest("lastUpdatedTimestamp is not a token that this call has given")
        if match[2] is None:
            return 0 if version == "0" else ResetReason.FOREIGN
        return self._why_not(bytes.fromhex(tag))

    def cursor(self, token: int | None, position: bytes) -> str:
        """The cursor of the place behind `position` in a list whose first page had `token`."""
        packed = _pack(Cursor(self.kind, token, self.conversation_id or b"", position, self._bound))
        # As base64.urlsafe_b64encode, at a third of its time: every page that has a next one gets a cursor.
        return binascii.b2a_base64(packed, newline=False).translate(_URL_SAFE, b"=").decode("ascii")

    def read_cursor(self, text: str) -> Place | ResetReason:
        """The place that a cursor of this list names, or why there is none; BadRequest for one of another list."""
        cursor = decode_cursor(text)
        if cursor.kind is not self.kind or cursor.conversation_id != (self.conversation_id or b""):
            raise BadRequest("cursor belongs to another list")
        if cursor.bound_to == self._bound:
            return Place(cursor.token, cursor.position)
        if cursor.bound_to and self._why_not(cursor.bound_to) is ResetReason.FOREIGN:
            raise BadRequest("cursor belongs to another user")
        return ResetReason.RESTORED if cursor.bound_to else ResetReason.FOREIGN

    def _why_not(self, bound: bytes) -> ResetReason:
        is_of_history = bound[:BOUND_BYTES] == self._bound[:BOUND_BYTES]
        return ResetReason.FOREIGN if is_of_history else ResetReason.RESTORED


class Bookmarker:
    """Gives the bookmarks of every list, in one history of the store."""

    def __init__(self, history: bytes) -> None:
        """`history` is the store's (cacheserver/stores/history.py)."""
        self._history = history[:BOUND_BYTES]
        self.of = lru_cache(MOST_REMEMBERED)(self._of)
        """(user_id, kind, conversation_id) -> Bookmarks. Remembered: each fetch asks for one."""

    def _of(self, user_id: str, kind: ListKind, conversation_id: bytes | None = None) -> Bookmarks:
        return Bookmarks(self._history, user_id, kind, conversation_id)


def decode_cursor(text: str) -> Cursor:
    """What a cursor says, whosever it is; BadRequest where `text` is none."""
    try:
        padding = "=" * (-len(text) % 4)
        return _unpack(b64decode(text + padding, altchars=b"-_", validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BadRequest("cursor is not one that this call has given") from error


def reset_reason(token: int, head: int, *, born: int, now_us: int, token_life_ms: int) -> ResetReason | None:
    """Why the changes after `token` cannot be given from the log; None when they can.

    token == head always can. A log that is younger than the tokens' life reaches back to the mailbox's first change
    (`born`), and then every token can, 0 included; so it does where nothing that is shown ever changed (`born` 0).
    """
    if token == head:
        return None
    if token > head:
        return ResetReason.FUTURE
    oldest = now_us - token_life_ms * US_PER_MS
    if token < oldest and 0 < born < oldest:
        return ResetReason.EXPIRED
    return None
