"""Tells authors' rows, or those of groups, of readers' marks: at most once in SPACING_S for each reader and
conversation, once in GROUP_SPACING_S where it is a group.

A receipt is state (mailbox/receipts.py), so here is no queue: of each reader and conversation there is one entry, with
the newest marks. What comes while it was told lately, or while it is being told, joins it. So a stream of messages to
somebody who reads them live costs the author's row one mutation in SPACING_S. What one row is to be told in the same
turn of the loop goes together: of a group's members, as a rule.

Nothing here is written down. What is lost with this process the next owner of the reader's row tells again, as far as
no row says that it was told; what finds no room is told with the next mark of its conversation.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from rowbox.mailbox.errors import RowboxError, UnknownCall
from rowbox.mailbox.group import is_group_name
from rowbox.mailbox.receipts import Receipt, joined, says_more
from rowbox.mailbox.timing.rarely import Rarely
from rowbox.mailbox.timing.timer_queue import TimerQueue

log = logging.getLogger(__name__)

SPACING_S: Final = 1.0
GROUP_SPACING_S: Final = 2.0
"""A group's row has up to 256 readers, and writes no more often than that (gatherings.py)."""
STEP_S: Final = 0.05
"""What is to be told at once is told within this: what happens together goes together."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
MOST_TOGETHER: Final = 256
"""Receipts that one row is told at once."""
MOST_OWED: Final = 100_000
"""Entries, of about 1 KB each."""
REPORT_EVERY_S: Final = 60.0

Told: TypeAlias = "asyncio.Future[int]"
Tell = Callable[[str, Sequence[Receipt]], Told]
"""Has an author's row take receipts in, in whichever process its owner is. Done once it has confirmed them; errors are
RowboxErrors. It may raise by itself."""
OnTold = Callable[[Receipt], None]
"""Hears of each receipt that an author's row has confirmed."""
_Key: TypeAlias = tuple[str, bytes]
"""A reader and a conversation."""


class _Owed:
    """What is to be told of one reader and conversation."""

    __slots__ = ("author_id", "next_at_s", "pause_s", "receipt", "told")

    def __init__(self, author_id: str, receipt: Receipt) -> None:
        self.author_id = author_id
        self.receipt = receipt
        self.told: Receipt | None = None
        """What the author's row has confirmed of it."""
        self.next_at_s = 0.0
        self.pause_s = 0.0

    @property
    def is_due(self) -> bool:
        return self.told is None or says_more(self.receipt, self.told)


