"""Reads for pages: messages and log entries of a loaded mailbox's row, no further than a page goes.

Values are read up to the page's room (page_cut.py), and whether there is more behind it is seen by a key. What
is long is done in slices (turns.py). What never counts is left out, and told to `remove`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rowbox.cacheserver.rows.view import View, shown_messages
from rowbox.cacheserver.stores.port import Column, StoreReader
from rowbox.cacheserver.turns import Turns
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import LogCell, MessageCell
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.message import Message, MessageCopy, copy_of
from rowbox.mailbox.pages.page_cut import Cut, PageCut

READ_COLUMNS = 256
"""Messages asked for in one call."""
KEY_COLUMNS = 1000
"""Keys asked for in one call."""
FIRST_COPIES = 16
"""Messages read by their exact columns in a first call: at most 1 MiB, before anything is known of their sizes."""
FIRST_BYTES = 256 * 1024
"""Bytes of values in a first call: a message may be six times as large in JSON."""
SLICE_BYTES = 128 * 1024
"""Bytes of JSON made in one turn, which take half a millisecond."""


class PageReader:
    """Reads messages and log entries of one store, for pages."""

    def __init__(
        self, store: StoreReader, turns: Turns, remove: Callable[[bytes, Iterable[tuple[Family, bytes]], int], None]
    ) -> None:
        """`remove(row, columns, written_us)` is told of what never counts, as it is met (Cleaner.remove)."""
        self._store = store
        self._turns = turns
        self._remove = remove

    async def newest(self, view: View, conversation_id: bytes, below: bytes | None, cut: PageCut) -> bool:
        """Fills `cut` with the newest messages of a conversation under `below`, newest first.

        True: there are no others, whether the page is full or not.
        """
        start, stop = keys.message_range(conversation_id, view.floor_id(conversation_id), below)
        following: bytes | None = start
        limit_bytes = FIRST_BYTES
        begun: Sequence[Column] = ()  # the last message of a part, while there may be more cells of it in the next one
        while following is not None:
            if cut.is_full():
                has_begun = any(view.shows(qualifier) for qualifier, _ in begun)
                cut.has_more = has_begun or await self._has_any(view, following, stop)
                return not cut.has_more
            await self._turns.next()
            limit = min(READ_COLUMNS, cut.size - len(cut.copies))
            room_bytes = cut.room_bytes
            part = await self._store.get_part(
                view.row, Family.MESSAGES, following, stop, limit=limit, limit_bytes=min(limit_bytes, room_bytes)
            )
            view.note(part.columns)
            columns, following = self._current(view, [*begun, *part.columns] if begun else part.columns), part.next
            begun = ()
            if following is not None and columns and keys.message_of(columns[-1][0]) == keys.message_of(following):
                columns, begun = columns[:-1], columns[-1:]
            if not await self._take(view, columns, cut):
                return False
            if following is not None and not begun and cut.is_full() and view.shows(following):
                cut.has_more = True
                return False
            limit_bytes = _values_that_fit(part.columns, room_bytes - cut.room_bytes, cut.room_bytes)
        return True

    async def newest_columns(
        self, view: View, start: bytes, stop: bytes, limit: int, limit_bytes: int
    ) -> tuple[list[Column], bytes | None]:
        """The columns of a range of messages that count, in its order, and where it goes on; None: it is at its end.

        About `limit` of them, of about `limit_bytes`; not decoded, for whoever does that elsewhere. There may be none,
        and more behind them.
        """
        await self._turns.next()
        part = await self._store.get_part(view.row, Family.MESSAGES, start, stop, limit=limit, limit_bytes=limit_bytes)
        columns, following = list(self._current(view, part.columns)), part.next
        if following is not None:
            cut = keys.message_of(following)
            while columns and keys.message_of(columns[-1][0]) == cut:
                columns.pop()  # there may be more cells of it, and one of these may count
            whole = [one for one in part.columns if keys.message_of(one[0]) == cut]
            if whole and len(whole) < len(part.columns):
                following = whole[0][0]
            elif whole:
                return await self.newest_columns(view, start, stop, 2 * limit, 2 * limit_bytes)
        return [column for column in columns if view.shows(column[0])], following

    async def of_entries(self, view: View, entries: Sequence[LogCell], cut: Cut) -> None:
        """Fills `cut` with the messages that log entries tell of, in their order.

        What retention took is left out, and an entry whose message was changed later: the change has an entry too.
        """
        place, count = 0, FIRST_COPIES
        while place < len(entries) and not cut.has_more:
            some = entries[place : place + count]
            place += count
            copies = [view.mailbox.copy_in_memory(*_ids(entry)) for entry in some]
            pairs = zip(copies, some, strict=True)
            current = [copy for copy, entry in pairs if copy is not None and copy.version == entry.version]
            if len(current) == len(some):
                cut.take_all(current)
                continue
            held = {entry.message_id: copy for entry, copy in zip(some, copies, strict=True)}
            columns = await self._columns_of(view, [entry for entry in some if held[entry.message_id] is None])
            room_bytes = cut.room_bytes
            await self._take_in_order(view, some, held, columns, cut)
            fitting = cut.room_bytes * len(some) // max(1, room_bytes - cut.room_bytes)
            count = max(1, min(fitting, 4 * count))

    async def position_of(self, view: View, conversation_id: bytes, place: int) -> bytes | None:
        """The messageId of the message at `place`, counted from the newest, which is 1; None when there are fewer."""
        start, stop = keys.message_range(conversation_id, view.floor_id(conversation_id), None)
        following: bytes | None = start
        last = b""
        while following is not None:
            await self._turns.next()
            columns, following = await self._keys(view, following, stop, min(KEY_COLUMNS, place))
            found = [message for message in shown_messages(view, columns) if message != last]
            place -= len(found)
            if place == 0:
                return keys.invert(found[-1][ID_BYTES:])
            last = found[-1] if found else last
        return None

    async def changes(self, view: View, after: int, through: int, count: int) -> tuple[list[LogCell], int]:
        """The first log entries with after < version <= through, upwards, and the version up to which that is all.

        About `count` columns are looked at: the second value is `through` where the range was read to its end, and more
        than `after` in any case.
        """
        start, stop = keys.log_range(after, through)
        entries: list[LogCell] = []
        reached = after
        while reached <= after:
            await self._turns.next()
            # Not get_part: an entry takes some 60 bytes, and over HBase a part of 500 takes more round trips than this.
            columns = await self._store.get_range(view.row, Family.LOG, start, stop, count)
            view.note(columns)
            cells = [_log_cell(column) for column in columns]
            stamped = zip(columns, cells, strict=True)
            self._sweep(view, Family.LOG, [(column[0], cell.epoch, cell.version) for column, cell in stamped])
            entries += cells
            if len(columns) < count:
                reached = through
            else:  # of the last version there may be entries of other epochs behind the cut
                start, reached = keys.after(columns[-1][0]), cells[-1].version - 1
        counted = [cell for cell in entries if view.counts(cell.epoch, cell.version)]
        return [cell for cell in counted if cell.version <= reached], reached

    async def _take(self, view: View, columns: Sequence[Column], cut: PageCut) -> bool:
        """Decodes into `cut` what counts of `columns`, in slices; False when the page ended before their end."""
        keyed = [(column, keys.split_message_qualifier(column[0])) for column in columns]
        self._sweep(view, Family.MESSAGES, [(column[0], key.epoch, key.version) for column, key in keyed])
        made_bytes = 0
        for column in columns:
            if view.shows(column[0]):
                if made_bytes >= SLICE_BYTES:
                    made_bytes = 0
                    await self._turns.next()
                copy = _copy(view, column)
                made_bytes += len(copy.json)
                if not cut.take(copy):
                    return False
        return True

    async def _take_in_order(
        self,
        view: View,
        entries: Sequence[LogCell],
        held: Mapping[bytes, MessageCopy | None],
        columns: Mapping[int, Column],
        cut: Cut,
    ) -> None:
        """As `_take`, in the order of `entries`: from memory what is held, else from its column, if it is there.

        `columns` are by version.
        """
        made_bytes = 0
        for entry in entries:
            copy, column = held[entry.message_id], columns.get(entry.version)
            if copy is not None and copy.version != entry.version:
                continue
            if copy is None and column is not None:
                if made_bytes >= SLICE_BYTES:
                    made_bytes = 0
                    await self._turns.next()
                copy = _copy(view, column)
                made_bytes += len(copy.json)
            if copy is not None and not cut.take(copy):
                return

    async def _columns_of(self, view: View, entries: Iterable[LogCell]) -> dict[int, Column]:
        """The columns of the messages that `entries` tell of, by version; none of a message that was changed later.

        A column is known by its entry. Only in a conversation in which something was changed after that, there may be
        a newer one beside it, or it is not removed yet: then all cells of the message are read. So they are where the
        newest change is of the entry's own version: a message that came changed has that in its key, which a search's
        candidate does not tell.
        """
        found: dict[int, Column] = {}
        qualifiers: list[bytes] = []
        for entry in entries:
            changed_at = view.state_of(entry.conversation_id).changed_at
            if entry.version < changed_at or (entry.version == changed_at and not entry.first_version):
                for column in await self._cells_of(view, entry):
                    found[keys.split_message_qualifier(column[0]).version] = column
            else:
                stamp = entry.epoch, entry.version, entry.first_version, entry.expires_us
                qualifiers.append(keys.message_qualifier(*_ids(entry), *stamp))
        if qualifiers:
            await self._turns.next()
            columns = await self._store.get_columns(view.row, Family.MESSAGES, sorted(qualifiers))
            view.note(columns)
            found |= {keys.split_message_qualifier(column[0]).version: column for column in columns}
        return found

    async def _cells_of(self, view: View, entry: LogCell) -> list[Column]:
        """The column of an entry's message that counts now, if there is one."""
        await self._turns.next()
        start, stop = keys.copies_range(*_ids(entry))
        columns: Sequence[Column] = ()
        following: bytes | None = start
        while following is not None:
            part = await self._store.get_part(
                view.row, Family.MESSAGES, following, stop, limit=READ_COLUMNS, limit_bytes=FIRST_BYTES
            )
            view.note(part.columns)
            columns, following = self._current(view, [*columns, *part.columns]), part.next
        return [column for column in columns if view.shows(column[0])]

    def _current(self, view: View, columns: Sequence[Column]) -> Sequence[Column]:
        """Of messages that were changed the column that counts now; the others of these are removed. All of the rest.

        Where none was changed, `columns` as they are: each counts or not by itself.
        """
        if not any(keys.may_be_changed(qualifier) for qualifier, _ in columns):
            return columns
        newest: dict[bytes, Column] = {}
        superseded: list[bytes] = []
        for column in columns:
            if view.shows(column[0]):
                message = keys.message_of(column[0])
                pair = sorted(filter(None, (newest.get(message), column)), key=_version_of)
                superseded += [qualifier for qualifier, _ in pair[:-1]]
                newest[message] = pair[-1]
        if superseded:
            self._remove(view.row, [(Family.MESSAGES, one) for one in superseded], view.mailbox.head)
        return [column for column in columns if newest.get(keys.message_of(column[0]), column) is column]

    async def _has_any(self, view: View, start: bytes, stop: bytes) -> bool:
        """Whether a message of a range counts; by keys alone, and by one as a rule."""
        following: bytes | None = start
        count = 1
        while following is not None:
            columns, following = await self._keys(view, following, stop, count)
            if any(view.shows(qualifier) for qualifier, _ in columns):
                return True
            count = READ_COLUMNS
        return False

    async def _keys(self, view: View, start: bytes, stop: bytes, count: int) -> tuple[list[Column], bytes | None]:
        """The first `count` keys of a range of messages, and where it goes on; None: it is at its end."""
        columns = await self._store.get_range(view.row, Family.MESSAGES, start, stop, count, keys_only=True)
        view.note(columns)
        return columns, keys.after(columns[-1][0]) if len(columns) == count else None

    def _sweep(self, view: View, family: Family, stamped: Sequence[tuple[bytes, int, int]]) -> None:
        """Has the late writes of replaced owners removed, as they are met. `stamped`: (qualifier, epoch, version)."""
        mailbox = view.mailbox
        if mailbox.is_fenced:
            dead = [(qualifier, version) for qualifier, epoch, version in stamped if mailbox.is_dead(epoch, version)]
            if dead:
                newest = max(version for _, version in dead)
                self._remove(view.row, [(family, qualifier) for qualifier, _ in dead], newest)


