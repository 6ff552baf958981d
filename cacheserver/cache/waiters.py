"""Clients that wait for news by long polls: who waits, for what, and when they are woken.

A waiter holds no mailbox: it costs a future, and its user's mailbox may leave the memory meanwhile. A waiter knows the
head that its client has seen. A mailbox that comes into memory with a greater head wakes the waiter, because a write of
unknown outcome may have landed without anybody applying it.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from enum import Enum

from rowbox.cacheserver.ownership import Grant
from rowbox.mailbox.cells import LogCell, brings_message
from rowbox.mailbox.errors import Overloaded, SignedOut, TokenRevoked
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.timing.timer_queue import TimerQueue

DRAIN_SPREAD_MS = 3000
"""Waiters of a draining server are told to come back after a random part of this, so that they do not come at once."""


class Woken(Enum):
    """Why a wait ended."""

    CHANGE = "change"
    TIME = "time"
    REPLACED = "replaced"
    DRAIN = "drain"
    GIVEN_AWAY = "given away"
    REVOKED = "revoked"
    SIGNED_OUT = "signed out"


class Waiter:
    """One wait of one client.

    `head` is the newest version that the user's mailbox is known to have: changes up to it do not concern this wait.
    `bearer` is what is known of the token of the request that waits. The request began under `grant`.
    """

    __slots__ = ("bearer", "conversation_id", "future", "grant", "head", "only_messages", "user_id")

    def __init__(
        self,
        user_id: str,
        grant: Grant,
        head: int,
        *,
        only_messages: bool,
        conversation_id: bytes | None,
        bearer: Bearer | None = None,
    ) -> None:
        self.bearer = bearer
        self.user_id = user_id
        self.grant = grant
        self.head = head
        self.only_messages = only_messages
        self.conversation_id = conversation_id
        self.future: asyncio.Future[Woken] = asyncio.get_running_loop().create_future()

    def matches(self, change: LogCell) -> bool:
        """Whether `change` is one that the waiter waits for."""
        if self.only_messages and not brings_message(change.kind):
            return False
        return self.conversation_id is None or self.conversation_id == change.conversation_id

    def wake(self, why: Woken) -> None:
        """Ends the wait. Does nothing where it has ended."""
        if not self.future.done():
            self.future.set_result(why)


class Waiters:
    """All waits of this process, `per_user` at most for one user and `most` in all."""

    def __init__(self, *, per_user: int, most: int) -> None:
        self._per_user = per_user
        self.most = most
        self._by_user: dict[str, list[Waiter]] = {}
        self._ends = TimerQueue[Waiter](asyncio.get_running_loop(), _time_is_over)
        self.count = 0
        self.is_draining = False

    def begin(self, waiter: Waiter, timeout_s: float) -> "asyncio.Future[Woken]":
        """Takes in a waiter; the future that is returned says what ended it. The caller calls `end`, come what may.

        Where the user has `per_user` waits, the oldest ends. Overloaded where the process has `most` waits.
        (`begin` and `end` are not one coroutine: that would cost half a kilobyte for each of ten thousand waits.)
        """
        self._add(waiter)
        self._ends.add(waiter, timeout_s)
        return waiter.future

    def end(self, waiter: Waiter) -> None:
        """Frees the place of a waiter among the waits, whether its wait has ended or not."""
        self._ends.remove(waiter)
        self._remove(waiter)

    def notify(self, user_id: str, changes: Sequence[LogCell], head: int) -> None:
        """Wakes the waiters of a user that wait for one of `changes`; the others take note of the new head.

        A wait that has ended keeps its head: its answer is empty, and a later token would hide this change for ever.
        """
        for waiter in self._by_user.get(user_id, ()):
            if any(map(waiter.matches, changes)):
                waiter.wake(Woken.CHANGE)
            elif not waiter.future.done():
                waiter.head = head

    def notify_loaded(self, user_id: str, head: int) -> None:
        """Wakes the waiters of a user that do not know of `head`, with which the mailbox came into memory."""
        for waiter in self._by_user.get(user_id, ()):
            if waiter.head < head:
                waiter.wake(Woken.CHANGE)

    def revoke(self, refusal_of: Callable[[Bearer], type[TokenRevoked] | None]) -> None:
        """Ends the waits of requests that came with a token that is refused now. Looks at every wait: revocations are
        rare.
        """
        for waiters in self._by_user.values():
            for waiter in waiters:
                refused = refusal_of(waiter.bearer) if waiter.bearer is not None else None
                if refused is not None:
                    waiter.wake(Woken.SIGNED_OUT if refused is SignedOut else Woken.REVOKED)

    def refuse(self, shards: Collection[int]) -> None:
        """Ends the waits for mailboxes of these shards. Looks at every wait: shards change hands rarely."""
        for waiters in self._by_user.values():
            if waiters[0].grant.shard in shards:
                for waiter in waiters:
                    waiter.wake(Woken.GIVEN_AWAY)

    def drain(self) -> None:
        """Ends every wait, and each that begins from now on."""
        self.is_draining = True
        for waiters in self._by_user.values():
            for waiter in waiters:
                waiter.wake(Woken.DRAIN)

    def _add(self, waiter: Waiter) -> None:
        if self.is_draining:
            waiter.wake(Woken.DRAIN)
        same_user = self._by_user.get(waiter.user_id)
        if same_user is not None and len(same_user) >= self._per_user:
            oldest = same_user[0]
            self._remove(oldest)
            oldest.wake(Woken.REPLACED)
        if self.count >= self.most:
            raise Overloaded("too many clients are waiting on this server", retry_after_ms=retry_after_ms())
        self._by_user.setdefault(waiter.user_id, []).append(waiter)
        self.count += 1

    def _remove(self, waiter: Waiter) -> None:
        same_user = self._by_user.get(waiter.user_id)
        if same_user is None or waiter not in same_user:
            return
        same_user.remove(waiter)
        self.count -= 1
        if not same_user:
            del self._by_user[waiter.user_id]


def _time_is_over(waiter: Waiter) -> None:
    waiter.wake(Woken.TIME)


def retry_after_ms() -> int:
    """After how many milliseconds a client that is sent away should come back: a random number."""
    return random.randrange(DRAIN_SPREAD_MS)
