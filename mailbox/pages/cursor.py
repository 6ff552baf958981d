"""Tokens and cursors, which say where a client stands. Clients have them as opaque text, the code has numbers; this
module turns one into the other.

token    The mailbox's head when the answer was made: a version. The client has everything up to it.
cursor   A place in a list and the token of the list's first page. Every page of a list returns that one token, so a
         change that is written between two pages is in the next delta, and no change is missed.

Example: page one of the conversations was answered at head 70 and ended with conversation X. Its cursor is
(conversations, token 70, position of X). Before page two is asked for, Y (not yet shown) gets a message at version 71
and moves to the top, above the cursor. Page two does not show Y; the delta from token 70 does.

A version is a place among the changes of one user in one history of the store; a list shows some of these changes. A
store that was put back from a copy gives the versions of the lost time a second time, to other changes. So tokens and
cursors carry what they are bound to: the history, and the user with the list. They are not signed, because a client
that makes one up only gets pages of its own mailbox that do not fit together.
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
"""Bytes of the history, and of the hash of user and list, in a token or cursor. Two are equal by chance once in
2**48."""
MOST_REMEMBERED = 10_000
"""The number of lists whose Bookmarks are kept, in about 5 MB."""


class ListKind(StrEnum):
    """The kind of list that a token or a cursor is for."""

    CONVERSATIONS = "c"
    MESSAGES = "m"
    ALL_MESSAGES = "a"
    CHANGES = "f"
    """All that changes in a mailbox: the feed (feed.py). It has tokens, and no cursors of its own."""
    SEARCH = "s"
    """What a search finds: in place of a conversation its list has an id of what is looked for. It has no tokens."""


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The fields of a cursor, in the order of its bytes. Each kind of list decides what `position` holds.

    `bound_to` is the history and the hash of user and list. It is empty in cursors of versions that did not know it.
    """

    kind: ListKind
    token: int | None
    conversation_id: bytes
    position: bytes
    bound_to: bytes = b""


class Place(NamedTuple):
    """Where a page begins (behind `position`), and the token that all pages of the list return."""

    token: int | None
    position: bytes


Start = int | Place | None
"""Where a fetch begins: a version, behind which a delta begins; a cursor's place; or the beginning."""


class ResetReason(StrEnum):
    """Why a token or a cursor was answered with a full first page."""

    FUTURE = "future"
    EXPIRED = "expired"
    TOO_MANY = "too_many"
    RESTORED = "restored"
    """It was given in another history of the store, before the store was put back from a copy."""
    FOREIGN = "foreign"
    """It was given for another user, call or filter, or by a version of Rowbox that did not write these into it."""


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_TOKEN = re.compile(r"(0|[1-9][0-9]{0,15})(?:\.([0-9a-f]{24}))?")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Cursor).decode


class Bookmarks:
    """Makes and reads the tokens and cursors of one list of one user, in one history."""

    __slots__ = ("_bound", "_tag", "conversation_id", "kind")

    def __init__(self, history: bytes, user_id: str, kind: ListKind, conversation_id: bytes | None) -> None:
        """`history` is the store's, of BOUND_BYTES. `conversation_id` is None but for a list of MESSAGES."""
        self.kind = kind
        self.conversation_id = conversation_id
        # The zero byte divides the parts unambiguously, because no userId holds one.
        name = f"{kind}{user_id}\0".encode() + (conversation_id or b"")
        listed = blake2b(name, digest_size=BOUND_BYTES).digest()
        self._bound = history + listed
        self._tag = self._bound.hex()

    def token(self, version: int) -> str:
        """The token of a version."""
        return f"{version}.{self._tag}"

    def read_token(self, text: str) -> int | ResetReason:
        """The version of a token of this list, or the reason why it resets. BadRequest where `text` is not a token at
        all.

        The first version of Rowbox gave a number alone; of these only 0, the beginning, is valid in every history.
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
        """The place that a cursor of this list names, or the reason why it resets.

        BadRequest for another list's cursor.
        """
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


def version_of(token: str) -> int:
    """The version that a token of any list names; of two tokens of one list, the later one has the greater. BadRequest.

    For whoever compares tokens that a mailbox has given. Whether a client's token is of the list, Bookmarks says.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise BadRequest("not a token that a mailbox has given")
    return int(match[1])


class Bookmarker:
    """Gives the bookmarks of every list, in one history of the store."""

    def __init__(self, history: bytes) -> None:
        """`history` is the store's (cacheserver/stores/history.py)."""
        self._history = history[:BOUND_BYTES]
        self.of = lru_cache(MOST_REMEMBERED)(self._of)
        """Returns the Bookmarks of (user_id, kind, conversation_id). They are remembered, because each fetch asks for
        one."""

    def _of(self, user_id: str, kind: ListKind, conversation_id: bytes | None = None) -> Bookmarks:
        return Bookmarks(self._history, user_id, kind, conversation_id)


def decode_cursor(text: str) -> Cursor:
    """The fields of a cursor of any user and list. BadRequest where `text` is no cursor."""
    try:
        padding = "=" * (-len(text) % 4)
        return _unpack(b64decode(text + padding, altchars=b"-_", validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise BadRequest("cursor is not one that this call has given") from error


def reset_reason(token: int, head: int, *, born: int, now_us: int, token_life_ms: int) -> ResetReason | None:
    """Why the changes after the version `token` cannot be given from the log; None where they can.

    A token that equals the head can always be served. A log that is younger than the tokens' life reaches back to the
    mailbox's first change, whose version is `born`; then every token can be served, 0 too. The same holds where nothing
    that is shown ever changed (`born` is 0).
    """
    if token == head:
        return None
    if token > head:
        return ResetReason.FUTURE
    oldest = now_us - token_life_ms * US_PER_MS
    if token < oldest and 0 < born < oldest:
        return ResetReason.EXPIRED
    return None
