"""Single tokens that are revoked, by their ids (`jti`): a short list in one cell of the store, kept in memory.

Whoever revokes a token by its id need not know whose token it is, and a request must not cost a read of the store. So
there is one list for all users, bounded, in the memory of every owner. An owner reads the list before it answers
anybody. Any owner adds to it, by compare-and-set. Where a store may have several owners, each of them reads the list
again every READ_EVERY_S, so that what another one has added holds here within a second
(docs/adr/0027-revoked-tokens.md, docs/adr/0047-grants.md).

An entry is the hash of the id, and the second at which the token has expired at the latest. The first change of the
list after that second removes the entry; nothing else does.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import REVOKED_ROW
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import RevocationsFull, StoreDamaged, StoreUnavailable, TokenRevoked
from rowbox.mailbox.revocation import Bearer

IDS_QUALIFIER: Final = b"ids"
MOST_IDS: Final = 1_000
"""How many entries the list has at most: the cell is written whole, and so has 60 KB at most."""
READ_EVERY_S: Final = 0.5
"""How long at most from the end of one reading to the begin of the next."""
_TRIES: Final = 5


EndRevoked = Callable[[Callable[[Bearer], type[TokenRevoked] | None]], None]
"""Ends all that goes on with a token that its argument gives an error for, with that error: waits, and followers."""


class _Entry(msgspec.Struct, frozen=True):
    """An entry as it is stored, in JSON: `hash` in hexadecimal; `until` in seconds since 1970, 0 for no end."""

    hash: str
    until: int = 0


class RevokedIds:
    """The list of one store, as one owner has read it. The owner calls `read` before its first answer.

    Where others may write the list as well, it then starts `loop`, and wakes it when it is not alone any more.
    When an entry is new, what goes on with that token ends by `end_revoked`.
    """

    def __init__(self, store: Store, end_revoked: EndRevoked, is_alone: Callable[[], bool]) -> None:
        """`is_alone()`: whether no other owner can be at work now, so that nobody else adds to the list."""
        self._store = store
        self._end_revoked = end_revoked
        self._is_alone = is_alone
        self._was_alone = False
        """Whether no other owner was at work when the last reading began: then all that others have added was there."""
        self._one_at_a_time = asyncio.Lock()
        """An answer of the store that is overtaken by a later one must not bring the older list back."""
        self._stands: bytes | None = None
        self._entries: Mapping[bytes, int] = {}
        self.loop = BackgroundLoop("revocations", self._round)
        self.missed_reads = 0
        """Readings that the store did not answer. An owner that cannot read for long has no lease either."""

    def holds(self, token_hash: bytes, now_us: int) -> bool:
        """Whether the token with this hash of its id is revoked. Costs next to nothing while the list is empty."""
        until_s = self._entries.get(token_hash) if self._entries else None
        return until_s is not None and not 0 < until_s * US_PER_S <= now_us

    async def read(self) -> None:
        """Reads the list from the store. Raises what reads of the store raise, and StoreDamaged."""
        async with self._one_at_a_time:
            was_alone = self._is_alone()
            await self._read()
            self._was_alone = was_alone

    async def add(self, token_hash: bytes, until_s: int, now_us: int) -> None:
        """Adds a token to the stored list. A token that is added twice stands in it once, with the later end.

        RevocationsFull; raises what reads and writes of the store raise: then the token may have been added.
        """
        async with self._one_at_a_time:
            await self._add(token_hash, until_s, now_us)

    async def _round(self) -> float | None:
        """A reading, where there may be news. The pause after one that failed must not grow as it does otherwise."""
        if self._was_alone and self._is_alone():
            return None
        try:
            await self.read()
        except StoreUnavailable:
            self.missed_reads += 1
        return READ_EVERY_S

    async def _read(self) -> None:
        columns = await self._store.get_columns(REVOKED_ROW, Family.INDEX, [IDS_QUALIFIER])
        stands = columns[0][1] if columns else None
        if stands == self._stands:
            return
        before, self._entries = self._entries, {} if stands is None else decode_ids(stands)
        self._stands = stands
        if added := self._entries.keys() - before.keys():
            self._end_revoked(lambda bearer: TokenRevoked if bearer.token_hash in added else None)

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
    """The bytes under which the list is stored."""
    return msgspec.json.encode([_Entry(one.hex(), until_s) for one, until_s in entries.items()])


def decode_ids(value: bytes) -> Mapping[bytes, int]:
    """The inverse of `encode_ids`. StoreDamaged where the bytes are no such list."""
    try:
        return {bytes.fromhex(one.hash): one.until for one in msgspec.json.decode(value, type=list[_Entry])}
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreDamaged(f"the list of revoked tokens does not read back: {error}") from error
