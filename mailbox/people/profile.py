"""A user's profile: how he is called, and what the program that made him known keeps of him.

It is in the user's own row, and nowhere else: no other row has a copy that would have to follow it. A user without one
is nobody whom anybody has made known; his mailbox is there all the same.
"""

from enum import IntEnum
from typing import Final

import msgspec

MOST_NAME_CHARACTERS: Final = 100
MOST_AVATAR_CHARACTERS: Final = 512
MOST_ATTRIBUTES_BYTES: Final = 2_048
"""Of UTF-8, names and values together."""
MOST_ATTRIBUTE_NAME: Final = 64
"""Characters."""
EVERYONE: Final = "everyone"
CONTACTS: Final = "contacts"
NOBODY: Final = "nobody"
LAST_SEEN: Final = (EVERYONE, CONTACTS, NOBODY)
"""Who may be shown when a user is online and when he was last: those who are in a conversation of two with him,
of these his contacts alone, or nobody. It holds both ways: he is shown when those are to whom he is shown.
"""
ADMITTED: Final = (EVERYONE, CONTACTS)
"""Who may do something at once: anybody, or the user's contacts alone."""


class ErasureStep(IntEnum):
    """How far the erasure of a user is (mailbox/account/erasing.py). Numbers are stored: never reuse one."""

    CLOSED = 1
    """Nobody gets in any more, and nothing comes in. He leaves his groups, and what he has sent is delivered."""
    WIPING = 2
    """The tombstone is the row's newest state: everything else is removed."""
    SWEEPING = 3
    """All is removed. What an owner that was replaced still writes may come for a day."""
    DONE = 4


class Erasure(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a user who is deleted, for ever: times in microseconds, 0 for what is still to come.

    `reminder` is the id of the cell in the row's outbox by which a scan finds the row until the erasure is done.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    step: ErasureStep
    begun_us: int
    reminder: bytes
    wiped_us: int = 0
    done_us: int = 0


class Profile(msgspec.Struct, frozen=True, array_like=True):
    """`created_version` is the version with which the user was made known: it stays. `avatar` is "" for none.

    Of a user who is deleted it is the tombstone: it says nothing but that (`erasure`).

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    name: str
    avatar: str
    attributes: dict[str, str]
    created_version: int
    last_seen: str = EVERYONE
    """One of LAST_SEEN."""
    erasure: Erasure | None = None
    """None: the user is not deleted."""
    messages_from: str = EVERYONE
    """One of ADMITTED: whose first message begins a conversation that need not be accepted."""
    group_adds: str = EVERYONE
    """One of ADMITTED: who brings the user into groups."""

    @property
    def hides(self) -> bool:
        """Whether nobody may be shown when the user is online, and he nobody else. What a newer Rowbox writes, and this
        one does not know, is taken for that.
        """
        return hides(self.last_seen)


def hides(last_seen: str) -> bool:
    """Whether a choice of LAST_SEEN, or what only a newer Rowbox knows, is to be shown to nobody."""
    return last_seen not in (EVERYONE, CONTACTS)


def attributes_bytes(attributes: dict[str, str]) -> int:
    """What counts against MOST_ATTRIBUTES_BYTES."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in attributes.items())
