"""The types of these calls: they validate requests, encode answers, and make a part of openapi.json."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId, Changed
from rowbox.cacheserver.port import AccountResult, RequestsShown
from rowbox.mailbox.ids import ID_BYTES, to_text
from rowbox.mailbox.people.own_settings import LATEST_US, MOST_PINNED
from rowbox.mailbox.representation import Conversation, ConversationId, Id, Version

CURSOR_PATTERN: Final = f"^[0-9a-f]{{{4 * ID_BYTES}}}$"
DEFAULT_REQUESTS: Final = 20
MAX_REQUESTS: Final = 100


class SetConversation(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is to be set of a conversation: what is left out stays."""

    conversation_id: Annotated[Id, Meta(description="A conversation of the user.")]
    muted_until: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=LATEST_US,
                description="Microseconds since the epoch: before that time no message of it is to call the user. A "
                f"time that has passed, or 0, ends it; {LATEST_US} is for good.",
                examples=[1764237600000000],
            ),
        ]
        | UnsetType
    ) = UNSET
    archived: Annotated[bool, Meta(description="Put away, until a message comes, or for as long as it is muted.")] | (
        UnsetType
    ) = UNSET
    pinned: Annotated[bool, Meta(description=f"Shown above all others: {MOST_PINNED} may be.")] | UnsetType = UNSET
    marked_unread: Annotated[bool, Meta(description="Until markRead, or until the user writes.")] | UnsetType = UNSET
    request: (
        Annotated[
            bool,
            Meta(
                description="`false` accepts a conversation that a stranger began; nothing makes it a request again.",
                examples=[False],
                extra_json_schema={"const": False},
            ),
        ]
        | UnsetType
    ) = UNSET
    user_id: ActingUserId | UnsetType = UNSET


class DeleteConversation(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A conversation of which the user deletes his copy."""

    conversation_id: Annotated[Id, Meta(description="A conversation of the user.")]
    user_id: ActingUserId | UnsetType = UNSET


class FetchRequestsQuery(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which of the conversations that wait to be accepted."""

    cursor: (
        Annotated[
            str, Meta(description="The nextCursor of the page before.", extra_json_schema={"pattern": CURSOR_PATTERN})
        ]
        | UnsetType
    ) = UNSET
    page_size: Annotated[int, Meta(ge=1, le=MAX_REQUESTS, description="How many at most.")] = DEFAULT_REQUESTS
    user_id: ActingUserId | UnsetType = UNSET


class FetchRequestsResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Conversations that wait to be accepted, the one with the newest message first."""

    conversations: Annotated[list[Conversation], Meta(description="The one with the newest message first.")]
    next_cursor: Annotated[str | None, Meta(description="Of the page behind it; null where there is none.")]


class SetConversationResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A conversation after its user has set it, or has deleted his copy."""

    conversation_id: ConversationId
    last_updated_timestamp: Version
    changed: Changed


_encode = msgspec.json.Encoder().encode


def encode_set(conversation_id: bytes, result: AccountResult) -> bytes:
    """The body of a SetConversationResponse."""
    return _encode(
        SetConversationResponse(
            conversation_id=to_text(conversation_id),
            last_updated_timestamp=result.version,
            changed=result.changed,
        )
    )


def encode_requests(shown: RequestsShown) -> bytes:
    """The body of a FetchRequestsResponse: its items joined as they are."""
    cursor = _encode(shown.following.hex() if shown.following is not None else None)
    return b'{"conversations":[%b],"nextCursor":%b}' % (b",".join(shown.conversations), cursor)
