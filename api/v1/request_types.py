"""The types of requests. They validate requests (requests.py) and make the request half of openapi.json, so what is
documented is what is checked.

Patterns stand in the schema only; requests.py checks them with `fullmatch`, because the `$` of a regular expression
also matches before a final line break.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId
from rowbox.cacheserver.port import MAX_GROUP_RECEIPTS
from rowbox.mailbox.expiry.ttl import MAX_TTL_MS, MIN_TTL_MS
from rowbox.mailbox.representation import ClientMessageId, Id, UserId
from rowbox.mailbox.search.query import MAX_QUERY

MAX_CONTENT_BYTES: Final = 65_535
MAX_EMOJI_BYTES: Final = 64
"""Of UTF-8. The longest emoji that Unicode names takes 35: two persons of two skin tones who kiss."""
MAX_SKIPPED: Final = 10_000
MAX_CONVERSATIONS: Final = 100
MAX_MESSAGES: Final = 200
MAX_RECEIPTS: Final = 50
MAX_FOUND: Final = 100
MAX_CURSOR_CHARACTERS: Final = 1024
MAX_TOKEN_CHARACTERS: Final = 64

SentTime: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 53)]
Content: TypeAlias = Annotated[
    str,
    Meta(
        description=f"1 to {MAX_CONTENT_BYTES} bytes of UTF-8: any Unicode text without lone surrogates.",
        examples=["Hello, Bob"],
        extra_json_schema={"minLength": 1},  # a maxLength would count characters
    ),
]
PageNumber: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_SKIPPED,
        description=f"Pages to skip; pageNumber x pageSize is at most {MAX_SKIPPED}. Not together with cursor or "
        "lastUpdatedTimestamp.",
    ),
]
MessagePageNumber: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_SKIPPED,
        description=f"Pages to skip; pageNumber x pageSize is at most {MAX_SKIPPED}. A page of more than 1 MiB is "
        "page_too_large where its number is given, 0 too. Without a number, by nextCursor and in what came since a "
        "token, it ends early and hasMore is true. Not together with cursor or lastUpdatedTimestamp.",
    ),
]
Token: TypeAlias = Annotated[
    str,
    Meta(
        description="The lastUpdatedTimestamp of an earlier answer to this user, of the same kind and filter: only "
        "what changed since. Opaque. One that cannot be served gets a full page and a resetReason. Not together with "
        "cursor or pageNumber.",
        examples=["1764208500123456.3f9a1c2b7d0b4a539b1f0c6a"],
        extra_json_schema={"minLength": 1, "maxLength": MAX_TOKEN_CHARACTERS},
    ),
]
Cursor: TypeAlias = Annotated[
    str,
    Meta(
        description="The nextCursor of the page before. Opaque. Not together with pageNumber or lastUpdatedTimestamp.",
        extra_json_schema={"minLength": 1, "maxLength": MAX_CURSOR_CHARACTERS},
    ),
]
Wait: TypeAlias = Annotated[
    int,
    Meta(
        description="Seconds to wait where nothing is newer than lastUpdatedTimestamp: 0 to 55, clamped. Ignored "
        "without lastUpdatedTimestamp.",
    ),
]


class SendMessage(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A message: to one recipient, who may be the sender, or to a conversation.

    `recipientId`, or `recepientId` as it was once spelled, or `conversationId`.
    """

    message_content: Content
    client_message_id: ClientMessageId
    sender_id: ActingUserId | UnsetType = UNSET
    recipient_id: Annotated[UserId, Meta(description="To whom; nobody needs to have heard of him.")] | UnsetType = UNSET
    recepient_id: Annotated[UserId, Meta(description="recipientId, as it was once spelled.")] | UnsetType = UNSET
    conversation_id: Annotated[Id, Meta(description="To which group, or conversation of two.")] | UnsetType = UNSET


