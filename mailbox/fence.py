"""The fence: which epochs of a row count, and up to which version.

Every cell carries the epoch and the version that wrote it. A row's fence is a list of entries, ascending by epoch,
one for each ownership of the row that still matters::

    (epoch, starts_after, claimed_at_ms, folded, incarnation)

`starts_after` is the row's head when the epoch was claimed: the epoch's own versions are all greater. An entry's
epoch *owns* the versions in ``(its starts_after, the next entry's starts_after]``; the last entry owns all that follow.

The rules (docs/consistency.md says why; tests/model searches for a violation when one is left out):

validity   A cell counts iff its epoch is in the list and its version is <= the next entry's `starts_after`.
           Anything else is the late write of an owner that was replaced.
claim      The new list is the list read, less what owns nothing, plus the new entry. Who finds its own epoch at the end
           of the list has claimed the row already, if the entry names its own incarnation. Under another one's it
           serves nothing: no two ever own under one epoch, and where they do after all, they must not share a row.
dropping   An entry that owns no version is dropped at the next claim. Exact: none of its cells counted or will count.
folding    Entries whose epoch ended FOLD_AFTER_MS ago become one: "every epoch up to here". Exact only when no write of
           them can land any more (the one bound on late writes relied on) and a read made after that time shows nothing
           invalid of them, neither state of an index cell included: such a state no sweep may remove while it shares
           its cell with a valid one, so folding waits until another epoch has written the conversation.
sweeping   Only cells of epochs LOWER than the sweeper's own go, only after its claim was confirmed with the lease held.

No I/O, no clock: time is an argument.
"""

from bisect import bisect_left
from collections.abc import Iterable
from enum import Enum, auto
from operator import attrgetter
from typing import NamedTuple

from rowbox.mailbox.clocks.clock import US_PER_MS

N_BITS = 24
"""An epoch is ``map_version << N_BITS | n`` (5 + 3 bytes): n is the process's own counter."""
MAX_EPOCH = (1 << 64) - 1
FOLD_AFTER_MS = 24 * 3600 * 1000
"""How long after its end an epoch's entry is kept apart. A gateway gives up within 10 minutes."""


class FenceEntry(NamedTuple):
    """One ownership of a row. `starts_after` is a version (microseconds), `claimed_at_ms` the claimer's clock.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    epoch: int
    starts_after: int
    claimed_at_ms: int
    folded: bool = False
    """True only in the first place of a list: the entry stands for every epoch up to its own."""
    incarnation: str = ""
    """Who claimed. "": an entry of the first format, or a folded one."""


Fence = tuple[FenceEntry, ...]
_epoch_of = attrgetter("epoch")


class Stamp(NamedTuple):
    """What wrote a cell: the epoch of the owner and the mailbox version of the change."""

    epoch: int
    version: int


def make_epoch(map_version: int, n: int) -> int:
    """The epoch of ownership `n` under `map_version`; ValueError when either leaves its 5 or 3 bytes."""
    if not 0 <= map_version < 1 << 40 or not 0 <= n < 1 << N_BITS:
        raise ValueError(f"no such epoch: map version {map_version}, n {n}")
    return map_version << N_BITS | n


def map_version_of(epoch: int) -> int:
    """The map version that gave `epoch`."""
    return epoch >> N_BITS


def next_epoch(epoch: int) -> int | None:
    """The epoch to go on to under the same map version; None where its n is spent: only a new map version gives one."""
    map_version, n = divmod(epoch, 1 << N_BITS)
    return make_epoch(map_version, n + 1) if n + 1 < 1 << N_BITS else None


def newest(fences: Iterable[Fence]) -> Fence:
    """The authoritative list of a row: the one in the fence of the highest epoch. () for one never claimed."""
    return max((fence for fence in fences if fence), key=lambda fence: fence[-1].epoch, default=())


def is_valid(fence: Fence, epoch: int, version: int) -> bool:
    """Whether a cell of (`epoch`, `version`) counts under `fence`."""
    # By bisection: a load asks for each of its cells, and a bad day may leave a thousand entries.
    position = bisect_left(fence, epoch, key=_epoch_of)
    if position == len(fence) or (fence[position].epoch != epoch and not fence[position].folded):
        return False
    following = position + 1
    return following == len(fence) or version <= fence[following].starts_after


def head_of(fence: Fence, stamps: Iterable[Stamp]) -> int:
    """The row's head: the highest valid version among the index's `stamps` and the list's own starts; 0 if new."""
    head = max((entry.starts_after for entry in fence), default=0)
    for epoch, version in stamps:
        if version > head and is_valid(fence, epoch, version):
            head = version
    return head


