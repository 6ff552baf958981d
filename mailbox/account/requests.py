"""Conversations that strangers begin: they wait to be accepted, where the user wants only contacts to write to him.

It is decided when the first message comes, in the row's own order, and stays until the user accepts: by the deed, by an
answer, or by making the other one a contact. Until then the conversation is listed apart (ConversationIndex.requests),
and nobody is told of it but who asks: no push, no count beside the app, no receipt for its sender, no presence. What
comes is stored as any message. Who deletes such a conversation has declined it: the next message is a request again
(docs/adr/0082).
"""

from msgspec.structs import replace

from rowbox.mailbox.account.contacts import contact_of
from rowbox.mailbox.account.own_conversations import OwnConversations
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import OWN, PROFILE
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.own_settings import MOST_REQUESTS, NOTHING_SET
from rowbox.mailbox.people.profile import EVERYONE


def note_message(plan: Plan, message: Message, version: int) -> int:
    """Has a conversation wait to be accepted where this message, which the plan added with `version`, began it.

    `version` 0: nothing was added. Returns it.
    """
    if not version:
        return version
    conversation_id = message.conversation_id
    own = plan.state(OWN, conversation_id) if plan.has_any(OWN) else None
    if own is not None:
        if own.is_open_request and own.version == version:  # it may be back from where it was deleted
            _make_room(plan, conversation_id)
    elif plan.states[conversation_id].created_version == version and _is_of_a_stranger(plan, message):
        _make_room(plan, conversation_id)
        plan.put(OWN, replace(NOTHING_SET, version=version, epoch=plan.epoch, is_request=True), conversation_id)
    return version


def is_request(mailbox: Mailbox, user_id: str) -> bool:
    """Whether the conversation of a mailbox's user with another one waits to be accepted."""
    return mailbox.index.is_request(direct_conversation_id(mailbox.user_id, user_id))


def may_be_added(plan: Plan, by_user_id: str) -> bool:
    """Whether a row's user wants to be brought into groups by somebody."""
    profile = plan.state(PROFILE)
    if profile is None or profile.group_adds == EVERYONE or by_user_id == plan.user_id:
        return True
    return contact_of(plan, by_user_id) is not None


def _is_of_a_stranger(plan: Plan, message: Message) -> bool:
    """Whether a message is of somebody from whom the row's user wants none at once. A report is none of these: it comes
    to whoever takes reports.
    """
    profile = plan.state(PROFILE)
    if profile is None or profile.messages_from == EVERYONE or message.told is not None:
        return False
    return contact_of(plan, message.sender_id) is None


def _make_room(plan: Plan, conversation_id: bytes) -> None:
    """Where as many others wait as there may be, the one in which nothing has come for longest is declined."""
    others = [one for one in plan.requests() if one != conversation_id]
    if len(others) >= MOST_REQUESTS:
        OwnConversations(plan).delete_own(min(others, key=lambda one: _newest(plan, one)))


def _newest(plan: Plan, conversation_id: bytes) -> int:
    state = plan.conversation(conversation_id)
    return state.last_message_version if state is not None else 0
