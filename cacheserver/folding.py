"""Folding of fence lists: a claim makes one entry of all whose epochs ended a day ago (docs/consistency.md, rule 8).

After it every cell of those epochs counts, so nothing invalid of them may be left. A load has read all of `i`, `d` and
`o`; a late write may also have left cells in `m` and `l`, which no load reads, so here their keys are read. These reads
need not be of one moment: what can execute no more after a day has executed or never will, and the cells only get
fewer. tests/model searches this rule.

An entry takes 29 bytes in each claim and each load, and a row gets one for each epoch that has written it: one for each
restart of its owner and each unknown outcome of it. So the reading is paid for once in FOLD_AT of them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rowbox.cacheserver.store import Column, StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after, split_log_qualifier, split_message_qualifier
from rowbox.mailbox.fence import Fence, Stamp, fold, is_valid

FOLD_AT = 32
"""Entries that a fold has to save. Fewer cost less than reading the keys of a mailbox."""
MOST_PAGES = 16
PAGE_COLUMNS = 1000
"""A load waits for this many reads of this many keys: 20 ms each, tried on a busy HBase. A longer mailbox keeps its
entries (10 KB for one a day in a year), and is not tried again before the process ends."""
MOST_REMEMBERED = 10_000
"""Mailboxes that were too long."""
_LAST_QUALIFIER = b"\xff" * 64


class Folded(NamedTuple):
    """What a claim goes on from."""

    fence: Fence
    """The list that was read, folded if it may be."""
    invalid: Sequence[tuple[Family, bytes]] = ()
    """Columns that keep it from being folded, all of lower epochs: to be removed once the claim is confirmed."""


class Folding:
    """See the module's text."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._too_long: set[bytes] = set()
        self.folded = 0
        self.reads = 0

    async def fold(self, row: bytes, read: Fence, held: Iterable[Stamp], now_ms: int) -> Folded:
        """What to claim with, given the list and the stamps of all cells of `i` (both states), `d` and `o`.

        They were read at `now_ms` or later.
        """
        fence = fold(read, now_ms)
        if len(read) - len(fence) < FOLD_AT or row in self._too_long:
            return Folded(read)
        through = fence[0].epoch
        if any(_blocks(read, through, stamp) for stamp in held):
            return Folded(read)
        invalid = await self._invalid_columns(row, read, through)
        if invalid is None:
            self._note_too_long(row)
            return Folded(read)
        if invalid:
            return Folded(read, invalid)
        self.folded += 1
        return Folded(fence)

    async def _invalid_columns(self, row: bytes, read: Fence, through: int) -> list[tuple[Family, bytes]] | None:
        """The columns of `m` and `l` that would count after folding and must not; None where there are too many."""
        invalid: list[tuple[Family, bytes]] = []
        pages = 0
        for family in (Family.LOG, Family.MESSAGES):
            start: bytes | None = b""
            while start is not None:
                if pages == MOST_PAGES:
                    return None
                pages += 1
                self.reads += 1
                columns = await self._store.get_range(row, family, start, _LAST_QUALIFIER, PAGE_COLUMNS, keys_only=True)
                invalid += [(family, key) for key, _ in columns if _blocks(read, through, _stamp(family, key))]
                start = _next_start(columns)
        return invalid

    def _note_too_long(self, row: bytes) -> None:
        if len(self._too_long) >= MOST_REMEMBERED:
            self._too_long.clear()
        self._too_long.add(row)


def _blocks(read: Fence, through: int, stamp: Stamp) -> bool:
    return stamp.epoch <= through and not is_valid(read, *stamp)


def _stamp(family: Family, qualifier: bytes) -> Stamp:
    if family is Family.MESSAGES:
        key = split_message_qualifier(qualifier)
        return Stamp(key.epoch, key.version)
    version, epoch = split_log_qualifier(qualifier)
    return Stamp(epoch, version)


def _next_start(columns: Sequence[Column]) -> bytes | None:
    return after(columns[-1][0]) if len(columns) == PAGE_COLUMNS else None
