"""Follows the list of conversations as it changes: by a new message, by a read mark, by retention."""

from collections.abc import AsyncIterator
from typing import Self

from msgspec import Struct

from rowbox.client.calls.answers import Conversation, ConversationPage
from rowbox.client.following.polls import Polls


class ConversationChange(Struct, kw_only=True, frozen=True):
    """Conversations in their newest state, the one with the newest message first. Of several changes of a conversation
    only the last is there.

    Each replaces what the program knows of that conversation. Where `is_reset`, they replace the program's whole list.
    """

    conversations: tuple[Conversation, ...]
    is_reset: bool
    """Whether these are the newest page, in place of the program's list. True for the first change of a follower
    without a token, and of one whose token the server cannot serve."""
    reason: str | None
    """Why the token was not served: "too_many" (changes), "future", "restored" or "foreign"; None where no token was
    given."""
    next_cursor: str | None
    """With a reset, the cursor for `client.conversations(cursor=...)`, which continues with older ones; None where
    there are none."""
    token: str
    """The token from which to follow on when this change is dealt with."""


class FollowConversations(AsyncIterator[ConversationChange]):
    """The changes of one mailbox's list. One reader at a time. It ends and fails as `Follow` does (follow.py)."""

    def __init__(self, polls: Polls[ConversationPage]) -> None:
        self._polls = polls

    @property
    def token(self) -> str | None:
        """The token of the last change that was given."""
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
