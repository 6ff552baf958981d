"""A user's own row, as the plan of one mutation, where his account is concerned.

What is asked for twice is done once: what is so already is not changed. Each change has a log entry: of what is about
no conversation one of the kind ACCOUNT, which names nothing, and the user's devices ask what they show.
"""

from rowbox.mailbox.account.deeds import AccountChanged, AccountDeed, CreateProfile, SetConversation, UpdateProfile
from rowbox.mailbox.account.own_conversations import OwnConversations
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import PROFILE, ChangeKind, LogCell
from rowbox.mailbox.errors import UnknownUser, UserExists
from rowbox.mailbox.people.profile import Profile


class AccountRow:
    """The row of a `plan`. Whatever raises has planned nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def do(self, deed: AccountDeed) -> AccountChanged:
        """Does what is asked. UserExists, UnknownUser, and what OwnConversations raises."""
        if isinstance(deed, SetConversation):
            return OwnConversations(self._plan).set(deed)
        if isinstance(deed, CreateProfile):
            return self._create(deed)
        return self._update(deed)

    def _create(self, new: CreateProfile) -> AccountChanged:
        known = self._plan.state(PROFILE)
        said = (new.name, new.avatar, new.attributes, new.last_seen)
        if known is None:
            return self._put_profile(*said, created=0)
        if said != (known.name, known.avatar, known.attributes, known.last_seen):
            raise UserExists("this user has a profile already, and another one")
        return AccountChanged(known.version, changed=False)

    def _update(self, new: UpdateProfile) -> AccountChanged:
        known = self._plan.state(PROFILE)
        if known is None:
            raise UnknownUser("this user has no profile")
        name = known.name if new.name is None else new.name
        avatar = known.avatar if new.avatar is None else new.avatar
        attributes = known.attributes if new.attributes is None else new.attributes
        last_seen = known.last_seen if new.last_seen is None else new.last_seen
        said = (name, avatar, attributes, last_seen)
        if said == (known.name, known.avatar, known.attributes, known.last_seen):
            return AccountChanged(known.version, changed=False)
        return self._put_profile(*said, created=known.created_version)

    def _put_profile(
        self, name: str, avatar: str, attributes: dict[str, str], last_seen: str, *, created: int
    ) -> AccountChanged:
        """`created` 0: now."""
        epoch, version = self._plan.stamp()
        self._plan.put(PROFILE, Profile(version, epoch, name, avatar, attributes, created or version, last_seen))
        self._plan.log.append(LogCell(version, epoch, ChangeKind.ACCOUNT, b"", b""))
        return AccountChanged(version, changed=True)
