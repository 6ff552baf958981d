"""What changes in a mailbox, also while its owner is too old to say so in one answer.

In a cluster that is being upgraded the mailbox may be on a server that does not know fetchChanges yet. Then the two
older calls say what is new: fetchMessages is waited in, fetchConversation is asked behind it. Their tokens are their
own; the feed's token stays where it is. So when the owner knows the feed, that goes on from there and brings all of it
once more, which does no harm: versions decide. A feed that has no token yet begins with the newest conversations, and
its token is "" until the owner gives one: whoever goes on from "" begins anew.

api/web/client/two_lists.js is the same in JavaScript; tests/client/feed/two_lists.json has what both do.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from rowbox.client.calls.answers import Changes, ConversationPage, MessagePage
from rowbox.client.calls.errors import CallFailed

PEER_TOO_OLD: Final = "peer_too_old"
AGAIN_MS: Final = 10_000
"""After this the owner is asked for the feed again, where it does not say when."""
HELD_S: Final = 10
"""The longest that a poll of the messages is held: what changes in the list alone comes so late at most."""
PAGE_SIZE: Final = 100
_T = TypeVar("_T")


class Get(Protocol):
    """Makes one call of the API. CallFailed; faults as they are."""

    def __call__(
        self, call: str, query: dict[str, str | int | None], kind: type[_T], *, wait_s: int = 0
    ) -> Awaitable[_T]: ...


class TwoLists:
    """The fetches of one following. `clock` gives seconds."""

    def __init__(self, get: Get, clock: Callable[[], float]) -> None:
        self._get = get
        self._clock = clock
        self._again_s = -math.inf
        """When the owner may be asked for the feed."""
        self._messages: str | None = None
        self._conversations: str | None = None

    async def fetch(self, since: str | None, held_s: int) -> Changes:
        """What changed after the feed's token `since`, "" as the answer before may have had; None: a beginning.

        The server holds it for up to `held_s` seconds. CallFailed.
        """
        if self._clock() >= self._again_s:
            try:
                page = await self._get("fetchChanges", {"lastUpdatedTimestamp": since or None}, Changes, wait_s=held_s)
            except CallFailed as error:
                if error.code != PEER_TOO_OLD:
                    raise
                self._again_s = self._clock() + (error.retry_after_ms or AGAIN_MS) / 1000
            else:
                self._messages = self._conversations = None
                return page
        if since is None:
            self._messages = self._conversations = None
        return await self._of_both(since, min(held_s, HELD_S))

    async def _of_both(self, since: str | None, held_s: int) -> Changes:
        """Both tokens move when both answers are there."""
        given: dict[str, Any] = {"pageSize": PAGE_SIZE}
        wait_s = held_s if self._messages is not None else 0
        query = {**given, "lastUpdatedTimestamp": self._messages}
        new = await self._get("fetchMessages", query, MessagePage, wait_s=wait_s)
        listed = await self._get(
            "fetchConversation", {**given, "lastUpdatedTimestamp": self._conversations}, ConversationPage
        )
        self._messages, self._conversations = new.last_updated_timestamp, listed.last_updated_timestamp
        if since is None:
            return _changes((), listed, "", is_beginning=True, has_more=False)
        messages = new.items if new.is_delta_update else new.items[::-1]
        has_more = new.is_delta_update and new.has_more
        return _changes(messages, listed, since, is_beginning=False, has_more=has_more)


def _changes(
    messages: tuple[Any, ...], listed: ConversationPage, token: str, *, is_beginning: bool, has_more: bool
) -> Changes:
    """The oldest change first; of a beginning the newest."""
    as_listed = is_beginning or listed.is_delta_update
    return Changes(
        messages=messages,
        conversations=listed.items if as_listed else listed.items[::-1],
        account=False,
        is_delta_update=not is_beginning,
        last_updated_timestamp=token,
        has_more=has_more,
        reset_reason=None,
        next_cursor=listed.next_cursor if is_beginning else None,
    )
