"""What a cluster does only once all of its servers know it.

A server of an older version passes over what it does not know, as a rule, and that does no harm. Of some things it
would: an owner that knows nothing of blocks would show what is to be hidden, one that knows nothing of deletions what
was deleted, one that knows nothing of ends what has ended, one that knows nothing of requests would call a user by what
a stranger writes. Such a thing has a name here, and is switched on:

    announced       Each server says in its cell of the cluster's row what it knows (NodeCell.features).
    switched on     The first map in which every listed server has announced it says so, and every map after it
                    (ShardMap.features). From then on nobody is listed who does not know it, and a Rowbox that does not
                    know it cannot read the map (map_body.py).
    asked for       Whoever writes the first cell of the kind asks the map that gave it its shards (Ownership.features).

What was written is obeyed by every server that knows it, whatever the map says. An embedded store has one server, which
knows what it knows. docs/adr/0077 says why there is no way back.
"""

from collections.abc import Collection
from typing import Final

from rowbox.mailbox.account.deeds import (
    AccountDeed,
    BlockUser,
    CreateProfile,
    DeleteConversation,
    DeleteUser,
    UnblockUser,
    UpdateProfile,
)
from rowbox.mailbox.errors import FeatureOff
from rowbox.mailbox.people.profile import EVERYONE

BLOCKS: Final = "blocks"
DELETIONS: Final = "deletions"
DISAPPEARING: Final = "disappearing"
ERASURE: Final = "erasure"
REPORTS: Final = "reports"
"""What a report is of is a field of its message: an owner that does not know it would store words of the reporter."""
REQUESTS: Final = "requests"
KNOWN: Final = (BLOCKS, DELETIONS, DISAPPEARING, ERASURE, REPORTS, REQUESTS)
"""What this Rowbox knows, ascending. A name that ever stood here keeps its meaning."""


def check_deed(deed: AccountDeed, on: Collection[str]) -> None:
    """FeatureOff where a deed needs a feature that is not among those that are on."""
    if isinstance(deed, BlockUser | UnblockUser) and BLOCKS not in on:
        raise FeatureOff("blocks come once all servers of the cluster know them", retry_after_ms=1000)
    if isinstance(deed, DeleteConversation) and DELETIONS not in on:
        raise FeatureOff("deletions come once all servers of the cluster know them", retry_after_ms=1000)
    if isinstance(deed, DeleteUser) and ERASURE not in on:
        raise FeatureOff("users are deleted once all servers of the cluster know how", retry_after_ms=1000)
    if isinstance(deed, CreateProfile | UpdateProfile) and REQUESTS not in on and _admits_only_some(deed):
        raise FeatureOff("requests come once all servers of the cluster know them", retry_after_ms=1000)


def check_ttls(on: Collection[str]) -> None:
    """FeatureOff where messages are not to get an end, because that is not among the features that are on."""
    if DISAPPEARING not in on:
        raise FeatureOff("disappearing messages come once all servers of the cluster know them", retry_after_ms=1000)


def check_reports(on: Collection[str]) -> None:
    """FeatureOff where reports are not among the features that are on."""
    if REPORTS not in on:
        raise FeatureOff("reports come once all servers of the cluster know them", retry_after_ms=1000)


def _admits_only_some(deed: CreateProfile | UpdateProfile) -> bool:
    return not {deed.messages_from, deed.group_adds} <= {EVERYONE, None}
