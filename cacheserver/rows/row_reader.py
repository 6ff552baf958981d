"""Reads of a loaded mailbox's row for decisions: what counts in it as of a head. page_reader.py reads for pages.

Every method takes a View (view.py) of the row: what it says is about the mailbox as it was when that was made.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from rowbox.cacheserver.rows.row_parts import LAST_QUALIFIER
from rowbox.cacheserver.rows.sent_ids import SentIds
from rowbox.cacheserver.rows.view import View, current, shown_messages
from rowbox.cacheserver.stores.port import Column, StoreReader
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.needs import (
    Behind,
    CopyNeed,
    DedupeNeed,
    Fact,
    HeldMessages,
    MarkNeed,
    MessageNeed,
    Need,
    NewestNeed,
    RecountNeed,
)
from rowbox.mailbox.cells import DedupeCell, MessageCell, OutboxCell
from rowbox.mailbox.conversation import UNREAD_CAP, Unread, unread_of
from rowbox.mailbox.ids import hidden_conversation_id
from rowbox.mailbox.people.own_settings import just_below

READ_COLUMNS = 256
"""Columns asked for in one call; what a caller still misses is read by further calls."""
PART_BYTES = 256 * 1024
"""Bytes of messages in one call."""
OUTBOX_COLUMNS = 32
"""Columns of an outbox asked for in one call: each is a whole message of up to 64 KiB."""


class RowReader:
    """Reads rows of one store, for decisions."""

    def __init__(
        self, store: StoreReader, remove: Callable[[bytes, Iterable[tuple[Family, bytes]], int], None]
    ) -> None:
        """`remove(row, columns, written_us)` is told of what never counts, as it is met (Cleaner.remove)."""
        self._store = store
        self._sent_ids = SentIds(store, remove)

    async def outbox(self, view: View) -> list[OutboxCell]:
        """The cells of the row's outbox that count."""
        found: list[OutboxCell] = []
        start: bytes | None = b""
        while start is not None:
            columns, start = await self._part(view, Family.OUTBOX, start, keys.OUTBOX_END, OUTBOX_COLUMNS)
            cells = (codec.decode(Family.OUTBOX, *column) for column in columns)
            found += [cell for cell in cells if isinstance(cell, OutboxCell) and view.counts(cell.epoch, cell.version)]
        return found

    async def send_record(self, view: View, client_id_hash: bytes) -> DedupeCell | None:
        """The record of the send with this clientMessageId; None where there was none within the dedupe life."""
        first, stop = keys.dedupe_range(client_id_hash)
        counted: list[DedupeCell] = []
        start: bytes | None = first
        while start is not None:
            columns, start = await self._part(view, Family.DEDUPE, start, stop, READ_COLUMNS)
            records = (codec.decode(Family.DEDUPE, *column) for column in columns)
            counted += [
                record
                for record in records
                if isinstance(record, DedupeCell) and view.counts(record.epoch, record.version)
            ]
        return max(counted, key=lambda record: record.version, default=None)

    async def sends_before(self, view: View, version: int) -> AsyncIterator[list[bytes]]:
        """The qualifiers of the records that count, of sends with lower versions: one part after another."""
        start: bytes | None = b""
        while start is not None:
            columns, start = await self._part(view, Family.DEDUPE, start, LAST_QUALIFIER, READ_COLUMNS)
            records = ((column[0], codec.decode(Family.DEDUPE, *column)) for column in columns)
            found = [
                qualifier
                for qualifier, record in records
                if isinstance(record, DedupeCell)
                and record.version < version
                and view.counts(record.epoch, record.version)
            ]
            if found:
                yield found

    async def answer(self, view: View, need: Need) -> Fact:
        """Reads the Fact for a Need. The caller holds the user's lock, so no write of the row is in flight.

        What is hidden is read beside what is shown, so that nobody waits for longer where he is blocked.
        """
        as_of = view.as_of
        if isinstance(need, DedupeNeed):
            record = await self.send_record(view, need.client_id_hash)
            await self._sent_ids.read_on(view.mailbox, view.row)
            return Fact(need, as_of, record)
        if isinstance(need, RecountNeed):
            counts = {mark: await self._unread_above(view, *mark) for mark in need.marks}
            return Fact(need, as_of, counts)
        if isinstance(need, MessageNeed):
            if not need.with_hidden:
                return Fact(need, as_of, HeldMessages(await self._held(view, need)))
            at_hidden = need._replace(conversation_id=hidden_conversation_id(need.conversation_id))
            held, hidden = await asyncio.gather(self._held(view, need), self._held(view, at_hidden))
            return Fact(need, as_of, HeldMessages(held, hidden))
        if isinstance(need, NewestNeed):
            return Fact(need, as_of, HeldMessages(tuple(await self._newest(view, need))))
        if isinstance(need, CopyNeed) and need.or_hidden:
            hidden_id = hidden_conversation_id(need.conversation_id)
            ids = need.conversation_id, hidden_id
            either = (self._holds(view, one, need.message_id, only_shown=False) for one in ids)
            return Fact(need, as_of, any(await asyncio.gather(*either)))
        is_held = await self._holds(view, need.conversation_id, need.message_id, only_shown=isinstance(need, MarkNeed))
        if isinstance(need, CopyNeed):
            return Fact(need, as_of, is_held)
        unread = await self._unread_above(view, need.conversation_id, need.mark)
        return Fact(need, as_of, Behind(unread, is_held))

    async def message(self, view: View, conversation_id: bytes, message_id: bytes) -> MessageCell | None:
        """The cell of a message that counts; None where there is none."""
        return current(view, await self._cells_of(view.row, MessageNeed(conversation_id, message_id)))

    async def _held(self, view: View, need: MessageNeed) -> tuple[MessageCell | None, ...]:
        """What stands of a message in the row of the view and in those of the holders."""
        own = await self.message(view, need.conversation_id, need.message_id)
        return own, *[await self._message_of(user_id, need) for user_id in need.holders]

    async def cells_from(
        self, view: View, conversation_id: bytes, message_id: bytes, count: int
    ) -> tuple[list[MessageCell], bytes]:
        """The cells of messages from this one on, downwards, that are held, of `count` at most; and from which
        messageId on there may be others: b"": there are none.
        """
        start, stop = keys.message_range(conversation_id, None, None)
        start = max(start, keys.copies_range(conversation_id, message_id)[0])
        part = await self._store.get_part(view.row, Family.MESSAGES, start, stop, limit=count, limit_bytes=PART_BYTES)
        found = [codec.decode_message(*column) for column in part.columns]
        held = [one for one in found if view.holds(one.epoch, one.version, one.came, one.expires_us)]
        if part.next is None or not found:
            return held, b""
        last = found[-1].message_id  # of which there may be more cells
        return held, last if last < message_id else just_below(last)

    async def _newest(self, view: View, need: NewestNeed) -> list[MessageCell]:
        """The newest messages of a conversation, the newest first."""
        by_id, _ = await self._from_newest(view, need.conversation_id, need.below, need.most, need.most_bytes)
        found, left_bytes = list[MessageCell](), need.most_bytes
        for newest in filter(None, (current(view, cells) for cells in by_id.values())):
            left_bytes -= len(newest.content.encode())
            if len(found) == need.most or left_bytes < 0:
                break
            found.append(newest)
        return found

    async def hidden(
        self, view: View, conversation_id: bytes, below: bytes | None, most: int, most_bytes: int
    ) -> tuple[dict[bytes, list[MessageCell]], bool]:
        """All cells that count of the newest messages under the hidden id of a conversation, the newest message first;
        and whether these are all messages.

        Those with messageIds before `below` (None: of all), `most` at most, and no more once that are `most_bytes`.
        """
        hidden_id = hidden_conversation_id(conversation_id)
        by_id, is_all = await self._from_newest(view, hidden_id, below, most, most_bytes)
        first = list(by_id.items())[:most]
        counted = {
            one: [cell for cell in cells if view.holds(cell.epoch, cell.version, cell.came, cell.expires_us)]
            for one, cells in first
        }
        return counted, is_all and len(first) == len(by_id)

    async def _from_newest(
        self, view: View, conversation_id: bytes, below: bytes | None, most: int, most_bytes: int
    ) -> tuple[dict[bytes, list[MessageCell]], bool]:
        """All cells of the newest messages of a conversation, the newest first; and whether these are all messages.

        At least one message, and no more to be read once there are more than `most`, or than `most_bytes` of text.
        """
        start, stop = keys.message_range(conversation_id, None, below)
        by_id: dict[bytes, list[MessageCell]] = {}
        read_bytes = 0
        following: bytes | None = start
        while following is not None and (len(by_id) <= 1 or (len(by_id) <= most and read_bytes <= most_bytes)):
            part = await self._store.get_part(
                view.row, Family.MESSAGES, following, stop, limit=READ_COLUMNS, limit_bytes=PART_BYTES
            )
            view.note(part.columns)
            for cell in (codec.decode(Family.MESSAGES, *column) for column in part.columns):
                assert isinstance(cell, MessageCell)
                by_id.setdefault(cell.message_id, []).append(cell)
                read_bytes += len(cell.content.encode())
            following = part.next
        if following is not None:
            by_id.popitem()  # there may be more cells of it
        return by_id, following is None

    async def _message_of(self, user_id: str, need: MessageNeed) -> MessageCell | None:
        """The same of another user's row, in a store in which no write is late: what stands there counts."""
        cells = await self._cells_of(keys.row_key(user_id, self._store.shards), need)
        return max(cells, key=lambda cell: cell.version, default=None)

    async def _cells_of(self, row: bytes, need: MessageNeed) -> list[MessageCell]:
        """All cells of a message: two at most, but for what was not removed yet or is late."""
        first, stop = keys.copies_range(need.conversation_id, need.message_id)
        found: list[MessageCell] = []
        start: bytes | None = first
        while start is not None:
            part = await self._store.get_part(
                row, Family.MESSAGES, start, stop, limit=READ_COLUMNS, limit_bytes=PART_BYTES
            )
            cells = (codec.decode(Family.MESSAGES, *column) for column in part.columns)
            found += [cell for cell in cells if isinstance(cell, MessageCell)]
            start = part.next
        return found

    async def _holds(self, view: View, conversation_id: bytes, message_id: bytes, *, only_shown: bool) -> bool:
        """Whether the row has the message; without `only_shown` also where the user has deleted its conversation."""
        first, stop = keys.copies_range(conversation_id, message_id)
        start: bytes | None = first
        while start is not None:
            columns, start = await self._part(view, Family.MESSAGES, start, stop, READ_COLUMNS, keys_only=True)
            stamps = [keys.message_stamp(qualifier) for qualifier, _ in columns]
            if shown_messages(view, columns) if only_shown else any(view.holds(*stamp) for stamp in stamps):
                return True
        return False

    async def _unread_above(self, view: View, conversation_id: bytes, message_id: bytes) -> Unread:
        """What sorts after a message of a conversation: the newest, where there is more than can be counted.

        Quiet messages of a group do not count.
        """
        is_group = view.state_of(conversation_id).group is not None
        first, stop = keys.message_range(conversation_id, message_id, None)
        shown: dict[bytes, tuple[int, int]] = {}
        start: bytes | None = first
        while start is not None and len(shown) < UNREAD_CAP:
            columns, start = await self._part(view, Family.MESSAGES, start, stop, UNREAD_CAP, keys_only=True)
            if is_group:
                columns = [column for column in columns if not keys.is_quiet_message(column[0])]
            shown |= shown_messages(view, columns)
        return unread_of(list(shown.values())[:UNREAD_CAP])

    async def _part(
        self, view: View, family: Family, start: bytes, stop: bytes, count: int, *, keys_only: bool = False
    ) -> tuple[list[Column], bytes | None]:
        """The first `count` columns of a range, and where the next part begins: None where it is at its end.

        What counts may stand behind any number of cells that do not, so whoever looks for one goes on to the end.
        """
        columns = await self._store.get_range(view.row, family, start, stop, count, keys_only=keys_only)
        return columns, keys.after(columns[-1][0]) if len(columns) == count else None
