"""What clients get, as types: they encode the small answers and make the response half of openapi.json.

Pages are joined from items that were encoded when they were stored (mailbox/message.py, conversation.py). The types of
the items are here for the schema and for the tests, which decode every page with them: neither side can drift.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.request_types import ClientMessageId, Id, OtherUserId
from rowbox.cacheserver.port import MarkReadResult, Page, SendResult

Timestamp: TypeAlias = Annotated[int, Meta(ge=0, description="Microseconds since the epoch.")]
SentTimestamp: TypeAlias = Annotated[
    Timestamp,
    Meta(description="When it was sent, in microseconds since the epoch: the same in every mailbox, and the order."),
]
Version: TypeAlias = Annotated[
    Timestamp,
    Meta(description="When it last changed in this mailbox, in microseconds since the epoch. It is not a token."),
]
MessageId: TypeAlias = Annotated[Id, Meta(description="The message, in every mailbox.")]
ConversationId: TypeAlias = Annotated[Id, Meta(description="The conversation: the same for all who are in it.")]
Participants: TypeAlias = Annotated[
    list[OtherUserId],
    Meta(description="All who are in the conversation, the user too; one where he writes to himself."),
]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
UnreadCount: TypeAlias = Annotated[
    int,
    Meta(ge=0, le=1000, description="Others' messages behind the mark that are still there: to 999, then 1000."),
]


class SendMessageResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A message as it stands in the sender's mailbox."""

    message_id: MessageId
    conversation_id: ConversationId
    sent_timestamp: SentTimestamp
    last_updated_timestamp: Version
    pending_recipients: Annotated[Count, Meta(description="Recipients whose mailbox does not show it yet.")]
    duplicate: Annotated[bool, Meta(description="An earlier request with this clientMessageId had sent it.")]


class MarkReadResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The conversation after the read mark moved, or did not have to."""

    conversation_id: ConversationId
    unread_count: UnreadCount
    last_updated_timestamp: Version


class Conversation(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A conversation as one of its participants sees it."""

    conversation_id: ConversationId
    participants: Participants
    snippet: Annotated[
        str | None, Meta(description="First 100 characters of the newest message; null once retention took that.")
    ]
    last_updated_timestamp: Version
    last_message_id: Annotated[Id, Meta(description="The newest message.")]
    last_sender_id: Annotated[
        OtherUserId | None, Meta(description="Whose the newest message is; null where that was not kept yet.")
    ]
    last_sent_timestamp: Annotated[Timestamp, Meta(description="When the newest message was sent, in microseconds.")]
    unread_count: UnreadCount


class Message(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One user's copy of a message."""

    message_id: MessageId
    conversation_id: ConversationId
    sender_id: Annotated[OtherUserId, Meta(description="Who sent it.")]
    participants: Participants
    message_content: Annotated[str, Meta(description="The text, as it was sent.")]
    sent_timestamp: SentTimestamp
    last_updated_timestamp: Version
    client_message_id: Annotated[ClientMessageId, Meta(description="Only in the sender's own copy.")] | UnsetType = (
        UNSET
    )


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
