"""Reads of a loaded mailbox's row: only what counts, as of a head.

The store may also return what is not committed yet (in flight) and what never counts (late writes of replaced owners).
Every method takes `as_of`, the mailbox's head when the caller began: an answer is the mailbox as it was then.
"""

from collections.abc import Callable, Iterable, Sequence

from rowbox.cacheserver.sent_ids import SentIds
from rowbox.cacheserver.store import Column, StoreReader
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import DedupeCell, LogCell, MessageCell, OutboxCell
from rowbox.mailbox.conversation import UNREAD_CAP
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.mailbox import Mailbox
from rowbox.mailbox.message import Message, MessageCopy, copy_of
from rowbox.mailbox.plan import CopyNeed, DedupeNeed, Fact, Need

READ_COLUMNS = 256
"""Columns asked for in one call; what a caller still misses is read by further calls."""
OUTBOX_COLUMNS = 32
"""The same of an outbox, whose cells are whole messages of up to 64 KiB."""


class RowReader:
    """See the module's text."""

    def __init__(
        self, store: StoreReader, remove: Callable[[bytes, Iterable[tuple[Family, bytes]], int], None]
    ) -> None:
        """`remove(row, columns, written_us)` is told of what never counts, as it is met (Cleaner.remove)."""
        self._store = store
        self._remove = remove
        self._sent_ids = SentIds(store, remove)

    async def copies(
        self, mailbox: Mailbox, row: bytes, conversation_id: bytes, below: bytes | None, count: int, as_of: int
    ) -> list[MessageCopy]:
        """The `count` newest messages of a conversation under `below`, newest first."""
        start, stop = keys.message_range(conversation_id, None, below)
        found: list[MessageCopy] = []
        while len(found) < count:
            asked = min(READ_COLUMNS, count - len(found))
            columns = await self._store.get_range(row, Family.MESSAGES, start, stop, asked)
            found += self._counted(mailbox, row, columns, as_of)
            if len(columns) < asked:
                break
            start = keys.after(columns[-1][0])
        return found

    async def position_of(
        self, mailbox: Mailbox, row: bytes, conversation_id: bytes, place: int, as_of: int
    ) -> bytes | None:
        """The messageId of the newest message but `place` - 1 of a conversation; None when it has fewer."""
        start, stop = keys.message_range(conversation_id, None, None)
        while True:
            asked = min(UNREAD_CAP, place)
            columns = await self._store.get_range(row, Family.MESSAGES, start, stop, asked, keys_only=True)
            found = [key for key in map(_message_key, columns) if _counts(mailbox, key, as_of)]
            place -= len(found)
            if place == 0:
                return found[-1].message_id
            if len(columns) < asked:
                return None
            start = keys.after(columns[-1][0])

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

    async def copies_of(
        self, mailbox: Mailbox, row: bytes, entries: Iterable[LogCell], as_of: int
    ) -> dict[bytes, MessageCopy]:
        """The messages that log entries tell of, by messageId; what retention has taken is not there."""
        qualifiers = [
            keys.message_qualifier(entry.conversation_id, entry.message_id, entry.epoch, entry.version)
            for entry in entries
        ]
        if not qualifiers:
            return {}
        columns = await self._store.get_columns(row, Family.MESSAGES, sorted(qualifiers))
        return {copy.message_id: copy for copy in self._counted(mailbox, row, columns, as_of)}

    async def changes(
        self, mailbox: Mailbox, row: bytes, after: int, through: int, count: int
    ) -> tuple[list[LogCell], int]:
        """The first log entries with after < version <= through, upwards, and the version up to which that is all.

        At most `count` columns are looked at: the second value is `through` where the range was read to its end.
        """
        start, stop = keys.log_range(after, through)
        columns = await self._store.get_range(row, Family.LOG, start, stop, count)
        entries = [_log_cell(column) for column in columns]
        stamped = [(qualifier, cell.epoch, cell.version) for (qualifier, _), cell in zip(columns, entries, strict=True)]
        self._sweep(mailbox, row, Family.LOG, stamped)
        # Where the read was cut, another epoch's entry of the last version may be behind the cut.
        reached = through if len(columns) < count else entries[-1].version - 1
        return [entry for entry in entries if mailbox.counts(entry.epoch, entry.version, reached)], reached

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
        is_held = await self._holds(mailbox, row, need.conversation_id, need.message_id, as_of)
        if isinstance(need, CopyNeed):
            return Fact(need, as_of, is_held)
        unread = await self._count_above(mailbox, row, need.conversation_id, need.message_id, as_of)
        return Fact(need, as_of, unread if is_held else None)

    async def _holds(self, mailbox: Mailbox, row: bytes, conversation_id: bytes, message_id: bytes, as_of: int) -> bool:
        first, stop = keys.copies_range(conversation_id, message_id)
        start: bytes | None = first
        while start is not None:
            columns, start = await self._part(row, Family.MESSAGES, start, stop, READ_COLUMNS, keys_only=True)
            if _count(mailbox, columns, as_of):
                return True
        return False

    async def _count_above(
        self, mailbox: Mailbox, row: bytes, conversation_id: bytes, message_id: bytes, as_of: int
    ) -> int:
        """How many messages of a conversation sort after one, UNREAD_CAP at most."""
        first, stop = keys.message_range(conversation_id, message_id, None)
        counted = 0
        start: bytes | None = first
        while start is not None and counted < UNREAD_CAP:
            columns, start = await self._part(row, Family.MESSAGES, start, stop, UNREAD_CAP, keys_only=True)
            counted += _count(mailbox, columns, as_of)
        return min(counted, UNREAD_CAP)

    async def _part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, count: int, *, keys_only: bool = False
    ) -> tuple[list[Column], bytes | None]:
        """The first `count` columns of a range, and where the next part begins: None where it is at its end.

        What counts may stand behind any number of cells that do not, so whoever looks for one goes on to the end.
        """
        columns = await self._store.get_range(row, family, start, stop, count, keys_only=keys_only)
        return columns, keys.after(columns[-1][0]) if len(columns) == count else None

    def _counted(self, mailbox: Mailbox, row: bytes, columns: Sequence[Column], as_of: int) -> list[MessageCopy]:
        keyed = [(column, _message_key(column)) for column in columns]
        self._sweep(mailbox, row, Family.MESSAGES, [(column[0], key.epoch, key.version) for column, key in keyed])
        return [_copy(mailbox, column) for column, key in keyed if _counts(mailbox, key, as_of)]

    def _sweep(self, mailbox: Mailbox, row: bytes, family: Family, stamped: Sequence[tuple[bytes, int, int]]) -> None:
        """Has the late writes of replaced owners removed, as they are met. `stamped`: (qualifier, epoch, version)."""
        if mailbox.is_fenced:
            dead = [(qualifier, version) for qualifier, epoch, version in stamped if mailbox.is_dead(epoch, version)]
            if dead:
                newest = max(version for _, version in dead)
                self._remove(row, [(family, qualifier) for qualifier, _ in dead], newest)


def _message_key(column: Column) -> keys.MessageKey:
    return keys.split_message_qualifier(column[0])


def _counts(mailbox: Mailbox, key: keys.MessageKey, as_of: int) -> bool:
    return mailbox.counts(key.epoch, key.version, as_of)


def _count(mailbox: Mailbox, columns: Sequence[Column], as_of: int) -> int:
    return sum(_counts(mailbox, keys.split_message_qualifier(qualifier), as_of) for qualifier, _ in columns)


def _log_cell(column: Column) -> LogCell:
    cell = codec.decode(Family.LOG, *column)
    assert isinstance(cell, LogCell)
    return cell


def _copy(mailbox: Mailbox, column: Column) -> MessageCopy:
    cell = codec.decode(Family.MESSAGES, *column)
    assert isinstance(cell, MessageCell)
    state = mailbox.index.get(cell.conversation_id)
    if state is None:
        raise StoreDamaged(f"message {cell.message_id.hex()} is of a conversation that the index does not hold")
    message = Message(cell.message_id, cell.conversation_id, cell.sender_id, state.participants, cell.content)
    return copy_of(message, message.sent_us, cell.version, cell.epoch, cell.client_message_id)
