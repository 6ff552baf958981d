"""How many conversations of a mailbox are unread and not muted: the number that a phone shows beside the app.

It is the index' own at that moment: which conversations are unread is looked up once for a mailbox in memory, and then
follows each change that is applied to it. What is kept belongs to that one Mailbox: another load looks anew.
"""

from collections import OrderedDict
from typing import Final

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import OWN

MOST: Final = 10_000
"""Mailboxes of which it is kept; of any other one it is looked up again."""


class Unread:
    """The unread conversations of the mailboxes whose users are pushed."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[Mailbox, set[bytes]]] = OrderedDict()

    def applied(self, mailbox: Mailbox, plan: Plan) -> None:
        """A plan was applied to a mailbox."""
        known = self._known.get(mailbox.user_id)
        if known is None:
            return
        if known[0] is not mailbox:
            del self._known[mailbox.user_id]
            return
        for conversation_id, state in plan.states.items():
            if state.unread_count:
                known[1].add(conversation_id)
            else:
                known[1].discard(conversation_id)

    def badge(self, mailbox: Mailbox, now_us: int) -> int:
        """How many conversations are unread, and not muted at that time."""
        known = self._known.get(mailbox.user_id)
        if known is None or known[0] is not mailbox:
            known = self._known[mailbox.user_id] = mailbox, set(mailbox.index.unread())
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        self._known.move_to_end(mailbox.user_id)
        unread, own = known[1], mailbox.states_of(OWN)
        return len(unread) - sum(one in unread for one, settings in own.items() if settings.is_muted(now_us))
