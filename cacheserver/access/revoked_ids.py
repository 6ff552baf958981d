"""Single tokens that are revoked, by their ids (`jti`): a short list in one cell of the store, which the owner knows.

Whoever revokes a token by its id need not know whose it is, and a request must not cost a read of the store. So the
list is one for all users, in the memory of the server that owns them, and bounded. An owner reads it before it answers
anybody, and only an owner adds to it: by compare-and-set, and told only while it is the owner still, so that the next
one has read what was told. (Of several owners each will read it with every beat: docs/adr/0027-revoked-tokens.md.)

An entry is the hash of the id, and when the token has expired at the latest: then it goes with the next change. Nobody
takes an entry back.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from rowbox.cacheserver.cache.waiters import Waiters
from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import REVOKED_ROW
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import RevocationsFull, StoreDamaged, StoreUnavailable

IDS_QUALIFIER: Final = b"ids"
MOST_IDS: Final = 1_000
"""The cell is written whole: 60 KB at most."""
_TRIES: Final = 5


class _Entry(msgspec.Struct, frozen=True):
    """As it is stored: JSON, which an operator can read. `hash`: hexadecimal; `until`: seconds, 0 for no end."""

    hash: str
    until: int = 0


class RevokedIds:
    """The list of one store as its owner has it. `read` before the first answer.

    When tokens are refused that were not before, what waits with them among `waiters` ends.
    """

    def __init__(self, store: Store, waiters: Waiters) -> None:
        self._store = store
        self._waiters = waiters
        self._one_at_a_time = asyncio.Lock()
        """An answer of the store that is overtaken by a later one must not bring the older list back."""
        self._stands: bytes | None = None
        self._entries: Mapping[bytes, int] = {}

    def holds(self, token_hash: bytes, now_us: int) -> bool:
        """Whether the token with this hash of its id is revoked. Cheap where none is."""
        until_s = self._entries.get(token_hash) if self._entries else None
        return until_s is not None and not 0 < until_s * US_PER_S <= now_us

    async def read(self) -> None:
        """Takes in what stands. Raises as reads of the store do."""
        async with self._one_at_a_time:
            await self._read()

    async def add(self, token_hash: bytes, until_s: int, now_us: int) -> None:
        """Has a token refused, durably, by whoever reads the list. Twice is once, with the later end.

        RevocationsFull; raises as writes of the store do: then it may have been added.
        """
        async with self._one_at_a_time:
            await self._add(token_hash, until_s, now_us)

    async def _read(self) -> None:
        columns = await self._store.get_columns(REVOKED_ROW, Family.INDEX, [IDS_QUALIFIER])
        stands = columns[0][1] if columns else None
        if stands == self._stands:
            return
        before, self._entries = self._entries, {} if stands is None else decode_ids(stands)
        self._stands = stands
        if added := self._entries.keys() - before.keys():
            self._waiters.revoke(lambda bearer: bearer.token_hash in added)

    async def _add(self, token_hash: bytes, until_s: int, now_us: int) -> None:
        for _ in range(_TRIES):
            await self._read()
            known = self._entries.get(token_hash)
            if known is not None and (known == 0 or 0 < until_s <= known):
                return
            left = {one: until for one, until in self._entries.items() if not 0 < until * US_PER_S <= now_us}
            left[token_hash] = until_s
            if len(left) > MOST_IDS:
                raise RevocationsFull(
                    f"{MOST_IDS} tokens are revoked by their ids, no more fit: revoke all tokens of the user instead"
                )
            await self._store.compare_and_set(REVOKED_ROW, Family.INDEX, IDS_QUALIFIER, self._stands, encode_ids(left))
        raise StoreUnavailable("the store does not take the revocation: try again")


def encode_ids(entries: Mapping[bytes, int]) -> bytes:
    """The list as it is stored."""
    return msgspec.json.encode([_Entry(one.hex(), until_s) for one, until_s in entries.items()])


def decode_ids(value: bytes) -> Mapping[bytes, int]:
    """The inverse of `encode_ids`; StoreDamaged where there is none."""
    try:
        return {bytes.fromhex(one.hash): one.until for one in msgspec.json.decode(value, type=list[_Entry])}
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreDamaged(f"the list of revoked tokens does not read back: {error}") from error
