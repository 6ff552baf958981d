"""The rules of the ownership protocol, each of which can be left out, and the bounds of a search."""

from typing import NamedTuple


class Rules(NamedTuple):
    """The rules, one field for each (docs/consistency.md). ``Rules(claim_on_load=False)`` is without that rule."""

    # claims (rule 1) and what decides who may claim
    claim_on_load: bool = True
    """A load writes a fence. Else: the fence rides in the owner's first write."""
    await_claim: bool = True
    """An owner serves nothing of a row before the store has confirmed its claim."""
    head_from_index: bool = True
    """A load takes the head from `i`, which never expires. Else: from `l`, which does."""
    new_list: bool = True
    """What was read is filtered by the list that the claim writes. Else: by the list that the claim read."""
    same_head: bool = True
    """An index that is read in parts is read until two readings show the same head. Else: once."""
    raise_n: bool = True
    """After an unknown outcome the next claim is of a new epoch."""
    incarnation: bool = True
    """A restarted process owns nothing until a new map version says so. Else: it goes on under the old one."""
    named_claims: bool = True
    """A row that another incarnation claimed under one's own epoch is not one's own. Else: the epoch alone says so."""
    dead_before_grant: bool = True
    """The map takes a row only from an owner whose lease has lapsed or that is no more. Else: from anyone."""

    # validity and writes (rules 2, 3, 6 and 7)
    fence_filter: bool = True
    """What a load or a read finds in the store is filtered by the fence list."""
    epoch_in_list: bool = True
    """A cell counts only if its epoch is in the list. Else: it counts like one of the next epoch that is."""
    second_state: bool = True
    """An `i` cell, overwritten in place, keeps the state before the mutation, too."""
    whole_mutation: bool = True
    """That state is the one before the WHOLE mutation. Else: the one before its last message."""
    rising_t: bool = True
    """A put that executes late does not hide a newer one (T). Else: what executes last stands."""

    one_in_flight: bool = True
    """Rule 3: a mutation waits for the one before it. Else: it is sent on top of that, and only its own yes counts."""

    # checks of the lease (rules 4 and 5)
    check_after_claim: bool = True
    """Ownership is checked after a claim was confirmed, before the mailbox is served and the row swept."""
    check_after_write: bool = True
    """Ownership is checked after the store confirmed a write, before anything is applied or confirmed."""
    check_before_answer: bool = True
    """Ownership is checked after an answer was computed, before it is sent."""
    check_before_write: bool = True
    """Ownership is checked before a write is sent, so that none is sent a day after its epoch: folding relies on it."""

    # sweeping (rule 2) and folding (rule 8)
    only_lower: bool = True
    """A sweep removes cells of lower epochs only. Else: all that its own list calls invalid."""
    sweep_after_claim: bool = True
    """A sweep waits until the claim was confirmed."""
    garbage_after_write: bool = True
    """A valid `i` cell of a lower epoch goes only after the sweeper's own mutation of it was confirmed."""
    fold_old_only: bool = True
    """Only epochs are folded that ended a day ago. Else: all that ended."""
    fold_swept: bool = True
    """A list is folded only when nothing invalid of the folded epochs is left in the row."""
    fold_both_states: bool = True
    """Nothing invalid includes a state in an `i` cell whose other state is valid, so that no sweep removes the cell."""

    # delivery (section 4)
    claimed_load: bool = True
    """Deliveries start from a claimed load. Else: the takeover scan delivers the `o` cells that it finds valid."""
    deliver_after_check: bool = True
    """A message is delivered after its commit was confirmed and checked. Else: as soon as the write is sent."""
    remove_after_delivery: bool = True
    """An `o` cell is removed after the recipient's owner confirmed. Else: when the delivery was sent."""


class Bounds(NamedTuple):
    """How often each thing may happen in a search. Within the bounds everything happens in every possible order."""

    conversations: tuple[int, ...] = (0, 0)
    """The conversation of each message; there are as many messages as entries.

    Where some but not all messages share one, the names are not alike, and that y is sent after x is a bound, too.
    """
    puts: int = 2
    """Mutations sent, by either owner, retries of the same message included."""
    grants: int = 1
    """Map versions after the first: takeovers and planned moves."""
    unknowns: int = 1
    """Unknown outcomes per incarnation: the highest n."""
    restarts: int = 0
    repeats: int = 0
    """Calls that execute a second time."""
    expiries: int = 0
    """Times at which all message cells expire."""
    sweeps: int = 0
    returns: int = 0
    """Leases that come back after they have lapsed, while the map still names their owner."""
    days: int = 0
    """Days that pass. Each ends all late writes, and lists are folded after it."""
    moves: bool = False
    """Planned moves happen, too."""
    twins: bool = False
    """A restarted process has its map version all the same, under another name: what the map must never let happen."""
    ahead: int = 0
    """How far A's clock is ahead: its versions skip as many."""
    outbox: bool = False
    """Mutations write `o` cells: set by the model of two rows."""
    warm: bool = False
    """The search begins where A has stored the first message (one of `puts`) and serves."""
