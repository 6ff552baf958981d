"""The invariants of a user's account: what his own row keeps of him beside conversations."""

from collections.abc import Iterable, Mapping
from typing import Any

from rowbox.mailbox.cells import ACCOUNT_KINDS, DEVICES, PROFILE, REVOCATION
from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.people.profile import Profile


def check_account(states: Mapping[bytes, Mapping[bytes, Any]], told_version: int, report: Report) -> None:
    """Checks the states that count, by kind and key. `told_version` is that of the newest log entry of the account."""
    for profile in states[PROFILE.letter].values():
        _check_profile(profile, report)
    kinds = (*ACCOUNT_KINDS, DEVICES, REVOCATION)
    all_of_it: Iterable[Any] = (state for kind in kinds for state in states[kind.letter].values())
    newest = max((state.version for state in all_of_it), default=0)
    if told_version > newest:
        report(Code.ACCOUNT, f"the log tells of a change of the account at {told_version}, which is of {newest}")


def _check_profile(profile: Profile, report: Report) -> None:
    if not profile.name or not 0 < profile.created_version <= profile.version:
        text = f"the profile of {profile.version} has no name, or came later than that: at {profile.created_version}"
        report(Code.ACCOUNT, text)
