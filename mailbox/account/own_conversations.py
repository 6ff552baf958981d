"""How a user sets his conversations for himself, as a part of the plan of his row."""

from typing import TypeVar

from msgspec.structs import replace

from rowbox.mailbox.account.deeds import AccountChanged, DeleteConversation, SetConversation
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import OWN, RECEIPTS, ChangeKind
from rowbox.mailbox.errors import TooManyPinned, UnknownConversation
from rowbox.mailbox.ids import ZERO_ID
from rowbox.mailbox.people.own_settings import MOST_PINNED, NOTHING_SET

_T = TypeVar("_T")


class OwnConversations:
    """The conversations of the row of a `plan`. Whatever raises has planned nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def set(self, deed: SetConversation) -> AccountChanged:
        """Sets one. UnknownConversation, TooManyPinned."""
        state = self._plan.conversation(deed.conversation_id)
        known = self._plan.state(OWN, deed.conversation_id) or NOTHING_SET
        if state is None or known.is_deleted:
            raise UnknownConversation("no such conversation")
        after = replace(
            known,
            muted_until=_or(deed.muted_until, known.muted_until),
            is_archived=_or(deed.is_archived, known.is_archived),
            is_pinned=_or(deed.is_pinned, known.is_pinned),
            is_marked_unread=_or(deed.is_marked_unread, known.is_marked_unread),
            is_request=known.is_request and not deed.accepts,
        )
        if after == known:
            return AccountChanged(self._shown_version(deed.conversation_id, state.version), changed=False)
        if after.is_pinned and not known.is_pinned and self._pinned() >= MOST_PINNED:
            raise TooManyPinned(f"{MOST_PINNED} conversations are pinned, and no more may be")
        version = self._plan.put_own(deed.conversation_id, after)
        if known.is_request and deed.accepts:
            self._plan.note_read(deed.conversation_id)  # of which its sender was not told
        return AccountChanged(version, changed=True)

    def delete(self, deed: DeleteConversation) -> AccountChanged:
        """Deletes one, as far as it has come in this plan. UnknownConversation."""
        return self.delete_own(deed.conversation_id)

    def delete_own(self, conversation_id: bytes) -> AccountChanged:
        """See `delete`."""
        plan = self._plan
        state = plan.conversation(conversation_id)
        if state is None:
            raise UnknownConversation("no such conversation")
        known = plan.state(OWN, conversation_id) or NOTHING_SET
        if known.is_deleted:
            return AccountChanged(self._shown_version(conversation_id, state.version), changed=False)
        epoch, version = plan.stamp()
        after = known.deleted(version, state.last_message_id)
        plan.put(OWN, replace(after, version=version, epoch=epoch), conversation_id)
        plan.put_conversation(conversation_id, state.with_deleted(version, epoch), ChangeKind.SETTINGS, ZERO_ID)
        plan.deleted = (*plan.deleted, conversation_id)
        return AccountChanged(version, changed=True)

    def _pinned(self) -> int:
        known = {*self._plan.states_of(OWN), *self._plan.others.get(OWN.letter, ())}
        return sum((self._plan.state(OWN, one) or NOTHING_SET).is_pinned for one in known)

    def _shown_version(self, conversation_id: bytes, version: int) -> int:
        """With which version clients are shown a conversation whose state is of `version`."""
        marks = self._plan.state(RECEIPTS, conversation_id)
        return max(version, marks.shown) if marks is not None else version


def _or(wanted: _T | None, known: _T) -> _T:
    return known if wanted is None else wanted
