"""What may be asked to be done with a user's account, and what comes of it. Values that travel between processes.

They are array-like and tagged: a new kind has a tag of its own, a new field comes last, with a default.
"""

from typing import TypeAlias

import msgspec

from rowbox.mailbox.people.profile import EVERYONE


class CreateProfile(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Makes a user known."""

    name: str
    avatar: str = ""
    attributes: dict[str, str] = {}
    last_seen: str = EVERYONE
    messages_from: str = EVERYONE
    group_adds: str = EVERYONE


class UpdateProfile(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Another name, avatar, other attributes or another rule for a user who is known; None: it stays."""

    name: str | None = None
    avatar: str | None = None
    attributes: dict[str, str] | None = None
    last_seen: str | None = None
    messages_from: str | None = None
    group_adds: str | None = None


class SetContact(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Makes another user a contact, or changes what is kept of one: what is None stays. `is_removed`: ends that."""

    user_id: str
    alias: str | None = None
    is_favourite: bool | None = None
    is_removed: bool = False


class SetConversation(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Other settings of one's own for a conversation (people/own_settings.py); None: it stays.

    `accepts`: it waits to be accepted no more.
    """

    conversation_id: bytes
    muted_until: int | None = None
    is_archived: bool | None = None
    is_pinned: bool | None = None
    is_marked_unread: bool | None = None
    accepts: bool = False


class DeleteConversation(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Deletes one's own copy of a conversation, as it is: what comes later brings it back, without what was before."""

    conversation_id: bytes


class BlockUser(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Hides from now on what comes of another user."""

    user_id: str


class UnblockUser(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Shows again what comes of another user from now on."""

    user_id: str


class DeleteUser(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Deletes the user: his mailbox is erased. Asked for again it says how far that is."""


AccountDeed: TypeAlias = (
    CreateProfile
    | UpdateProfile
    | SetContact
    | SetConversation
    | DeleteConversation
    | BlockUser
    | UnblockUser
    | DeleteUser
)


class AccountChanged(msgspec.Struct, frozen=True, array_like=True):
    """What came of a deed: the version of what it is about; `changed`: whether it was not so before."""

    version: int
    changed: bool
    step: int = 0
    """Of DeleteUser: the ErasureStep to which the erasure has come."""
