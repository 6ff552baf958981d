"""The types of answers. They encode the small answers and make the response half of openapi.json.

Pages are joined from items whose JSON was kept (mailbox/representation.py). The types of pages serve the schema and the
tests, which decode every page with them, so that the two cannot drift apart.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import Changed
from rowbox.cacheserver.port import (
    ChangeResult,
    Changes,
    Found,
    MarkReadResult,
    Page,
    ReceiptsResult,
    SendResult,
    TtlResult,
)
from rowbox.mailbox.pages.changes_body import ChangesTail, encode_changes
from rowbox.mailbox.receipts import MemberReceipt
from rowbox.mailbox.representation import (
    Conversation,
    ConversationId,
    Message,
    MessageId,
    SentTimestamp,
    Timestamp,
    UnreadCount,
    UserId,
    Version,
)

SOCKET_PATH: Final = "/v1/ws"
CONNECT_MS: Final = 300_000
"""How long an address is said to be of use. The mailbox may move before that, which does no harm."""

Count: TypeAlias = Annotated[int, Meta(ge=0)]


class SendMessageResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A message as it stands in the sender's mailbox."""

    message_id: MessageId
    conversation_id: ConversationId
    sent_timestamp: SentTimestamp
    last_updated_timestamp: Version
    pending_recipients: Annotated[Count, Meta(description="Recipients whose mailbox does not show it yet.")]
    duplicate: Annotated[bool, Meta(description="An earlier request with this clientMessageId had sent it.")]


class SetTtlResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A conversation for whose messages somebody said how long they last."""

    conversation_id: ConversationId
    last_updated_timestamp: Annotated[
        int, Meta(ge=0, description="The conversation's version; of a group, the group's.", examples=[1763380800000123])
    ]
    changed: Annotated[bool, Meta(description="False: it was so before, or an earlier try of this request did it.")]


class MarkReadResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The conversation after the read mark moved, or did not have to."""

    conversation_id: ConversationId
    unread_count: UnreadCount
    last_updated_timestamp: Version


class ChangeMessageResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A message that was changed, as it stands in the mailbox of the user who asked for that."""

    message_id: MessageId
    last_updated_timestamp: Version
    changed: Changed


class MemberState(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What another participant has of a message."""

    user_id: UserId
    state: Annotated[
        Literal["sent", "delivered", "read"],
        Meta(description="Delivered: one of his devices has the message. Read: he has read up to it, or further."),
    ]
    read_timestamp: Annotated[
        Timestamp | None,
        Meta(
            description="When he read it, to a few seconds; null where he has not, or where it is not known any more: "
            "in a conversation of two of all but the newest that he has read, in a group of all but those of his "
            "read mark's last four moves."
        ),
    ]


