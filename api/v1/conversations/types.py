"""The types of these calls: they validate requests, encode answers, and make a part of openapi.json."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowbox.api.v1.reading.fields import ActingUserId
from rowbox.cacheserver.port import AccountResult
from rowbox.mailbox.ids import to_text
from rowbox.mailbox.people.own_settings import LATEST_US, MOST_PINNED
from rowbox.mailbox.representation import ConversationId, Id, Version


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
    user_id: ActingUserId | UnsetType = UNSET


class DeleteConversation(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A conversation of which the user deletes his copy."""

    conversation_id: Annotated[Id, Meta(description="A conversation of the user.")]
    user_id: ActingUserId | UnsetType = UNSET


class SetConversationResponse(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A conversation after its user has set it, or has deleted his copy."""

    conversation_id: ConversationId
    last_updated_timestamp: Version
    changed: Annotated[
        bool, Meta(description="False: it was so already, by this request's first try or by an earlier one.")
    ]


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
