"""The receipts of one owner's readers: what is proven and read becomes what their authors are told, and is noted.

    a token that came from a delta   -> `proven`: once in SETTLE_S what it proves is looked up, and told as delivered
    a mark, or a send of the reader  -> `read`: told at once
    a row that was loaded            -> `loaded`: reads of which it does not say that they were told are told again
    an author's row has confirmed    -> noted in memory; once in NOTE_S, and if the reader's row is still in memory,
                                        written there (told_read), so that the next load does not tell it again

Delivered is looked up late, because a read within that time says it as well. Nothing of it is written in the reader's
row.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from rowbox.cacheserver.cache.commands import Command, CommandResult, NoteToldCommand
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.receipts.teller import Tell, Teller
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.untold import delivered, read_receipt, untold_reads
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.timing.timer_queue import TimerQueue

SETTLE_S: Final = 1.0
NOTE_S: Final = 30.0
MOST_PROOFS: Final = 100_000
"""Of readers, and of readers' conversations, that wait for being looked up; and readers of whom is to be noted."""

Mode: TypeAlias = Literal["all", "delivered", "none"]
"""What is told of readers here, and taken in of others."""


class Receipts:
    """Has the authors told of what one owner's users have and have read. `close` ends it."""

    def __init__(self, table: Table, submit: Callable[[Command], None], tell: Tell, mode: Mode) -> None:
        self._table = table
        self._submit = submit
        self._mode = mode
        self._loop = asyncio.get_running_loop()
        self.teller = Teller(tell, self._was_told)
        self._proofs: dict[tuple[str, bytes | None], tuple[int, int]] = {}
        """By user and conversation (None: all): after which version, and up to which, something is proven."""
        self._to_look_up = TimerQueue["tuple[str, bytes | None]"](self._loop, self._look_up)
        self._noted: dict[str, dict[bytes, bytes]] = {}
        """By user and conversation: the read mark that was told and is not written down yet."""
        self._to_note = TimerQueue[str](self._loop, self._note)

    def proven(self, mailbox: Mailbox, version: int, conversation_id: bytes | None = None) -> None:
        """Notes that a client has proven to have what changed up to `version`, of a conversation or of all.

        Costs two comparisons where that is no news.
        """
        if version > mailbox.head or self._mode == "none":
            return
        since = mailbox.proofs.prove(version, conversation_id)
        if since is None:
            return
        key = mailbox.user_id, conversation_id
        before = self._proofs.get(key)
        if before is not None:
            self._proofs[key] = before[0], version
        elif len(self._proofs) < MOST_PROOFS:
            self._proofs[key] = since, version
            self._to_look_up.add(key, SETTLE_S)

    def read(self, user_id: str, conversation_ids: Iterable[bytes], at_us: int) -> None:
        """Has told that a user has read more of these conversations, at that time. To be called once it is applied."""
        row = self._table.peek(user_id)
        if self._mode != "all" or row is None or row.mailbox is None:
            return
        for conversation_id in conversation_ids:
            self._owe(read_receipt(row.mailbox, conversation_id, at_us))

    def loaded(self, mailbox: Mailbox) -> None:
        """Has told what a row that was just loaded does not know to be told."""
        if self._mode == "all":
            for found in untold_reads(mailbox):
                self._owe(found)

    def taken_in(self, receipt: Receipt) -> Receipt | None:
        """What an author's row here takes in of a receipt; None: nothing."""
        if self._mode == "none":
            return None
        return receipt if self._mode == "all" else replace(receipt, read=b"", read_us=0)

    def give_away(self, is_given: Callable[[str], bool]) -> None:
        """Forgets the users of whom `is_given` says so."""
        self.teller.forget(is_given)
        for key in [key for key in self._proofs if is_given(key[0])]:
            del self._proofs[key]
            self._to_look_up.remove(key)
        for user_id in [user_id for user_id in self._noted if is_given(user_id)]:
            del self._noted[user_id]
            self._to_note.remove(user_id)

    def close(self) -> None:
        """Ends it: nothing is told or noted any more."""
        self._mode = "none"
        self._to_look_up.close()
        self._to_note.close()
        self.teller.close()

    def samples(self) -> Iterable[Sample]:
        """The metrics of it."""
        teller = self.teller
        text = "Receipts (delivered or read up to a message) that the author's mailbox has confirmed."
        yield "rowbox_receipts_told_total", "counter", text, {}, teller.told
        text = "Receipts that are told again, because the author's mailbox could not be reached."
        yield "rowbox_receipts_retries_total", "counter", text, {}, teller.retries
        text = "Receipts that found no room, or that an author's mailbox could not take in."
        yield "rowbox_receipts_dropped_total", "counter", text, {}, teller.dropped
        text = "Readers and conversations of which receipts are told, or were within a second."
        yield "rowbox_receipts_owed", "gauge", text, {}, teller.owed

    def _owe(self, found: tuple[str, Receipt] | None) -> None:
        if found is None:
            return
        author_id, receipt = found
        noted = self._noted.get(receipt.reader_id, {}).get(receipt.conversation_id, b"")
        if receipt.delivered > noted:
            self.teller.owe(author_id, receipt)

    def _look_up(self, key: tuple[str, bytes | None]) -> None:
        user_id, conversation_id = key
        since, version = self._proofs.pop(key)
        row = self._table.peek(user_id)
        if row is None or row.mailbox is None:
            return  # whoever comes back with the token after the next load proves it again
        for found in delivered(row.mailbox, since, version, conversation_id):
            self._owe(found)

    def _was_told(self, receipt: Receipt) -> None:
        if not receipt.read or self._mode != "all":
            return
        noted = self._noted.get(receipt.reader_id)
        if noted is None:
            if len(self._noted) >= MOST_PROOFS:
                return  # the next load has it told once more, which does no harm
            noted = self._noted[receipt.reader_id] = {}
            self._to_note.add(receipt.reader_id, NOTE_S)
        noted[receipt.conversation_id] = max(receipt.read, noted.get(receipt.conversation_id, b""))

    def _note(self, user_id: str) -> None:
        told = self._noted.pop(user_id)
        row = self._table.peek(user_id)
        if row is None or row.mailbox is None:
            return  # as above
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        future.add_done_callback(_heard)
        try:
            self._submit(NoteToldCommand(user_id, told, future=future))
        except RowboxError:
            return  # as above


def _heard(noted: "asyncio.Future[CommandResult]") -> None:
    """A note that could not be written is made again after the next load; nobody waits for it."""
    if not noted.cancelled():
        noted.exception()
