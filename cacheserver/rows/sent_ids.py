"""Takes what a sender's row holds of clientMessageIds into memory: as much as one read gives, again and again.

A load reads one part, which is all for most senders. Of a busy sender's, each command that has to ask the store for an
id anyway (it may be in what has not been read) reads one part more: so no load waits for a million ids, and no request
pays for more than a part.

These reads need not be of one moment, nor of the moment of the claim: what counts had executed before the claim
(docs/adr/0022-loads-in-parts.md), sends made here are noted as they are applied, and an id too many costs one read.
"""

from collections.abc import Callable, Iterable, Sequence

from rowbox.cacheserver.rows.row_parts import LAST_QUALIFIER, PART_COLUMNS
from rowbox.cacheserver.stores.port import Column, StoreReader
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after, split_dedupe_qualifier
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.errors import StoreDamaged

Remove = Callable[[bytes, Iterable[tuple[Family, bytes]], int], None]


class SentIds:
    """Reads the ids of one sender after the other. `remove` (Cleaner.remove) is told of cells that never count."""

    def __init__(self, store: StoreReader, remove: Remove) -> None:
        self._store = store
        self._remove = remove

    async def read_on(self, mailbox: Mailbox, row: bytes) -> None:
        """Reads the next part of the sender's ids, if any is unread. The mailbox has to be claimed."""
        start = mailbox.client_ids.unread_from
        if start is None:
            return
        columns = await self._store.get_range(row, Family.DEDUPE, start, LAST_QUALIFIER, PART_COLUMNS)
        self.take_in(mailbox, row, columns, after(columns[-1][0]) if len(columns) == PART_COLUMNS else None)

    def take_in(self, mailbox: Mailbox, row: bytes, columns: Sequence[Column], unread_from: bytes | None) -> None:
        """Takes in the next columns of the row, which were read. The mailbox has to be claimed."""
        dead: dict[bytes, int] = {}
        hashes: list[bytes] = []
        for qualifier, value in columns:
            client_id_hash, epoch = split_dedupe_qualifier(qualifier)
            if epoch < mailbox.epoch and mailbox.is_fenced:
                version = _version(qualifier, value)
                if mailbox.is_dead(epoch, version):
                    dead[qualifier] = version
                    continue
            hashes.append(client_id_hash)
        mailbox.client_ids.add_read(hashes, unread_from)
        if dead:
            self._remove(row, [(Family.DEDUPE, qualifier) for qualifier in dead], max(dead.values()))


def _version(qualifier: bytes, value: bytes) -> int:
    try:
        return codec.decode_dedupe(qualifier, value).version
    except (ValueError, IndexError) as error:
        raise StoreDamaged(f"column {Family.DEDUPE}:{qualifier.hex()} does not decode: {error}") from error
