"""The call by which administrators see what is hidden of those whom a user blocks: its types, how it is read, what is
said of it.
"""

import re
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import ReadUserId, given
from rowbox.cacheserver.port import FetchHidden, HiddenPage, HiddenShown
from rowbox.mailbox.errors import BadRequest, Forbidden
from rowbox.mailbox.ids import sent_timestamp, to_text
from rowbox.mailbox.reactions import tallies_of
from rowbox.mailbox.representation import ConversationId, MessageId, Reaction, SentTimestamp, Timestamp, UserId

DEFAULT_HIDDEN: Final = 50
MAX_HIDDEN: Final = 200
_CURSOR: Final = re.compile("[0-9a-f]{32}(?:[0-9a-f]{32})?")
_ID_DIGITS: Final = 32


class FetchHiddenQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whose hidden messages, and which of them."""

    user_id: Annotated[UserId, Meta(description="From whom they are hidden.")]
    cursor: Annotated[str, Meta(description="From `nextCursor` of the page before.")] | UnsetType = UNSET
    page_size: Annotated[int, Meta(ge=1, le=MAX_HIDDEN, description="How many messages at most.")] = DEFAULT_HIDDEN


class HiddenMessage(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What was kept of a message at one time. Of one message there are several, where something was done to it."""

    message_id: MessageId
    conversation_id: ConversationId
    sender_id: Annotated[UserId, Meta(description="Who sent the message.")]
    message_content: Annotated[
        str,
        Meta(
            description="The text, as it was sent or edited; empty where it was taken back, and where somebody has "
            "reacted to a message that is shown."
        ),
    ]
    sent_timestamp: SentTimestamp
    hidden_timestamp: Annotated[Timestamp, Meta(description="When it came into this mailbox.")]
    edited_timestamp: Annotated[Timestamp, Meta(description="When it was edited.")] | UnsetType = UNSET
    unsent: Annotated[bool, Meta(description="True: by this it was taken back.")] | UnsetType = UNSET
    reactions: Annotated[list[Reaction], Meta(description="Reactions to it.")] | UnsetType = UNSET


class FetchHiddenResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is hidden from a user."""

    messages: Annotated[
        list[HiddenMessage],
        Meta(
            description="By conversation, in each the newest message first, of each message what was kept first. A "
            "page may have few, or none, and a `nextCursor` all the same."
        ),
    ]
    next_cursor: Annotated[str | None, Meta(description="The cursor of the next page; null on the last one.")]


_parse: Final = QueryParser(FetchHiddenQuery).parse
_encode: Final = msgspec.json.Encoder().encode


def parse_fetch_hidden(query: str, claims: Claims, max_bytes: int, read_user_id: ReadUserId) -> FetchHidden:
    """Whose hidden messages a query asks for. BadRequest, UnknownParameter; Forbidden but for administrators."""
    request = _parse(query)
    if not claims.is_admin:
        raise Forbidden("what is hidden is shown to tokens with the scope admin alone")
    user_id = read_user_id(request.user_id, "userId")
    behind = _place(given(request.cursor))
    return FetchHidden(user_id, request.page_size, max_bytes, behind, claims.bearer)


def encode_hidden(user_id: str, page: HiddenPage) -> bytes:
    """The body of a FetchHiddenResponse."""
    cursor = "".join(map(to_text, filter(None, page.next))) if page.next is not None else None
    messages = [_message(one, user_id) for one in page.messages]
    return _encode(FetchHiddenResponse(messages=messages, next_cursor=cursor))


def _place(cursor: str | None) -> tuple[bytes, bytes] | None:
    if cursor is None:
        return None
    if _CURSOR.fullmatch(cursor) is None:
        raise BadRequest("cursor is none that a page has named")
    return bytes.fromhex(cursor[:_ID_DIGITS]), bytes.fromhex(cursor[_ID_DIGITS:])


def _message(one: HiddenShown, user_id: str) -> HiddenMessage:
    change = one.change
    tallies = tallies_of(one.reactions, user_id)
    reactions = [Reaction(tally.emoji, tally.count, tally.users, tally.is_mine) for tally in tallies]
    return HiddenMessage(
        message_id=to_text(one.message_id),
        conversation_id=to_text(one.conversation_id),
        sender_id=one.sender_id,
        message_content=one.content,
        sent_timestamp=sent_timestamp(one.message_id),
        hidden_timestamp=one.hidden_us,
        edited_timestamp=UNSET if change is None or change.is_unsent else change.version,
        unsent=True if change is not None and change.is_unsent else UNSET,
        reactions=reactions or UNSET,
    )


_HIDDEN: Final = """\
What came of people while the user blocked them (`block`), with what they did to messages meanwhile: for whoever judges
what was reported. Only for tokens of the scope admin; the user himself is never shown it.

Of a message are kept its first text, its last one, and that it was taken back, each by itself: a message of which that
is so stands here several times. Kept as long as messages are. Each page that is answered is noted in the server's log,
with who asked. Counts against the user's fetch limit, as other calls of administrators for him do."""

HIDDEN_CALLS: Final = (
    CallDoc(
        "fetchHidden",
        "get",
        "What is hidden of those whom a user blocks: for administrators.",
        _HIDDEN,
        FetchHiddenQuery,
        {200: "A page of it."},
        FetchHiddenResponse,
        ("peer_too_old",),
    ),
)