class Teller:
    """Tells the authors. `close` ends it."""

    def __init__(self, tell: Tell, on_told: OnTold, *, most: int = MOST_OWED) -> None:
        self._tell = tell
        self._on_told = on_told
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._owed: dict[_Key, _Owed] = {}
        self._under_way: set[_Key] = set()
        self._due: dict[str, list[_Key]] = {}
        """By the row that is told: what it is told in this turn of the loop."""
        self._timers = TimerQueue[_Key](self._loop, self._begin, step_s=STEP_S)
        self._is_closed = False
        self._lines = Rarely(self._loop.time, REPORT_EVERY_S)
        self.told = 0
        """Receipts that authors' rows have confirmed."""
        self.retries = 0
        self.dropped = 0
        """Receipts that found no room, or that an author's row could not take in."""

    @property
    def owed(self) -> int:
        """For how many readers and conversations something is to be told, or was within SPACING_S."""
        return len(self._owed)

    def owe(self, author_id: str, receipt: Receipt) -> None:
        """Has an author told, if that says more than what was told within SPACING_S."""
        if self._is_closed:
            return
        key = receipt.reader_id, receipt.conversation_id
        owed = self._owed.get(key)
        if owed is not None:
            was_due = owed.is_due
            owed.receipt = joined(owed.receipt, receipt)
            if was_due or not owed.is_due or key in self._under_way:
                return  # it is told at its time, or there is no news, or it is looked at again when that has ended
        elif len(self._owed) >= self._most:
            self.dropped += 1
            return
        else:
            owed = self._owed[key] = _Owed(author_id, receipt)
        self._timers.add(key, max(0.0, owed.next_at_s - self._loop.time()))

    def forget(self, is_given: Callable[[str], bool]) -> None:
        """Forgets what is to be told of the readers of whom `is_given` says so: others own their rows from now on."""
        for key in [key for key in self._owed if is_given(key[0])]:
            self._drop(key)

    def close(self) -> None:
        """Ends it. What is being told at this moment may arrive."""
        self._is_closed = True
        self._timers.close()
        self._owed.clear()

    def _begin(self, key: _Key) -> None:
        owed = self._owed[key]
        if not owed.is_due:
            del self._owed[key]
            return
        if not self._due:
            self._loop.call_soon(self._tell_due)
        self._due.setdefault(owed.author_id, []).append(key)

    def _tell_due(self) -> None:
        due, self._due = self._due, {}
        for author_id, keys in due.items():
            found = [(key, self._owed[key]) for key in keys if key in self._owed]  # the others were forgotten meanwhile
            for first in range(0, len(found), MOST_TOGETHER):
                self._tell_some(author_id, found[first : first + MOST_TOGETHER])

    def _tell_some(self, author_id: str, some: Sequence[tuple[_Key, _Owed]]) -> None:
        spacing_s = GROUP_SPACING_S if is_group_name(author_id) else SPACING_S
        for _, owed in some:
            owed.next_at_s = self._loop.time() + spacing_s
        receipts = tuple(owed.receipt for _, owed in some)
        try:
            told = self._tell(author_id, receipts)
        except Exception as error:  # noqa: BLE001 - as one that comes later
            for key, owed in some:
                self._failed(key, owed, error)
            return
        self._under_way.update(key for key, _ in some)
        told.add_done_callback(partial(self._ended, some, receipts))

    def _ended(self, some: Sequence[tuple[_Key, _Owed]], receipts: Sequence[Receipt], told: Told) -> None:
        for (key, owed), receipt in zip(some, receipts, strict=True):
            self._under_way.discard(key)
            if not told.cancelled():  # else the loop is ending
                self._heard(key, owed, receipt, told.exception())

    def _heard(self, key: _Key, owed: _Owed, receipt: Receipt, error: BaseException | None) -> None:
        is_here = self._owed.get(key) is owed  # else it was forgotten meanwhile
        if error is not None:
            if is_here:
                self._failed(key, owed, error)
            return
        self.told += 1
        self._on_told(receipt)
        if is_here:
            owed.told, owed.pause_s = receipt, 0.0
            self._timers.add(key, max(0.0, owed.next_at_s - self._loop.time()))

    def _failed(self, key: _Key, owed: _Owed, error: BaseException) -> None:
        is_old_peer = isinstance(error, UnknownCall)
        if not is_old_peer and not (isinstance(error, RowboxError) and error.retryable):
            self.dropped += 1
            self._drop(key)
            count = self._lines.count(type(error).__name__)
            if count:
                unexpected = None if isinstance(error, RowboxError) else error
                log.warning("%d receipts could not be told: %s", count, error, exc_info=unexpected)
            return
        self.retries += 1
        owed.pause_s = min(LONGEST_PAUSE_S, 2 * owed.pause_s or FIRST_PAUSE_S)
        asked_s = error.retry_after_ms / 1000 if isinstance(error, RowboxError) and error.retry_after_ms else 0.0
        pause_s = LONGEST_PAUSE_S if is_old_peer else max(owed.pause_s * random.uniform(0.5, 1.0), asked_s)
        owed.next_at_s = self._loop.time() + pause_s
        self._timers.add(key, pause_s)

    def _drop(self, key: _Key) -> None:
        del self._owed[key]
        self._timers.remove(key)