class MessageReceiptsState(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who has a message, and who has read it."""

    message_id: MessageId
    delivered_to: Annotated[Count, Meta(description="How many of `members` have it, those who have read it too.")]
    read_by: Annotated[Count, Meta(description="How many of `members` have read it.")]
    members: Annotated[
        list[MemberState],
        Meta(
            description="The other participant; of a group who was in when it was sent and still is, but for the user."
        ),
    ]


class FetchReceiptsResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who has got and read the messages."""

    receipts: Annotated[list[MessageReceiptsState], Meta(description="In the order in which they were asked for.")]
    as_of: Annotated[
        Timestamp, Meta(description="When any of it last changed, in this mailbox or for the group; 0: it never did.")
    ]


class ConnectResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where to open a socket."""

    url: Annotated[
        str,
        Meta(
            description="The address of a WebSocket (GET /v1/ws): ws:// or wss://.",
            examples=["wss://chat-1.example.com/v1/ws"],
        ),
    ]
    expires_in_ms: Annotated[int, Meta(ge=0, description="After this time ask again: the mailbox may have moved.")]


class SearchTail(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What stands after the messages that a search found."""

    next_cursor: Annotated[
        str | None,
        Meta(
            description="The cursor of the next page; null on the last one. A page may be short, or empty, and still "
            "have a next one."
        ),
    ]
    complete: Annotated[
        bool,
        Meta(
            description="False: the mailbox's index is still being made, the newest messages first. The same search "
            "finds more soon."
        ),
    ]
    last_updated_timestamp: Annotated[Version, Meta(description="The mailbox's version that was searched. No token.")]


class SearchResponse(SearchTail, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a search found."""

    messages: Annotated[list[Message], Meta(description="The newest first.")]


class PageTail(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What stands after the items of a page."""

    is_delta_update: Annotated[
        bool, Meta(description="The items are what changed since the token; false: a page, replacing what one has.")
    ]
    last_updated_timestamp: Annotated[
        str | None,
        Meta(description="The token for the next call of this kind and filter, opaque; null for a numbered page."),
    ]
    has_more: Annotated[
        bool, Meta(description="Whether there is more: behind nextCursor, or in a delta behind the token.")
    ]
    next_cursor: Annotated[
        str | None, Meta(description="The cursor of the next page; null on the last one and in a delta.")
    ]
    reset_reason: Annotated[
        Literal["too_many", "future", "expired", "restored", "foreign"] | None,
        Meta(
            description="Why a token or a cursor got a full first page: it is too far behind (too_many, expired) or "
            "ahead (future), the store was put back from a copy since (restored), or it is not of this user, call and "
            "filter (foreign)."
        ),
    ]
    retry_after_ms: (
        Annotated[int, Meta(ge=0, description="The server is stopping: come back after this time.")] | UnsetType
    ) = UNSET


class FetchConversationResponse(PageTail, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A page of conversations, the one with the newest message first."""

    conversations: Annotated[list[Conversation], Meta(description="The one with the newest message first.")]


class FetchMessagesResponse(PageTail, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A page of messages."""

    messages: Annotated[list[Message], Meta(description="The newest first; in a delta the one that came first.")]


class FetchChangesResponse(ChangesTail, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What changed in a mailbox, each in its newest state."""

    messages: Annotated[list[Message], Meta(description="Those that came, in the order in which they came.")]
    conversations: Annotated[
        list[Conversation],
        Meta(description="Those that changed, the one that changed last last; of a beginning, as fetchConversation's."),
    ]


_encode = msgspec.json.Encoder().encode


def encode_send(result: SendResult) -> bytes:
    """The body of a SendMessageResponse."""
    return _encode(
        SendMessageResponse(
            message_id=result.message_id.hex(),
            conversation_id=result.conversation_id.hex(),
            sent_timestamp=result.sent_timestamp,
            last_updated_timestamp=result.last_updated_timestamp,
            pending_recipients=result.pending_recipients,
            duplicate=result.duplicate,
        )
    )


def encode_mark_read(result: MarkReadResult) -> bytes:
    """The body of a MarkReadResponse."""
    return _encode(
        MarkReadResponse(
            conversation_id=result.conversation_id.hex(),
            unread_count=result.unread_count,
            last_updated_timestamp=result.last_updated_timestamp,
        )
    )


def encode_set_ttl(result: TtlResult) -> bytes:
    """The body of a SetTtlResponse."""
    return _encode(
        SetTtlResponse(
            conversation_id=result.conversation_id.hex(),
            last_updated_timestamp=result.last_updated_timestamp,
            changed=result.changed,
        )
    )


def encode_change(result: ChangeResult) -> bytes:
    """The body of a ChangeMessageResponse."""
    return _encode(
        ChangeMessageResponse(
            message_id=result.message_id.hex(),
            last_updated_timestamp=result.last_updated_timestamp,
            changed=result.changed,
        )
    )


def encode_receipts(result: ReceiptsResult) -> bytes:
    """The body of a FetchReceiptsResponse."""
    return _encode(
        FetchReceiptsResponse(
            receipts=[
                MessageReceiptsState(
                    message_id=one.message_id.hex(),
                    delivered_to=sum(member.is_delivered for member in one.members),
                    read_by=sum(member.is_read for member in one.members),
                    members=[_member_state(member) for member in one.members],
                )
                for one in result.receipts
            ],
            as_of=result.as_of,
        )
    )


def encode_connect(address: str) -> bytes:
    """The body of a ConnectResponse. `address`: of the server, http(s) or ws(s)."""
    scheme, _, place = address.rstrip("/").partition("://")
    secure = "wss" if scheme in {"https", "wss"} else "ws"
    return _encode(ConnectResponse(url=f"{secure}://{place}{SOCKET_PATH}", expires_in_ms=CONNECT_MS))


def _member_state(member: MemberReceipt) -> MemberState:
    state: Literal["sent", "delivered", "read"] = "delivered" if member.is_delivered else "sent"
    return MemberState(
        user_id=member.user_id,
        state="read" if member.is_read else state,
        read_timestamp=member.read_us or None,
    )


def encode_found(found: Found) -> bytes:
    """The body of a SearchResponse."""
    tail = _encode(
        SearchTail(next_cursor=found.next_cursor, complete=found.complete, last_updated_timestamp=found.as_of)
    )
    return b'{"messages":[%b],%b' % (b",".join(found.messages), tail[1:])


def encode_page(name: Literal["conversations", "messages"], page: Page) -> bytes:
    """The body of a page: its items joined as they are, between the name of their list and the PageTail."""
    tail = _encode(
        PageTail(
            is_delta_update=page.is_delta,
            last_updated_timestamp=page.token,
            has_more=page.has_more,
            next_cursor=page.next_cursor,
            reset_reason=page.reset_reason,  # type: ignore[arg-type]  # the port's texts; a test decodes every answer
            retry_after_ms=UNSET if page.retry_after_ms is None else page.retry_after_ms,
        )
    )
    return b'{"%b":[%b],%b' % (name.encode(), b",".join(page.items), tail[1:])


def encode_feed(changes: Changes) -> bytes:
    """The body of a FetchChangesResponse."""
    tail = ChangesTail(
        account=changes.account,
        is_delta_update=changes.is_delta,
        last_updated_timestamp=changes.token,
        has_more=changes.has_more,
        reset_reason=changes.reset_reason,  # type: ignore[arg-type]  # as in encode_page
        next_cursor=changes.next_cursor,
        retry_after_ms=UNSET if changes.retry_after_ms is None else changes.retry_after_ms,
    )
    return encode_changes(changes.messages, changes.conversations, tail)
