"""The rules of the cluster's row, each of which can be left out, and the bounds of a search."""

from typing import NamedTuple


class ClusterRules(NamedTuple):
    """``ClusterRules(judged_anew=False)`` is the protocol without that rule."""

    judged_anew: bool = True
    """After each swap what stands is judged anew. Else: who declared the owner dead raises the map it read before."""
    map_read_back: bool = True
    """The map is owned under once a read shows it. Else: as soon as the swap was sent."""
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
    """The map is taken only from an owner that has ended. Else: from anyone."""
    own_cell: bool = True
    """A node whose own cell has ended is replaced. Else: it goes on, and renews over it."""
    end_before_stop: bool = True
    """Who resigns answers nothing from before its swap is sent. Else: until it reads that it has stopped."""
    cells_stay: bool = True
    """A cell is never removed. Else: who takes over removes those that have ended, and who starts makes a new one."""
    one_first_place: bool = True
    """A first swap of unknown outcome is tried again at its own place. Else: at whichever is free."""
    new_incarnation: bool = True
    """A node that restarts has a new name. Else: it goes on under the old one."""


class ClusterBounds(NamedTuple):
    """How often each thing may happen. Within the bounds everything happens in every possible order."""

    nodes: int = 3
    beats: int = 1
    """Swaps of its own cell that an incarnation sends, after those of a warm start."""
    versions: int = 2
    """The highest map version that is proposed."""
    crashes: int = 0
    """Restarts, of any node, each as a new incarnation."""
    stops: int = 0
    """Resignations: of a server that is stopped, or that leaves the mailboxes because it does not reach them."""
    raises: int = 0
    """Rows met that are claimed under a map version as high as the owner's."""
    writes: bool = False
    """Owners write mail, too."""
    late_answers: bool = False
    """What a node read is judged at any later time. Else: at once, and only the swap that follows executes late."""
    warm: bool = True
    """The search begins where all nodes have joined and the first one owns. Else: with an empty row."""
