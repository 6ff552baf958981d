"""The one encoding of a page of the feed, as clients get it: an answer's body, and what is pushed to who follows.

The items are JSON already. It stands below the API, because an owner makes the bytes of a commit for its followers.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

_encode: Final = msgspec.json.Encoder().encode


class ChangesTail(Struct, rename="camel", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What stands after the messages and conversations of a page of the feed."""

    account: Annotated[bool, Meta(description="Something of the user himself changed: profile, devices, settings.")]
    is_delta_update: Annotated[
        bool, Meta(description="These are changes since the token; false: a beginning, drop what you have.")
    ]
    last_updated_timestamp: Annotated[str, Meta(description="The token for the next fetchChanges, opaque.")]
    has_more: Annotated[bool, Meta(description="Whether there are changes behind the token: call again with it.")]
    reset_reason: Annotated[
        Literal["future", "expired", "restored", "foreign"] | None,
        Meta(
            description="Why a token got a beginning: it is too far behind (expired) or ahead (future), the store was "
            "put back from a copy since (restored), or it is not of this user and call (foreign)."
        ),
    ]
    next_cursor: Annotated[
        str | None,
        Meta(description="With a beginning: fetchConversation's cursor behind these conversations; null: that is all."),
    ]
    retry_after_ms: (
        Annotated[int, Meta(ge=0, description="The server is stopping: come back after this time.")] | UnsetType
    ) = UNSET


def encode_changes(messages: Sequence[bytes], conversations: Sequence[bytes], tail: ChangesTail) -> bytes:
    """The body: the lists of items, joined as they are, and the fields of `tail`."""
    return _BODY % (b",".join(messages), b",".join(conversations), _encode(tail)[1:])


def encode_commit(
    messages: Sequence[bytes], conversations: Sequence[bytes], token: str, *, account: bool = False
) -> bytes:
    """`encode_changes` with the tail of a page that is one commit, up to `token`.

    Owners make one for each commit that somebody follows, and only the token differs, and rarely `account`.
    """
    before, after = _TAILS_OF_A_COMMIT[account]
    tail = b"%b%b%b" % (before, token.encode(), after)
    return _BODY % (b",".join(messages), b",".join(conversations), tail)


def _tail_of_a_commit(*, account: bool) -> tuple[bytes, bytes]:
    """What stands before and behind the token: a token needs no escapes."""
    tail = ChangesTail(
        account=account,
        is_delta_update=True,
        last_updated_timestamp="@",
        has_more=False,
        reset_reason=None,
        next_cursor=None,
    )
    before, _, after = _encode(tail)[1:].partition(b"@")
    return before, after


_BODY: Final = b'{"messages":[%b],"conversations":[%b],%b'
_TAILS_OF_A_COMMIT: Final = {account: _tail_of_a_commit(account=account) for account in (False, True)}
