"""The invariants of a user's account: what his own row keeps of him beside conversations."""

from collections.abc import Iterable, Mapping
from typing import Any

from rowbox.mailbox.cells import ACCOUNT_KINDS, CONTACT, CONVERSATION, OWN, PROFILE, REVOCATION
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.group import person_key
from rowbox.mailbox.people.contact import Contact
from rowbox.mailbox.people.own_settings import MOST_PINNED, MOST_REQUESTS, OwnSettings
from rowbox.mailbox.people.profile import ADMITTED, LAST_SEEN, Erasure, ErasureStep, Profile


def check_account(states: Mapping[bytes, Mapping[bytes, Any]], told_version: int, report: Report) -> None:
    """Checks the states that count, by kind and key. `told_version` is that of the newest log entry of the account."""
    for profile in states[PROFILE.letter].values():
        _check_profile(profile, report)
    for key, contact in states[CONTACT.letter].items():
        _check_contact(key, contact, report)
    _check_own(states[OWN.letter], states[CONVERSATION.letter], report)
    kinds = (*ACCOUNT_KINDS, REVOCATION)
    all_of_it: Iterable[Any] = (state for kind in kinds for state in states[kind.letter].values())
    newest = max((state.version for state in all_of_it), default=0)
    if told_version > newest:
        report(Code.ACCOUNT, f"the log tells of a change of the account at {told_version}, which is of {newest}")


def _check_profile(profile: Profile, report: Report) -> None:
    is_named = bool(profile.name) or profile.erasure is not None
    if not is_named or not 0 < profile.created_version <= profile.version:
        text = f"the profile of {profile.version} has no name, or came later than that: at {profile.created_version}"
        report(Code.ACCOUNT, text)
    if profile.last_seen not in LAST_SEEN:
        report(Code.ACCOUNT, f"the profile of {profile.version} says {profile.last_seen!r} of who sees its user")
    for says, what in ((profile.messages_from, "writes to"), (profile.group_adds, "brings into groups")):
        if says not in ADMITTED:
            report(Code.ACCOUNT, f"the profile of {profile.version} says {says!r} of who {what} its user")


def _check_contact(key: bytes, contact: Contact, report: Report) -> None:
    is_in_order = 0 < contact.created_version <= contact.since <= contact.version
    if not contact.is_on:
        is_in_order &= contact.since < contact.ended <= contact.version and not (contact.alias or contact.is_favourite)
    if person_key(contact.user_id) != key or not is_in_order:
        text = f"the contact {contact.user_id} is not under its key, or was removed before it was made"
        report(Code.ACCOUNT, text)


def _check_own(settings: Mapping[bytes, OwnSettings], states: Mapping[bytes, Conversation], report: Report) -> None:
    for conversation_id, own in settings.items():
        state, name = states.get(conversation_id), conversation_id.hex()
        if state is None:
            report(Code.OWN_SETTINGS, f"conversation {name} has no state, and was set by its user at {own.version}")
        elif own.is_deleted and (state.snippet or state.unread_count):
            report(Code.OWN_SETTINGS, f"conversation {name} is deleted, and tells of messages")
        if own.floor > own.version or (own.is_deleted and not own.floor):
            report(Code.OWN_SETTINGS, f"conversation {name} is deleted up to {own.floor}, by a change at {own.version}")
    waiting = sum(own.is_open_request for own in settings.values())
    if waiting > MOST_REQUESTS:
        report(Code.OWN_SETTINGS, f"{waiting} conversations wait to be accepted, {MOST_REQUESTS} may")
    pinned = sum(own.is_pinned for own in settings.values())
    if pinned > MOST_PINNED:
        report(Code.OWN_SETTINGS, f"{pinned} conversations are pinned, {MOST_PINNED} may be")


class ErasureCheck:
    """The invariant of the row of a user who is deleted: once the erasure is done, it has nothing but the tombstone and
    what refuses his tokens. Before that it is a part of a mailbox, of which nobody can say which.
    """

    def __init__(self, erasure: Erasure, report: Report) -> None:
        self._is_done = erasure.step is ErasureStep.DONE
        self._report = report

    def states(self, states: Mapping[bytes, Mapping[bytes, Any]]) -> None:
        """Takes in the states that count, by kind and key."""
        for letter, of_kind in states.items():
            if letter not in (PROFILE.letter, REVOCATION.letter):
                self.left(len(of_kind), f"states of kind {letter.decode()}")

    def left(self, count: int, what: str) -> None:
        """Takes in that there is so much of something else."""
        if count and self._is_done:
            self._report(Code.ERASED, f"the row of a deleted user has {count} {what}")
