"""The order of a user's writes, over everything that makes a router send them again.

A user's writes are sent one behind the other without waiting for answers, down one link, and the owner begins them in
that order. What could change the order is a write that comes back refused while later ones are on their way. So:

1. A write that comes back refused waits in front of those that the router got after it, and nobody overtakes who waits.
2. Nothing is sent twice in one turn. A turn of a line ends when all that was sent in it has come back; the next one has
   a higher number (in_turn.py says what the owner does with it).
3. While writes are on their way to one incarnation, none is sent to another one: it waits for those to come back.
4. A write that came back refused is not sent again once a later one was confirmed: its client is told how it ended. An
   owner refuses what it got behind a write that it refused, so this happens where that was an older Rowbox's owner, or
   where nobody knows of the refusal any more.

A line is there while a write of its user is under way. Its first write is sent without a wait.
"""

import asyncio
from bisect import insort
from collections.abc import Iterator
from operator import attrgetter

import msgspec

from rowbox.cacheserver.budget import Budget
from rowbox.cacheserver.port import Routed
from rowbox.cacheserver.routing.refusal import Refusal
from rowbox.mailbox.errors import Overloaded

_by_number = attrgetter("number")


class Write(msgspec.Struct, eq=False):
    """One write under way. `number` is its place among all that the router got; `refusal` that of its last try.

    `turn` is the one in which it was sent last; 0: it was not sent yet. `may_be_written`: one of its tries may have
    been written, although none was confirmed. (A struct, as a line: their fields are set in C.)
    """

    number: int
    size_bytes: int
    refusal: Refusal | None = None
    turn: int = 0
    may_be_written: bool = False
    wake: "asyncio.Future[None] | None" = None


class UserLine(msgspec.Struct, eq=False):
    """The writes of one user: how many are on their way (`sent`), to whom, in which turn, and who waits."""

    user_id: str
    sent: int = 0
    incarnation: str = ""
    routed: Routed | None = None
    queue: list[Write] = []
    queued_bytes: int = 0
    newest_confirmed: int = -1
    """The number of the newest write that was confirmed while this line was there."""

    def lets_through(self, write: Write, incarnation: str) -> bool:
        """Whether a write that is the first in line may be sent to the incarnation now."""
        if not self.sent:
            return True
        assert self.routed is not None
        return incarnation == self.incarnation and write.turn < self.routed.turn

    def began(self, write: Write, incarnation: str, newest: Routed) -> Routed:
        """Counts a write that is sent now. The turn in which it is: that of those on their way, else `newest`.

        Where nothing is on its way, the router knows of every refusal of this user, and `newest` is above their turns.
        """
        routed = self.routed
        if not self.sent or routed is None:
            routed = self.routed = newest
        self.sent += 1
        self.incarnation = incarnation
        write.turn = routed.turn
        return routed

    def confirmed(self, write: Write) -> None:
        """Notes that a write was confirmed."""
        self.newest_confirmed = max(self.newest_confirmed, write.number)

    def has_overtaken(self, write: Write) -> bool:
        """Whether a write that came after this one was confirmed: sent again, this one would stand behind that."""
        return self.newest_confirmed > write.number

    def came_back(self) -> None:
        """Counts a write that is not on its way any more."""
        self.sent -= 1
        if not self.sent:
            self._wake_first()

    def left(self, write: Write) -> None:
        """Takes a write out of the queue; whoever is first then has its turn."""
        self.queue.remove(write)
        self.queued_bytes -= write.size_bytes
        self._wake_first()

    def _wake_first(self) -> None:
        wake = self.queue[0].wake if self.queue else None
        if wake is not None and not wake.done():
            wake.set_result(None)


class UserLines:
    """The lines of all users who have a write under way. `most` writes may wait, and `most_bytes` of them."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.waiting = Budget(most, most_bytes)
        self._lines: dict[str, UserLine] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[UserLine]:
        return iter(self._lines.values())

    def of(self, user_id: str) -> UserLine:
        """The user's line. Whoever asked for it calls `done` in the end."""
        line = self._lines.get(user_id)
        if line is None:
            line = self._lines[user_id] = UserLine(user_id)
        return line

    def line_up(self, line: UserLine, write: Write) -> None:
        """Has a write wait in the line, behind those that the router got before it. Overloaded."""
        if self.waiting.refuses(len(line.queue), line.queued_bytes):
            raise Overloaded("too many writes wait for the owners of their mailboxes", retry_after_ms=1000)
        self.waiting.add(write.size_bytes)
        line.queued_bytes += write.size_bytes
        insort(line.queue, write, key=_by_number)

    def leave(self, line: UserLine, write: Write) -> None:
        """Takes a write out of the queue in which it waited."""
        self.waiting.remove(write.size_bytes)
        line.left(write)

    def done(self, line: UserLine) -> None:
        """Forgets the line where nothing of it is under way."""
        if not line.sent and not line.queue:
            self._lines.pop(line.user_id, None)
