"""A user's own row, as the plan of one mutation, where his account is concerned.

What is asked for twice is done once: what is so already is not changed. Each change has a log entry: of what is about
no conversation one of the kind ACCOUNT, which names nothing, and the user's devices ask what they show.
"""

from msgspec.structs import replace

from rowbox.mailbox.account import blocks
from rowbox.mailbox.account.contacts import set_contact
from rowbox.mailbox.account.deeds import (
    AccountChanged,
    AccountDeed,
    BlockUser,
    CreateProfile,
    DeleteConversation,
    DeleteUser,
    SetContact,
    SetConversation,
    UnblockUser,
    UpdateProfile,
)
from rowbox.mailbox.account.erasing import ErasingRow
from rowbox.mailbox.account.own_conversations import OwnConversations
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import BLOCK, PROFILE, ChangeKind, LogCell
from rowbox.mailbox.errors import TooManyBlocks, UnknownUser, UserExists
from rowbox.mailbox.group import person_key
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.people.block import MOST_BLOCKS, Block
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.ttls.ttl_row import take_hidden_ttl


class AccountRow:
    """The row of a `plan`. Whatever raises has planned nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def do(self, deed: AccountDeed) -> AccountChanged:
        """Does what is asked.

        UserExists, UnknownUser, TooManyBlocks, TooManyContacts, and what OwnConversations raises.
        """
        if isinstance(deed, SetConversation):
            return OwnConversations(self._plan).set(deed)
        if isinstance(deed, DeleteConversation):
            return OwnConversations(self._plan).delete(deed)
        if isinstance(deed, SetContact):
            return set_contact(self._plan, deed)
        if isinstance(deed, CreateProfile):
            return self._create(deed)
        if isinstance(deed, BlockUser):
            return self._block(deed.user_id)
        if isinstance(deed, UnblockUser):
            return self._unblock(deed.user_id)
        if isinstance(deed, DeleteUser):
            return ErasingRow(self._plan).close()
        return self._update(deed)

    def _create(self, new: CreateProfile) -> AccountChanged:
        known = self._plan.state(PROFILE)
        told = {name: getattr(new, name) for name in new.__struct_fields__}
        wanted = Profile(0, 0, created_version=0, **told)
        if known is None:
            return self._put_profile(wanted)
        if not _is_same(wanted, known):
            raise UserExists("this user has a profile already, and another one")
        return AccountChanged(known.version, changed=False)

    def _update(self, new: UpdateProfile) -> AccountChanged:
        known = self._plan.state(PROFILE)
        if known is None:
            raise UnknownUser("this user has no profile")
        told = {name: getattr(new, name) for name in new.__struct_fields__}
        wanted = replace(known, **{name: value for name, value in told.items() if value is not None})
        return AccountChanged(known.version, changed=False) if wanted == known else self._put_profile(wanted)

    def _block(self, user_id: str) -> AccountChanged:
        key = person_key(user_id)
        known = self._plan.state(BLOCK, key)
        if known is not None and known.is_on:
            return AccountChanged(known.since, changed=False)
        if known is None and len(self._plan.keys_of(BLOCK)) >= MOST_BLOCKS:
            raise TooManyBlocks(f"you have blocked {MOST_BLOCKS} people at some time, and nobody may block more")
        epoch, version = self._plan.stamp()
        if known is None:
            known = Block(version, epoch, user_id, version, 0, version)
        self._put_block(replace(known, version=version, epoch=epoch, since=version, ended=0), key)
        return AccountChanged(version, changed=True)

    def _unblock(self, user_id: str) -> AccountChanged:
        key = person_key(user_id)
        known = self._plan.state(BLOCK, key)
        if known is None or not known.is_on:
            return AccountChanged(known.ended if known is not None else 0, changed=False)
        epoch, version = self._plan.stamp()
        self._put_block(replace(known, version=version, epoch=epoch, ended=version), key)
        take_hidden_ttl(self._plan, direct_conversation_id(self._plan.user_id, user_id))
        blocks.take_kept_receipt(self._plan, known)
        return AccountChanged(version, changed=True)

    def _put_block(self, block: Block, key: bytes) -> None:
        self._plan.put(BLOCK, block, key)
        self._plan.log.append(LogCell(block.version, block.epoch, ChangeKind.ACCOUNT, b"", b""))

    def _put_profile(self, profile: Profile) -> AccountChanged:
        """Adds it with the stamp of this change; where it is new, that is also when it came."""
        epoch, version = self._plan.stamp()
        created = profile.created_version or version
        self._plan.put(PROFILE, replace(profile, version=version, epoch=epoch, created_version=created))
        self._plan.log.append(LogCell(version, epoch, ChangeKind.ACCOUNT, b"", b""))
        return AccountChanged(version, changed=True)


def _is_same(one: Profile, other: Profile) -> bool:
    """Whether two profiles say the same, whenever they were written."""
    stamp = {"version": 0, "epoch": 0, "created_version": 0}
    return replace(one, **stamp) == replace(other, **stamp)
