"""The feed of a mailbox: all that changed since a version, messages and conversations in one. Pure.

The log has an entry for each change that clients are shown, in the order of versions. A page of the feed is the newest
state of what the entries of a span (T, T1] tell of, and T1 is where the next page begins:

    message         at the entry whose version is the message's own
    conversation    at the entry whose version is its state's
    account         at any entry that says that something of the user himself changed

So each comes once, at its newest change, and what has changed again behind T1 comes with a later page. A client that
takes page after page, and of each message and conversation the greatest version, has what a fresh fetch would give.

Example: log 5 (message M in C), 6 (message N in D), 7 (C is marked read). A page of one message after 4 gives M and
ends at 5: C's newest change is 7. The page after it gives N, D and C, and ends at 7.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rowbox.mailbox.cells import ChangeKind, LogCell, brings_message
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.pages.page_cut import TAIL_BYTES

FIRST_CONVERSATIONS: Final = 20
"""The newest conversations, which an answer without a token has."""
MOST_CONVERSATIONS: Final = 200
"""In one page."""

ConversationAt = Callable[[LogCell], bytes | None]
"""The JSON of the conversation that an entry tells of; None where the entry is not its newest change."""


def tells_of_a_message(entry: LogCell, horizon: int, now_us: int, floors: Mapping[bytes, int]) -> bool:
    """Whether an entry is of a message that is there: it has not ended, by retention, which takes what came up to
    `horizon`, nor by itself; and its user has not deleted it, who has deleted what came up to the floor of a
    conversation.
    """
    came = entry.first_version or entry.version
    is_left = came > horizon and not 0 < entry.expires_us <= now_us
    return is_left and brings_message(entry.kind) and not (floors and came <= floors.get(entry.conversation_id, 0))


class FeedCut:
    """A page of the feed while it is filled: of log entries, upwards, until the first that does not fit.

    What an entry tells of is taken together, and what comes first is always taken, however large. It fills as PageCut
    does (`take`, `take_all`), with the copies of the entries' messages in their order; those not given are left out.
    """

    __slots__ = (
        "_conversation_at",
        "_entries",
        "_place",
        "account",
        "conversations",
        "has_more",
        "messages",
        "reached",
        "room_bytes",
        "size",
    )

    def __init__(
        self, entries: Sequence[LogCell], conversation_at: ConversationAt, *, size: int, max_bytes: int
    ) -> None:
        """At most `size` messages and MOST_CONVERSATIONS, in a body of at most `max_bytes`."""
        self._entries = entries
        self._conversation_at = conversation_at
        self._place = 0
        self.size = size
        self.room_bytes = max_bytes - TAIL_BYTES
        self.account = False
        """Whether something of the user himself changed."""
        self.messages: list[bytes] = []
        self.conversations: list[bytes] = []
        self.reached = 0
        """The version of the last entry that was taken."""
        self.has_more = False
        """Whether the page has ended before the last entry."""

    def take(self, copy: MessageCopy) -> bool:
        """Takes the entries up to that of a message, and the message. False where the page ends before it."""
        while not self.has_more and self._place < len(self._entries):
            is_its = self._entries[self._place].version == copy.version
            if self._take(copy.json if is_its else None) and is_its:
                return True
        return False

    def take_all(self, copies: Sequence[MessageCopy]) -> bool:
        """Does `take` of each message. False where the page ends before the last."""
        return all(map(self.take, copies))

    def finish(self) -> None:
        """Takes the entries behind the last message that was given, as far as they fit."""
        while not self.has_more and self._place < len(self._entries):
            self._take(None)

    def _take(self, message: bytes | None) -> bool:
        entry = self._entries[self._place]
        conversation = self._conversation_at(entry)
        needed = sum([len(json) + 1 for json in (message, conversation) if json is not None])
        is_one_too_many = (message is not None and len(self.messages) == self.size) or (
            conversation is not None and len(self.conversations) == MOST_CONVERSATIONS
        )
        if is_one_too_many or (needed > self.room_bytes and (self.messages or self.conversations)):
            self.has_more = True
            return False
        if entry.kind is ChangeKind.ACCOUNT:
            self.account = True
        if message is not None:
            self.messages.append(message)
        if conversation is not None:
            self.conversations.append(conversation)
        self.room_bytes -= needed
        self.reached = entry.version
        self._place += 1
        return True
