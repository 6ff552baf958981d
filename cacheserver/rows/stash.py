"""Mailboxes that were handed over to this process and that it has not begun to use.

A hand-over is an attempt of a shard's owner to give the shard away, and has an id that no other attempt has. What was
sent under an id may come late, twice, or after the attempt was given up and another one was made; and while it was on
its way the owner may have opened again and written on. So nothing here is used because it came:

    put        takes in what comes for shards that this process does not own
    take_out   when a map names this process as the owner of shards: what came under the id that this very map names.
               All else that came for these shards is thrown away

What comes for a shard that this process owns is refused: it is of an attempt before the one by which it owns the shard.

Of each shard there is one attempt at a time, the one of which something came last. What is too old is dropped, because
the attempt was given up: its owner goes on within seconds, or another map takes the shards. Losing anything here costs
a load.

No I/O, no clock: `now_s` is an argument.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from rowbox.mailbox.ids import shard_of

KEEP_S = 120.0
"""How long something is kept that no map has named: longer than any move takes."""
ROW_BYTES = 400
"""What a row takes here beside its bytes."""


class HandedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One user's mailbox on its way. The order of the fields is a format between processes (docs/formats.md)."""

    user_id: str
    has_outbox: bool
    """Whether messages are to be delivered for it, so that somebody has to begin although nobody asks for the user."""
    packed: bytes
    """See packed_mailbox in mailbox/aggregate/hand_over.py."""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return ROW_BYTES + len(self.packed)


class HandOver(msgspec.Struct, frozen=True, array_like=True):
    """A part of what is handed over. The order of the fields is a format between processes (docs/formats.md)."""

    id: str
    """Of the attempt: each draws its own, once the owner takes no requests any more."""
    rows: list[HandedRow]


class _Attempt:
    """What has come of one attempt for one shard, by user."""

    __slots__ = ("began_s", "id", "rows")

    def __init__(self, hand_over_id: str, began_s: float) -> None:
        self.id = hand_over_id
        self.began_s = began_s
        self.rows: dict[str, HandedRow] = {}


class Stash:
    """What has come for one process."""

    def __init__(self, shards: int, most_bytes: int, owns: Callable[[int], bool]) -> None:
        """`shards` is the store's number of them. `owns(shard)`: whether this process owns it by the map it goes by."""
        self._shards = shards
        self._most_bytes = most_bytes
        self._owns = owns
        self._attempts: dict[int, _Attempt] = {}
        """By shard; the one that began first is first."""
        self.size_bytes = 0

    def put(self, hand_over_id: str, rows: Iterable[HandedRow], now_s: float) -> int:
        """Takes in what came under an id, but what is of shards that this process owns or finds no room.

        Returns how many rows were taken in.
        """
        self.drop_old(now_s)
        taken = 0
        for row in rows:
            shard = shard_of(row.user_id, self._shards)
            if self._owns(shard):
                continue
            attempt = self._attempts.get(shard)
            if attempt is None or attempt.id != hand_over_id:
                self._drop(shard)
                attempt = self._attempts[shard] = _Attempt(hand_over_id, now_s)
            if row.user_id not in attempt.rows and self.size_bytes + row.size_bytes <= self._most_bytes:
                attempt.rows[row.user_id] = row
                self.size_bytes += row.size_bytes
                taken += 1
        return taken

    def take_out(self, named: Mapping[int, str | None]) -> list[HandedRow]:
        """What came for shards under the ids that the map names, which has just given them to this process.

        `named`: by shard, the id of the hand-over by which the map gives it; None: by none, as after the owner's death.
        Nothing of these shards is here afterwards.
        """
        found: list[HandedRow] = []
        for shard, hand_over_id in named.items():
            attempt = self._drop(shard)
            if attempt is not None and attempt.id == hand_over_id:
                found += attempt.rows.values()
        return found

    def drop_old(self, now_s: float) -> None:
        """Drops what has been here for KEEP_S."""
        while self._attempts:
            shard, attempt = next(iter(self._attempts.items()))
            if now_s - attempt.began_s < KEEP_S:
                return
            self._drop(shard)

    def _drop(self, shard: int) -> _Attempt | None:
        attempt = self._attempts.pop(shard, None)
        if attempt is not None:
            self.size_bytes -= sum(row.size_bytes for row in attempt.rows.values())
        return attempt
