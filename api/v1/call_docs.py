"""What the OpenAPI document says of each call, beyond what its types say."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from rowbox.api.v1.request_types import (
    FetchConversationQuery,
    FetchMessagesQuery,
    MarkReadUpTo,
    SendMessage,
    SendStatusQuery,
)
from rowbox.api.v1.responses import (
    FetchConversationResponse,
    FetchMessagesResponse,
    MarkReadResponse,
    SendMessageResponse,
)


class CallDoc(Struct, frozen=True):
    """One call. `request` is its body for a POST, its query otherwise."""

    name: str
    method: str
    summary: str
    request: type[Struct]
    answers: dict[int, str]
    response: type[Struct]
    problems: Sequence[str] = ()
    is_poll: bool = False
    names_a_send: bool = False
    """Its answer says for how long a clientMessageId is known."""


CALLS: Final = (
    CallDoc(
        "sendMessage",
        "post",
        "Sends a message, once for each clientMessageId, whatever is retried.",
        SendMessage,
        {201: "Sent.", 200: "An earlier request with this clientMessageId and the same payload had sent it."},
        SendMessageResponse,
        ("message_too_large", "unsupported_media_type", "client_message_id_reused"),
        names_a_send=True,
    ),
    CallDoc(
        "sendStatus",
        "get",
        "What became of one's own send.",
        SendStatusQuery,
        {200: "It was applied."},
        SendMessageResponse,
        ("unknown_client_message_id",),
        names_a_send=True,
    ),
    CallDoc(
        "markRead",
        "post",
        "Marks a conversation read up to and including a message; never moves back. Counts against the send limit.",
        MarkReadUpTo,
        {200: "The conversation afterwards."},
        MarkReadResponse,
        ("unknown_conversation", "unknown_message", "message_too_large", "unsupported_media_type"),
    ),
    CallDoc(
        "fetchConversation",
        "get",
        "A page of one's conversations, or those that changed since a token.",
        FetchConversationQuery,
        {200: "A page, or what changed."},
        FetchConversationResponse,
        is_poll=True,
    ),
    CallDoc(
        "fetchMessages",
        "get",
        "A page of messages of one conversation or of all, or those that came since a token.",
        FetchMessagesQuery,
        {200: "A page, or what came."},
        FetchMessagesResponse,
        ("unknown_conversation", "page_too_large"),
        is_poll=True,
    ),
)
