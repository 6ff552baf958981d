"""A user's own row, as the plan of one mutation, where the user is deleted: his mailbox is erased, step by step.

His own row decides it and says how far it is, in its profile, which is his tombstone (people/profile.py). So each step
is a mutation of a row like any other: whoever owns it goes on from what is there, and a step that is done twice changes
nothing. cacheserver/people/erasures.py does what lies between two of them:

    CLOSED     From its commit nobody gets in, for ever: every token is refused, whenever it was issued, and every
               device is signed out. Nothing comes in: what others send is acknowledged and dropped, joins are declined.
               Then he is taken out of his groups, and what he has sent is delivered.
    WIPING     The tombstone is written anew, as the newest state of the row: its version is the row's head. Only then
               cells are removed; else the head would fall with them, and a version would be given twice.
    SWEEPING   Nothing else is left. Where writes can be late (cacheserver/stores/port.py), one of an owner that was
               replaced may still come for a day; so all is removed once more after that.
    DONE       The row has its tombstone, and the state that refuses its tokens; the fence says who has written them.

tests/model/erase searches for a violation without each of these rules, and docs/adr/0080 says what stays elsewhere.
"""

from typing import Final

from msgspec.structs import replace

from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.account.deeds import AccountChanged
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import PROFILE, REVOCATION, OutboxCell
from rowbox.mailbox.clocks.clock import US_PER_MS, US_PER_S
from rowbox.mailbox.errors import JoinDeclined, UnknownUser
from rowbox.mailbox.fence import FOLD_AFTER_MS
from rowbox.mailbox.group import GroupPart
from rowbox.mailbox.ids import ZERO_ID, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import NOBODY, Erasure, ErasureStep, Profile

KEPT: Final = frozenset({PROFILE.letter, REVOCATION.letter})
"""The kinds of index cells that a row keeps when its user was erased."""
SWEPT_AFTER_US: Final = FOLD_AFTER_MS * US_PER_MS + 3_600 * US_PER_S
"""How long after the wipe a row is swept once more: no write of an owner that was replaced comes later than a day."""


class ErasingRow:
    """The row of a `plan`. Whatever raises has planned nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def close(self) -> AccountChanged:
        """Deletes the user, once. Asked for again it says how far the erasure is."""
        plan = self._plan
        known = plan.state(PROFILE)
        if known is not None and known.erasure is not None:
            return AccountChanged(known.version, changed=False, step=known.erasure.step)
        AccessRow(plan).shut_out()
        epoch, version = plan.stamp()
        reminder = message_id(version, 0)
        created = known.created_version if known is not None else version
        erasure = Erasure(ErasureStep.CLOSED, plan.now_us, reminder)
        plan.put(PROFILE, Profile(version, epoch, "", "", {}, created, NOBODY, erasure))
        plan.post(OutboxCell(reminder, epoch, version, Message(reminder, ZERO_ID, "", (), "")))
        return AccountChanged(version, changed=True, step=erasure.step)

    def enter(self, step: ErasureStep) -> AccountChanged:
        """Notes that the erasure has come to `step`, with a tombstone of this epoch whose version is the row's head.

        What is so already stays; nothing goes back. UnknownUser where the user is not deleted.
        """
        plan = self._plan
        known = plan.state(PROFILE)
        if known is None or known.erasure is None:
            raise UnknownUser("this user is not deleted")
        erasure = known.erasure
        if erasure.step > step or (erasure.step == step and known.epoch == plan.epoch):
            return AccountChanged(known.version, changed=False, step=erasure.step)
        revocation = plan.known_revocation
        assert revocation is not None  # it was written with the first step
        epoch, version = plan.stamp()
        plan.put(REVOCATION, replace(revocation, version=version, epoch=epoch))
        erasure = replace(
            erasure,
            step=step,
            wiped_us=erasure.wiped_us or (plan.now_us if step >= ErasureStep.SWEEPING else 0),
            done_us=erasure.done_us or (plan.now_us if step is ErasureStep.DONE else 0),
        )
        epoch, version = plan.stamp()
        plan.put(PROFILE, replace(known, version=version, epoch=epoch, erasure=erasure))
        return AccountChanged(version, changed=True, step=step)


def erased_answer(user_id: str, event: GroupPart) -> int | JoinDeclined:
    """What the row of a deleted user says to an event of a group, of which it takes nothing: 0, it need not come again;
    a join is declined, so that the group's row removes him.
    """
    if user_id in event.joins:
        return JoinDeclined("this user was deleted", version=event.version)
    return 0