def _values_that_fit(columns: Sequence[Column], made_bytes: int, room_bytes: int) -> int:
    """How many bytes of values are likely to become `room_bytes` of JSON, by what `columns` became."""
    read_bytes = sum([len(value) for _, value in columns])
    return max(1, room_bytes * read_bytes // made_bytes if made_bytes else room_bytes)


def _ids(entry: LogCell) -> tuple[bytes, bytes]:
    return entry.conversation_id, entry.message_id


def _version_of(column: Column) -> int:
    _, version, _, _ = keys.message_stamp(column[0])
    return version


def _log_cell(column: Column) -> LogCell:
    cell = codec.decode(Family.LOG, *column)
    assert isinstance(cell, LogCell)
    return cell


def _copy(view: View, column: Column) -> MessageCopy:
    cell = codec.decode(Family.MESSAGES, *column)
    assert isinstance(cell, MessageCell)
    participants = view.state_of(cell.conversation_id).participants
    told = cell.sender_id, participants, cell.content, cell.change
    message = Message(cell.message_id, cell.conversation_id, *told, expires_us=cell.expires_us)
    of_copy = cell.version, cell.epoch, cell.client_message_id, cell.came, cell.reactions, view.mailbox.user_id
    return copy_of(message, message.sent_us, *of_copy, cell.told, cell.tallies)
