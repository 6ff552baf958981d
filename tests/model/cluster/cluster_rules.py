"""The rules of the cluster's row, each of which can be left out, and the bounds of a search."""

from typing import NamedTuple


class ClusterRules(NamedTuple):
    """``ClusterRules(judged_anew=False)`` is the protocol without that rule."""

    judged_anew: bool = True
    """After each swap what stands is judged anew. Else: who declared an owner dead goes on with the map read before."""
    swapped_over_what_was_judged: bool = True
    """A map is swapped in over the one that it was made of. Else: over whatever stands when the swap executes."""
    rebuilt: bool = True
    """Who lost the race makes its map anew, of what stands. Else: it swaps in the one that it has, a version higher."""
    map_read_back: bool = True
    """A map is applied once a read shows it. Else: as soon as its swap was sent."""
    rising_maps: bool = True
    """Maps are applied in rising order. Else: whichever was read last."""
    applied_before_renewal: bool = True
    """A renewal counts once the map that was read with it is applied. Else: at once."""
    death_read_back: bool = True
    """An owner has ended once a read shows it. Else: as soon as the swap to dead was sent."""
    renewal_read_back: bool = True
    """A renewal counts once a read shows it. Else: as soon as it was sent."""
    standing_beat: bool = True
    """The lease counts from the beat that stands. Else: from the newest that was sent."""
    patience: bool = True
    """A watcher is out of patience with a beat only after the lease that counts from it is over."""
    unchanged_cell: bool = True
    """Death is declared by a swap on the cell that was watched. Else: on whatever stands when it executes."""
    only_from_the_ended: bool = True
    """A plan gives away the shards of the ended. Else: also those of the living."""
    absent_has_ended_in_whole_looks: bool = True
    """Who has no cell has ended, where the whole row was read. Else: also where its place was not read."""
    since_is_raised: bool = True
    """A shard that changes hands has the new version as its `since`. Else: it keeps the one that it had."""
    own_cell: bool = True
    """A node whose own cell has ended is replaced. Else: it goes on, and renews over it."""
    end_before_stop: bool = True
    """Who resigns answers nothing from before its swap is sent. Else: until it reads that it has stopped."""
    cells_stay: bool = True
    """A cell is never removed. Else: who plans removes those that have ended, and who starts makes a new one."""
    one_first_place: bool = True
    """A first swap of unknown outcome is tried again at its own place. Else: at whichever is free."""
    new_incarnation: bool = True
    """A node that restarts has a new name. Else: it goes on under the old one."""
    closed_until_decided: bool = True
    """Who sent a swap that gives shards away answers for them once a newer map is applied. Else: at any time."""
    grants_stand: bool = True
    """A mover gives away what it has the grant of. Else: whatever the map has on the move to its target."""
    restore_waits: bool = True
    """After a restore everybody waits, for longer than a lease. Else: for nobody."""


class ClusterBounds(NamedTuple):
    """How often each thing may happen. Within the bounds everything happens in every possible order."""

    nodes: int = 3
    shards: int = 2
    owners: int = 2
    """How many of those who have joined own the shards."""
    beats: int = 1
    """Renewals that an incarnation sends, after the swap by which it joins."""
    versions: int = 2
    """The highest map version that is proposed."""
    plans: int = 1
    """How many different plans a steward may have; 0: the one that ships."""
    stewards: int = 3
    crashes: int = 0
    """Restarts, of any node, each as a new incarnation."""
    stops: int = 0
    """Resignations: of a server that is stopped, or that leaves the mailboxes because it does not reach them."""
    raises: int = 0
    """Rows met that are claimed under a map version as high as the owner's."""
    moves: int = 0
    """Shards that the map has moved: by an operator, or by a plan."""
    restores: int = 0
    writes: bool = False
    """Owners write mail, too."""
    carries: bool = False
    """A steward whose plan lost its race may carry over what still holds of it."""
    late_answers: bool = False
    """What a node read is judged at any later time. Else: at once, and only the swap that follows executes late."""
    joined: int = 3
    """How many nodes have joined, and are listed, where the search begins; 0: the row is empty."""
