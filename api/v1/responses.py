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
Count: TypeAlias = Annotated[int, Meta(ge=0)]


class SendMessageResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A message as it stands in the sender's mailbox."""

    message_id: Id
    conversation_id: Id
    sent_timestamp: Timestamp
    last_updated_timestamp: Timestamp
    pending_recipients: Annotated[Count, Meta(description="Recipients whose mailbox does not show it yet.")]
    duplicate: Annotated[bool, Meta(description="An earlier request with this clientMessageId had sent it.")]


class MarkReadResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The conversation after the read mark moved, or did not have to."""

    conversation_id: Id
    unread_count: Annotated[
        int,
        Meta(ge=0, le=1000, description="Others' messages behind the mark that are still there: to 999, then 1000."),
    ]
    last_updated_timestamp: Timestamp


class Conversation(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A conversation as one of its participants sees it."""

    conversation_id: Id
    participants: list[OtherUserId]
    snippet: Annotated[
        str | None, Meta(description="First 100 characters of the newest message; null once retention took that.")
    ]
    last_updated_timestamp: Timestamp
    last_message_id: Id
    last_sender_id: Annotated[
        OtherUserId | None, Meta(description="Whose the newest message is; null where that was not kept yet.")
    ]
    last_sent_timestamp: Timestamp
    unread_count: Annotated[
        int,
        Meta(ge=0, le=1000, description="Others' messages behind the mark that are still there: to 999, then 1000."),
    ]


class Message(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One user's copy of a message."""

    message_id: Id
    conversation_id: Id
    sender_id: OtherUserId
    participants: list[OtherUserId]
    message_content: str
    sent_timestamp: Timestamp
    last_updated_timestamp: Timestamp
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
    has_more: bool
    next_cursor: str | None
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

    conversations: list[Conversation]


class FetchMessagesResponse(PageTail, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A page of messages."""

    messages: list[Message]


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
