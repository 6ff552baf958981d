"""How many conversations of a mailbox are unread, accepted and not muted: the number that a phone shows beside the app.

It is the index' own at that moment: which conversations are unread is looked up once for a mailbox, and then follows
each change that is applied to it. What is kept is true of a mailbox with that head, and no other. It holds no mailbox:
one that is evicted goes.
"""

from collections import OrderedDict
from typing import Final

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import OWN

MOST: Final = 10_000
"""Mailboxes of which it is kept; of any other one it is looked up again."""
MOST_CONVERSATIONS: Final = 500_000
"""Unread conversations that are kept of all of them; each takes some 100 bytes."""


class _Known:
    """The unread conversations of a mailbox with this head."""

    __slots__ = ("head", "unread")

    def __init__(self, head: int, unread: set[bytes]) -> None:
        self.head = head
        self.unread = unread


class Unread:
    """The unread conversations of the mailboxes whose users are pushed."""

    def __init__(self, most: int = MOST, most_conversations: int = MOST_CONVERSATIONS) -> None:
        self._most = most
        self._most_conversations = most_conversations
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self.conversations = 0
        """How many unread conversations are kept, of all mailboxes."""

    def applied(self, mailbox: Mailbox, plan: Plan) -> None:
        """A plan was applied to a mailbox."""
        known = self._known.get(mailbox.user_id)
        if known is None:
            return
        if known.head != plan.base_head:
            self._forget(mailbox.user_id)
            return
        known.head = plan.head
        before = len(known.unread)
        for conversation_id, state in plan.states.items():
            if state.unread_count:
                known.unread.add(conversation_id)
            else:
                known.unread.discard(conversation_id)
        self.conversations += len(known.unread) - before

    def badge(self, mailbox: Mailbox, now_us: int) -> int:
        """How many conversations are unread, not muted at that time, and accepted."""
        unread, own = self._unread_of(mailbox), mailbox.states_of(OWN)
        return len(unread) - sum(
            one in unread for one, settings in own.items() if settings.is_request or settings.is_muted(now_us)
        )

    def _unread_of(self, mailbox: Mailbox) -> set[bytes]:
        known = self._known.get(mailbox.user_id)
        if known is not None and known.head == mailbox.head:
            self._known.move_to_end(mailbox.user_id)
            return known.unread
        if known is not None:
            self._forget(mailbox.user_id)
        known = self._known[mailbox.user_id] = _Known(mailbox.head, set(mailbox.index.unread()))
        self.conversations += len(known.unread)
        while len(self._known) > self._most or self.conversations > self._most_conversations:
            self._forget(next(iter(self._known)))
        return known.unread

    def _forget(self, user_id: str) -> None:
        self.conversations -= len(self._known.pop(user_id).unread)
