"""Which writes come too early, because one that a router sent before them was refused.

A router sends a user's writes one behind the other, without waiting for answers. What it sends while it waits has one
turn, and a refusal that it hears of has it begin a higher one, with what was refused in front (routing/user_line.py).
So once a write of a turn was refused, whatever comes of that user in that turn or an earlier one was sent before the
router had heard of it. Were it begun, the refused one would come again behind it.
"""

from collections import OrderedDict
from typing import Final

from rowbox.cacheserver.port import Routed
from rowbox.mailbox.errors import HandoverInProgress, NotTheOwner, StoreOutcomeUnknown

MOST_REFUSED: Final = 20_000
"""Users whose refusals are remembered. A refusal is of use while what was sent before it was heard of arrives, which is
for milliseconds; the oldest is forgotten first."""
COMES_AGAIN: Final = (HandoverInProgress, StoreOutcomeUnknown)
"""The errors after which a router sends a write again."""


class RefusedTurns:
    """The highest turn of each router in which a write of a user was refused."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[int, str], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._refused)

    def admit(self, user_id: str, routed: Routed) -> None:
        """NotTheOwner, of no version of the map, where an earlier write of the user was refused in this turn.

        To be asked of each write when it comes: one of a higher turn shows that its router has heard.
        """
        if not self._refused:  # as almost always
            return
        refused = self._refused.get((routed.router, user_id))
        if refused is None:
            return
        if routed.turn <= refused:
            raise comes_too_early()
        del self._refused[routed.router, user_id]

    def refuse(self, user_id: str, routed: Routed) -> bool:
        """Notes that a write was refused: whether that is news."""
        key = (routed.router, user_id)
        before = self._refused.pop(key, 0)
        self._refused[key] = max(routed.turn, before)
        if len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)
        return routed.turn > before


def comes_too_early() -> NotTheOwner:
    """What a write is told that was sent before its router had heard of a refusal."""
    return NotTheOwner("an earlier write of this user was refused, and comes first")
