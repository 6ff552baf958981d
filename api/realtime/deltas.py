"""What a connection that follows a mailbox is sent next. Pure; shared by the socket and the event stream.

The connection pulls: what changed lies in the mailbox's log, and is read when the client can take it, so a slow client
costs one frame and no queue. `changed` says that there is something to read. It is set by whoever tells of a change
and cleared before the log is asked. A change that comes while a page is on its way sets it again, and stands behind
the page unless that reaches the newest head (else the change would wait for the next one).

A commit's own bytes go out without a pull where the client was sent everything before them, and nothing is on its way
or owed. The pull is the truth, this is a short cut to the same frame.

A window of WINDOW deltas may be unacknowledged. TCP's buffers hide a client that has stopped reading; this shows it.
"""

from typing import Final, NamedTuple

from msgspec import Struct

WINDOW: Final = 8


def is_behind(token: str | None, head: str) -> bool:
    """Whether a mailbox gave `token` before it gave `head`. Tokens of two histories of the store are not compared: then
    the log has to be asked.
    """
    if token is None:
        return True
    version, _, bound_to = token.partition(".")
    head_version, _, head_bound_to = head.partition(".")
    return bound_to != head_bound_to or int(version) < int(head_version)


class Pull(NamedTuple):
    """The log is to be asked for what changed since `token`. The answer is told with `number`."""

    token: str | None
    number: int


class Pulled(NamedTuple):
    """The answer: what fetchChanges returned. `is_empty`: nothing changed, and it is no reset."""

    token: str
    has_more: bool
    is_empty: bool
    body: bytes


class Delta(Struct, frozen=True, gc=False):
    """What the client is sent: `body` brings it from the token `prev` to `token`."""

    prev: str | None
    token: str
    body: bytes


class Deltas:
    """The place of one connection in the log. `window` None: nothing is acknowledged."""

    __slots__ = ("_is_owed", "_number", "_pulling", "_unacked", "_window", "follows", "has_changed", "head", "token")

    def __init__(self, head: str, window: int | None = WINDOW) -> None:
        self.head = head
        """The newest token that was heard of."""
        self.follows = False
        self.token: str | None = None
        """What the client has, or will have when it has read everything that was sent."""
        self._window = window
        self._unacked: list[str] = []  # an empty deque takes 760 bytes of each idle connection
        self.has_changed = False
        """Whether there is something to read, as far as is known."""
        self._is_owed = False
        """A follow is to be answered, if need be by an empty delta."""
        self._pulling = False
        self._number = 0
        """Of the newest pull. The answer to an older one, asked before a follow, is dropped."""

    @property
    def is_shut(self) -> bool:
        """Whether as many deltas as may be are unacknowledged."""
        return self._window is not None and len(self._unacked) >= self._window

    def follow(self, token: str | None) -> None:
        """The client has everything up to `token`; None: nothing. Empties the window."""
        self.follows, self.token = True, token
        self._unacked.clear()
        self.has_changed = self._is_owed = True
        self._pulling = False
        self._number += 1

    def unfollow(self) -> None:
        """The client wants no more deltas."""
        self.follows = self.has_changed = self._is_owed = self._pulling = False
        self._unacked.clear()
        self._number += 1

    def ack(self, token: str) -> bool:
        """The client has stored everything up to `token`. One that it was not sent changes nothing: False."""
        if token not in self._unacked:
            return False
        del self._unacked[: self._unacked.index(token) + 1]
        return True

    def change(self, head: str, prev: str, body: bytes | None, *, may_write: bool) -> Delta | None:
        """A commit brought the mailbox from `prev` to `head`; `body` is what fetchChanges says of it, where it is at
        hand. Returns the delta to send at once; else a pull may be due.
        """
        self.head = head
        if not self.follows or self.has_changed:
            return None
        if self._pulling or self.is_shut or not may_write:
            self.has_changed = True
            return None
        if body is not None and self.token == prev:
            return self._sent(head, body)
        if not is_behind(self.token, head):
            return None
        if body is not None and not is_behind(self.token, prev):
            return self._sent(head, body)
        self.has_changed = True
        return None

    def compare(self, head: str) -> None:
        """The head is `head`, whatever was heard before."""
        self.head = head
        self.has_changed = self.follows and (self.has_changed or self._pulling or is_behind(self.token, head))

    def next_pull(self) -> Pull | None:
        """What to ask for now; None where nothing changed, a page is on its way already, or the window is shut."""
        if not self.has_changed or self._pulling or self.is_shut:
            return None
        self.has_changed, self._pulling = False, True
        self._number += 1
        return Pull(self.token, self._number)

    def pulled(self, number: int, page: Pulled) -> Delta | None:
        """The answer to the pull of this `number`. Returns the delta to send; None for one that says nothing."""
        if number != self._number or not self._pulling:
            return None
        self._pulling = False
        self.has_changed = page.has_more or (self.has_changed and is_behind(page.token, self.head))
        if page.is_empty and page.token == self.token and not self._is_owed:
            return None
        self._is_owed = False
        return self._sent(page.token, page.body)

    def failed(self, number: int) -> bool:
        """The pull of this `number` has no answer, and is to be made again. False: it is an old one."""
        if number != self._number or not self._pulling:
            return False
        self._pulling, self.has_changed = False, True
        return True

    def _sent(self, token: str, body: bytes) -> Delta:
        prev, self.token = self.token, token
        if self._window is not None:
            self._unacked.append(token)
        return Delta(prev, token, body)
