"""The list of conversations as it changes: a new message, something read, what retention ends."""

from collections.abc import AsyncIterator
from typing import Self

from msgspec import Struct

from rowbox.client.answers import Conversation, ConversationPage
from rowbox.client.polls import Polls


class ConversationChange(Struct, kw_only=True, frozen=True):
    """Conversations in their newest state, the one with the newest message first: of each only the last of several
    changes. They replace what is known of them; where `is_reset`, of all.
    """

    conversations: tuple[Conversation, ...]
    is_reset: bool
    """The newest page, in place of what one has: the first change without a token, or for one that is not served."""
    reason: str | None
    """Why the token was not served: "too_many" changed, "future", "restored", "foreign"; None where none was given."""
    next_cursor: str | None
    """Of a reset: where older ones continue, `client.conversations(cursor=...)`; None: there are none."""
    token: str
    """Where to follow on from, once this change is dealt with."""


class FollowConversations(AsyncIterator[ConversationChange]):
    """The changes of one mailbox's list. One reader at a time. It ends and fails as `Follow` does (follow.py)."""

    def __init__(self, polls: Polls[ConversationPage]) -> None:
        self._polls = polls

    @property
    def token(self) -> str | None:
        """Up to where changes were given."""
        return self._polls.reached

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConversationChange:
        while True:
            page = await self._polls.next()
            if page.items or not page.is_delta_update:
                return ConversationChange(
                    conversations=page.items,
                    is_reset=not page.is_delta_update,
                    reason=page.reset_reason,
                    next_cursor=page.next_cursor,
                    token=page.last_updated_timestamp,
                )