class MarkReadUpTo(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Read up to and including a message."""

    conversation_id: Annotated[Id, Meta(description="The conversation that is read.")]
    message_id: Annotated[Id, Meta(description="The newest message of it that the user has read.")]
    user_id: ActingUserId | UnsetType = UNSET


class EditMessage(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Another text for a message that the user sent."""

    conversation_id: Annotated[Id, Meta(description="The message's conversation.")]
    message_id: Annotated[Id, Meta(description="The message: one's own.")]
    message_content: Content
    user_id: ActingUserId | UnsetType = UNSET


class UnsendMessage(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A message that the user takes back."""

    conversation_id: Annotated[Id, Meta(description="The message's conversation.")]
    message_id: Annotated[Id, Meta(description="The message: one's own.")]
    user_id: ActingUserId | UnsetType = UNSET


class ReactToMessage(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A reaction of the user to a message, one's own or another's."""

    conversation_id: Annotated[Id, Meta(description="The message's conversation.")]
    message_id: Annotated[Id, Meta(description="The message.")]
    emoji: Annotated[
        str,
        Meta(
            description=f"One emoji of at most {MAX_EMOJI_BYTES} bytes of UTF-8; empty: the user takes his back.",
            examples=["\U0001f44d"],
            extra_json_schema={"maxLength": MAX_EMOJI_BYTES},
        ),
    ]
    user_id: ActingUserId | UnsetType = UNSET


class SetConversationTtl(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """For how long messages of a conversation last."""

    conversation_id: Annotated[Id, Meta(description="The conversation: of two, or a group.")]
    ttl_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_TTL_MS,
            description=f"For so long after their sending, in milliseconds: {MIN_TTL_MS} (an hour) at least, a year at "
            "most. 0: until the server's retention ends them.",
            examples=[86_400_000],
        ),
    ]
    user_id: ActingUserId | UnsetType = UNSET


class SendStatusQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which send to look up: one's own."""

    client_message_id: ClientMessageId
    user_id: ActingUserId | UnsetType = UNSET


class FetchConversationQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which conversations."""

    user_id: ActingUserId | UnsetType = UNSET
    page_number: PageNumber | UnsetType = UNSET
    page_size: Annotated[int, Meta(description=f"Conversations on a page: 1 to {MAX_CONVERSATIONS}, clamped.")] = 20
    last_updated_timestamp: Token | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    wait: Wait = 0


class FetchChangesQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """From where on."""

    user_id: ActingUserId | UnsetType = UNSET
    last_updated_timestamp: (
        Annotated[
            str,
            Meta(
                description="The lastUpdatedTimestamp of an earlier fetchChanges of this user: what changed since. "
                "Opaque. One that cannot be served gets a beginning and a resetReason.",
                examples=["1764208500123456.3f9a1c2b7d0b4a539b1f0c6a"],
                extra_json_schema={"minLength": 1, "maxLength": MAX_TOKEN_CHARACTERS},
            ),
        ]
        | UnsetType
    ) = UNSET
    page_size: Annotated[int, Meta(description=f"Messages in one answer: 1 to {MAX_MESSAGES}, clamped.")] = 100
    wait: Wait = 0


class FetchReceiptsQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Of which messages."""

    conversation_id: Annotated[Id, Meta(description="The messages' conversation.")]
    message_ids: Annotated[
        str,
        Meta(
            description=f"1 to {MAX_RECEIPTS} of one's own messages, with commas between them; of a group 1 to "
            f"{MAX_GROUP_RECEIPTS}.",
            examples=["0192f5a0c0de7abc8123456789abcdef,0192f5a0d1ef7abc8123456789abcdef"],
            extra_json_schema={"pattern": rf"^[0-9a-f]{{32}}(,[0-9a-f]{{32}}){{0,{MAX_RECEIPTS - 1}}}$"},
        ),
    ]
    user_id: ActingUserId | UnsetType = UNSET


class ConnectQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whose mailbox is to be followed."""

    user_id: ActingUserId | UnsetType = UNSET


class SearchQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is looked for, and where."""

    q: Annotated[
        str,
        Meta(
            description=f"Words, 1 to {MAX_QUERY} characters: a message has to have all of them, in any order. The "
            "last one may be the beginning of a word. There is no syntax.",
            examples=["report.pdf frid"],
            extra_json_schema={"minLength": 1, "maxLength": MAX_QUERY},
        ),
    ]
    user_id: ActingUserId | UnsetType = UNSET
    conversation_id: Annotated[Id, Meta(description="Only messages of this conversation.")] | UnsetType = UNSET
    sender_id: Annotated[UserId, Meta(description="Only messages of this user.")] | UnsetType = UNSET
    after: Annotated[SentTime, Meta(description="Only messages sent after this time, in microseconds.")] | UnsetType = (
        UNSET
    )
    before: (
        Annotated[SentTime, Meta(description="Only messages sent before this time, in microseconds.")] | UnsetType
    ) = UNSET
    page_size: Annotated[int, Meta(description=f"Messages on a page: 1 to {MAX_FOUND}, clamped.")] = 20
    cursor: (
        Annotated[
            str,
            Meta(
                description="The nextCursor of the page before, of the same search. Opaque.",
                extra_json_schema={"minLength": 1, "maxLength": MAX_CURSOR_CHARACTERS},
            ),
        ]
        | UnsetType
    ) = UNSET


class FetchMessagesQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which messages; of all conversations where none is named."""

    user_id: ActingUserId | UnsetType = UNSET
    conversation_id: Annotated[Id, Meta(description="Only its messages; by default those of all.")] | UnsetType = UNSET
    page_number: MessagePageNumber | UnsetType = UNSET
    page_size: Annotated[
        int, Meta(description=f"Messages on a page, or in one delta: 1 to {MAX_MESSAGES}, clamped.")
    ] = 50
    last_updated_timestamp: Token | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    wait: Wait = 0


class EventsQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where a stream begins."""

    last_updated_timestamp: Token | UnsetType = UNSET
