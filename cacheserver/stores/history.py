"""Which history a store is in: a random id, made with the store, and made anew when the store was put back from a copy.

A version is a place in one history. After a restore the store gives the versions of the lost time a second time, to
other changes: a client that went on from one of them would miss those for ever. So tokens and cursors carry the
history, and an Owner reads it before it answers anything (mailbox/pages/cursor.py).

The id stands in the schema row of every store, as text that an operator can read. Only compare-and-set writes it.
"""

import secrets

from rowbox.cacheserver.stores.port import Store, StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.schema_row import HISTORY_BYTES, HISTORY_QUALIFIER, decode_history, encode_history
from rowbox.mailbox.errors import StoreUnavailable

_TRIES = 5


def new_history() -> bytes:
    """A random id of HISTORY_BYTES, which no store has had."""
    return secrets.token_bytes(HISTORY_BYTES)


async def history_of(store: Store) -> bytes:
    """The id of the store's history, HISTORY_BYTES long. A store that was made without one gets one here.

    Raises as reads and writes of the store do; StoreDamaged where what stands is no id.
    """
    stands = await _read(store)
    return stands if stands is not None else await _swap(store, None)


async def begin_history(store: Store) -> bytes:
    """Begins another history, durably, and returns its id: all tokens and cursors of the ones before reset.

    An owner reads the history when it starts: one that is at work does not notice. Raises as `history_of`.
    """
    return await _swap(store, await _read(store))


async def _swap(store: Store, stands: bytes | None) -> bytes:
    """Puts a new id in the place of `stands`. What another one puts there at the same time is as new, and will do."""
    for _ in range(_TRIES):
        expected = None if stands is None else encode_history(stands)
        await store.compare_and_set(
            SCHEMA_ROW, Family.INDEX, HISTORY_QUALIFIER, expected, encode_history(new_history())
        )
        now = await _read(store)
        if now is not None and now != stands:
            return now
    raise StoreUnavailable("the store does not take a new history: try again")


async def _read(store: StoreReader) -> bytes | None:
    columns = await store.get_columns(SCHEMA_ROW, Family.INDEX, [HISTORY_QUALIFIER])
    return decode_history(columns[0][1]) if columns else None
