"""What decisions need of a loaded mailbox's row: only what counts, as of a head. Pages are page_reader.py's.

The store may also return what is not committed yet (in flight) and what never counts (late writes of replaced owners).
Every method takes `as_of`, the mailbox's head when the caller began: an answer is the mailbox as it was then.
"""

from collections.abc import Callable, Iterable, Sequence

from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.rows.sent_ids import SentIds
from rowbox.cacheserver.stores.port import Column, StoreReader
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import Behind, CopyNeed, DedupeNeed, Fact, Need, RecountNeed
from rowbox.mailbox.cells import DedupeCell, OutboxCell
from rowbox.mailbox.conversation import UNREAD_CAP, Unread

READ_COLUMNS = 256
"""Columns asked for in one call; what a caller still misses is read by further calls."""
OUTBOX_COLUMNS = 32
"""The same of an outbox, whose cells are whole messages of up to 64 KiB."""


class RowReader:
    """Reads of one store, for decisions."""

    def __init__(
        self,
        store: StoreReader,
        remove: Callable[[bytes, Iterable[tuple[Family, bytes]], int], None],
        now_us: NowUs,
    ) -> None:
        """`remove(row, columns, written_us)` is told of what never counts, as it is met (Cleaner.remove).

        By `now_us` it is judged what retention has taken (Mailbox.horizon): the store holds that somewhat longer.
        """
        self._store = store
        self._now_us = now_us
        self._sent_ids = SentIds(store, remove)

    async def outbox(self, mailbox: Mailbox, row: bytes, as_of: int) -> list[OutboxCell]:
        """What the row's outbox holds."""
        found: list[OutboxCell] = []
        start: bytes | None = b""
        while start is not None:
            columns, start = await self._part(row, Family.OUTBOX, start, keys.OUTBOX_END, OUTBOX_COLUMNS)
            cells = (codec.decode(Family.OUTBOX, *column) for column in columns)
            found += [
                cell
                for cell in cells
                if isinstance(cell, OutboxCell) and mailbox.counts(cell.epoch, cell.version, as_of)
            ]
        return found

    async def send_record(self, mailbox: Mailbox, row: bytes, client_id_hash: bytes, as_of: int) -> DedupeCell | None:
        """What became of the send with this clientMessageId; None where there was none within the dedupe life."""
        first, stop = keys.dedupe_range(client_id_hash)
        counted: list[DedupeCell] = []
        start: bytes | None = first
        while start is not None:
            columns, start = await self._part(row, Family.DEDUPE, start, stop, READ_COLUMNS)
            records = (codec.decode(Family.DEDUPE, *column) for column in columns)
            counted += [
                record
                for record in records
                if isinstance(record, DedupeCell) and mailbox.counts(record.epoch, record.version, as_of)
            ]
        return max(counted, key=lambda record: record.version, default=None)

    async def answer(self, mailbox: Mailbox, row: bytes, need: Need) -> Fact:
        """The Fact to a Need. The caller holds the user's lock: nothing is in flight."""
        as_of = mailbox.head
        if isinstance(need, DedupeNeed):
            record = await self.send_record(mailbox, row, need.client_id_hash, as_of)
            await self._sent_ids.read_on(mailbox, row)
            return Fact(need, as_of, record)
        if isinstance(need, RecountNeed):
            counts = {place: await self._unread_above(mailbox, row, *place, as_of) for place in need.places}
            return Fact(need, as_of, counts)
        is_held = await self._holds(mailbox, row, need.conversation_id, need.message_id, as_of)
        if isinstance(need, CopyNeed):
            return Fact(need, as_of, is_held)
        unread = await self._unread_above(mailbox, row, need.conversation_id, need.mark, as_of)
        return Fact(need, as_of, Behind(unread, is_held))

    async def _holds(self, mailbox: Mailbox, row: bytes, conversation_id: bytes, message_id: bytes, as_of: int) -> bool:
        first, stop = keys.copies_range(conversation_id, message_id)
        start: bytes | None = first
        while start is not None:
            columns, start = await self._part(row, Family.MESSAGES, start, stop, READ_COLUMNS, keys_only=True)
            if self._versions(mailbox, columns, as_of):
                return True
        return False

    async def _unread_above(
        self, mailbox: Mailbox, row: bytes, conversation_id: bytes, message_id: bytes, as_of: int
    ) -> Unread:
        """What sorts after a message of a conversation: the newest, where there is more than can be counted."""
        first, stop = keys.message_range(conversation_id, message_id, None)
        versions: list[int] = []
        start: bytes | None = first
        while start is not None and len(versions) < UNREAD_CAP:
            columns, start = await self._part(row, Family.MESSAGES, start, stop, UNREAD_CAP, keys_only=True)
            versions += self._versions(mailbox, columns, as_of)
        del versions[UNREAD_CAP:]
        return Unread(len(versions), min(versions, default=0))

    async def _part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, count: int, *, keys_only: bool = False
    ) -> tuple[list[Column], bytes | None]:
        """The first `count` columns of a range, and where the next part begins: None where it is at its end.

        What counts may stand behind any number of cells that do not, so whoever looks for one goes on to the end.
        """
        columns = await self._store.get_range(row, family, start, stop, count, keys_only=keys_only)
        return columns, keys.after(columns[-1][0]) if len(columns) == count else None

    def _versions(self, mailbox: Mailbox, columns: Sequence[Column], as_of: int) -> list[int]:
        """Of those messages that are part of the mailbox."""
        horizon = mailbox.horizon(self._now_us())
        stamps = (keys.message_stamp(qualifier) for qualifier, _ in columns)
        return [version for epoch, version in stamps if mailbox.counts(epoch, version, as_of) and version > horizon]