def latest_us(fence: Fence, stamps: Iterable[Stamp] = ()) -> int:
    """The latest time that anything of a row is known to be of: its versions, and the claims of its epochs."""
    claimed_us = (entry.claimed_at_ms * US_PER_MS for entry in fence)
    starts = (entry.starts_after for entry in fence)
    return max(*claimed_us, *starts, *(stamp.version for stamp in stamps), 0)


def has_claimed(fence: Fence, epoch: int, incarnation: str) -> bool:
    """Whether `fence` is the list that `incarnation` claimed the row with for `epoch`: it need not claim again."""
    return bool(fence) and fence[-1].epoch == epoch and fence[-1].incarnation == incarnation


class Access(Enum):
    """What a row's list allows to an incarnation that holds an epoch."""

    CLAIMED = auto()
    """The list is its own claim: it goes by it."""
    CLAIMABLE = auto()
    """It may claim the row, and has to before it serves anything."""
    REPLACED = auto()
    """The row is another's, under this epoch or a higher one: it serves nothing until it holds an epoch above that."""


def access(fence: Fence, epoch: int, incarnation: str) -> Access:
    """What the newest list of a row, as it was read, allows to `incarnation` under `epoch`."""
    if has_claimed(fence, epoch, incarnation):
        return Access.CLAIMED
    return Access.REPLACED if fence and fence[-1].epoch >= epoch else Access.CLAIMABLE


def claim(fence: Fence, epoch: int, head: int, now_ms: int, incarnation: str) -> Fence:
    """The list to write when claiming the row for `epoch`: `fence`, less what owned nothing, plus the new entry.

    `head` is `head_of` what was read together with `fence`, in one atomic read. ValueError when `fence` already names
    `epoch` or a higher one: then the caller either owns the row already (`has_claimed`) or was replaced.
    """
    if fence and fence[-1].epoch >= epoch:
        raise ValueError(f"epoch {epoch:#x} may not follow {fence[-1].epoch:#x}")
    claimed_at_ms = max(now_ms, fence[-1].claimed_at_ms) if fence else now_ms  # a claim is later than those before it
    return (*drop_empty(fence, head), FenceEntry(epoch, head, claimed_at_ms, incarnation=incarnation))


def drop_empty(fence: Fence, head: int) -> Fence:
    """`fence` without the entries that own no version, given that the next owner starts after `head`."""
    ends = [*(entry.starts_after for entry in fence), head][1:]  # none for a row that was never claimed
    return tuple(entry for entry, end in zip(fence, ends, strict=True) if entry.starts_after != end)


def fold(fence: Fence, now_ms: int) -> Fence:
    """`fence` with all entries that ended `FOLD_AFTER_MS` ago as one; `fence` itself where fewer than two are that old.

    To be written only when a read made FOLD_AFTER_MS after their ends shows nothing invalid of those epochs, in either
    state of an index cell: after folding it would count.
    """
    old = sum(1 for entry in fence[1:] if entry.claimed_at_ms + FOLD_AFTER_MS <= now_ms)
    if old < 2:
        return fence
    last = fence[old - 1]
    return (FenceEntry(last.epoch, fence[0].starts_after, last.claimed_at_ms, True), *fence[old:])


def blocks_folding(fence: Fence, through: int, epoch: int, version: int) -> bool:
    """Whether a cell of (`epoch`, `version`) forbids to fold all entries up to epoch `through` of `fence`.

    `fence` is the list as it was read. The cell does not count by it, and would after folding.
    """
    return epoch <= through and not is_valid(fence, epoch, version)


def is_sweepable(fence: Fence, own: int, epoch: int, version: int) -> bool:
    """Whether the owner of epoch `own` may remove a cell of (`epoch`, `version`): it is invalid, and of a lower epoch.

    `fence` is the list that `own` claimed with. A cell of a higher epoch is invalid by that list too, and may be what
    another owner has confirmed since: whoever meets one was replaced and removes nothing.
    """
    return epoch < own and not is_valid(fence, epoch, version)
