"""Whom a user knows, as his own row tells it: nobody else is told, and the other one need not know him.

Who is a contact decides what a stranger may not: see the user online, where he shows that to contacts alone.
"""

from typing import Final

import msgspec

MOST_CONTACTS: Final = 5_000
"""People whom one user has ever made contacts of his: of each a state stays in memory with his mailbox."""
MOST_ALIAS_CHARACTERS: Final = 100


class Contact(msgspec.Struct, frozen=True, array_like=True):
    """What a user's row says of somebody who is, or was, a contact of his.

    `since` is the version with which he became one last, `ended` that with which he was removed after it; 0: he is one.
    `created_version` is the version with which he became one first. `alias`: what the user calls him; "": as he calls
    himself. Of who was removed there is neither alias nor favourite.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    user_id: str
    since: int
    ended: int
    created_version: int
    alias: str = ""
    is_favourite: bool = False

    @property
    def is_on(self) -> bool:
        """Whether the person is a contact now."""
        return not self.ended
