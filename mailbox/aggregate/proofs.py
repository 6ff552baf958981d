"""What the clients of a mailbox have proven to have, as far as it is kept: in memory, since the mailbox was loaded.

A client that comes back with a token that a delta has given has everything up to the token's version. The token of a
page looks the same and proves nothing: the client was shown the newest messages, or no more than a list with snippets.
So it is kept at which versions pages were given. After a load that is forgotten, and the token of a page from before it
passes for one of a delta; but no token proves more than what came within FRESH_US before it then.
"""

from typing import Final

from rowbox.mailbox.clocks.clock import US_PER_S

FRESH_US: Final = 60 * US_PER_S
"""What the first token after a load proves: what came within this time before it. What is older was proven before, or
each load would have the authors of all that is unread told once more."""
MOST_KEPT: Final = 64
"""Conversations, and versions of pages, of which something is kept."""


class Proofs:
    """The proofs of one mailbox. Versions are the mailbox's."""

    __slots__ = ("_given", "_of", "_pages", "_up_to")

    def __init__(self) -> None:
        self._up_to = 0
        self._of: dict[bytes, int] | None = None
        """By conversation, what is proven of it alone."""
        self._given = 0
        """Where the last delta with messages has ended."""
        self._pages: dict[int, None] | None = None
        """The versions at which pages were given and no delta with messages has ended, the oldest first."""

    def gave_page(self, version: int) -> None:
        """A page as of `version` was given, and its token with it."""
        if version != self._given:
            self._keep_page(version)

    def gave_delta(self, since: int, reached: int, *, has_messages: bool) -> None:
        """A delta from `since` to `reached` was given. One without messages behind a page shows no more than that."""
        if has_messages:
            self._given = reached
            if self._pages:
                self._pages.pop(reached, None)
        elif self._pages and since in self._pages:
            self._keep_page(reached)

    def prove(self, version: int, conversation_id: bytes | None = None) -> int | None:
        """A client has come back with the token of `version`, of all that changed, or of a conversation.

        Returns from which version on it has proven something that is news; None: nothing.
        """
        known = self._up_to
        if conversation_id is not None and self._of is not None:
            known = max(known, self._of.get(conversation_id, 0))
        if version <= known or (self._pages and version in self._pages):
            return None
        if conversation_id is None:
            self._up_to = version
        else:
            if self._of is None or len(self._of) >= MOST_KEPT:
                self._of = {}
            self._of[conversation_id] = version
        return known or version - FRESH_US

    def _keep_page(self, version: int) -> None:
        if self._pages is None:
            self._pages = {}
        self._pages[version] = None
        if len(self._pages) > MOST_KEPT:
            del self._pages[next(iter(self._pages))]
