"""The invariants of a user's account: what his own row keeps of him beside conversations."""

from collections.abc import Iterable, Mapping
from typing import Any

from rowbox.mailbox.cells import ACCOUNT_KINDS, CONVERSATION, OWN, PROFILE, REVOCATION
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.people.own_settings import MOST_PINNED, OwnSettings
from rowbox.mailbox.people.profile import LAST_SEEN, Erasure, ErasureStep, Profile


def check_account(states: Mapping[bytes, Mapping[bytes, Any]], told_version: int, report: Report) -> None:
    """Checks the states that count, by kind and key. `told_version` is that of the newest log entry of the account."""
    for profile in states[PROFILE.letter].values():
        _check_profile(profile, report)
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


def _check_own(settings: Mapping[bytes, OwnSettings], states: Mapping[bytes, Conversation], report: Report) -> None:
    for conversation_id, own in settings.items():
        state, name = states.get(conversation_id), conversation_id.hex()
        if state is None:
            report(Code.OWN_SETTINGS, f"conversation {name} has no state, and was set by its user at {own.version}")
        elif own.is_deleted and (state.snippet or state.unread_count):
            report(Code.OWN_SETTINGS, f"conversation {name} is deleted, and tells of messages")
        if own.floor > own.version or (own.is_deleted and not own.floor):
            report(Code.OWN_SETTINGS, f"conversation {name} is deleted up to {own.floor}, by a change at {own.version}")
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
