"""What a group's row says to a member's row that was put back: how the user stood, and which messages are his."""

import pytest

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.group import Former, Group, GroupSettings, Info, Member, Standing
from rowbox.mailbox.groups.resuming import newest_need, resumption
from rowbox.mailbox.ids import message_id

GROUP_ID = bytes(16)
IN, LEFT = Standing.IN, Standing.LEFT
GROUP = Group(40, 1, "the five", GroupSettings(), (Member("ann", "owner", 1),), b"")
INFO = Info("the five", 5, ("ann",))
HELD = [MessageCell(GROUP_ID, message_id(at, 0), 1, at, "ann", f"text {at}", "c") for at in (50, 40, 30, 20, 10)]
STAYS_SINCE_30 = Member("bob", "admin", 30), Former(22, 1, "bob", 22, 12, LEFT)
OUT_SINCE_40 = None, Former(40, 1, "bob", 40, 20, LEFT)


@pytest.mark.parametrize(
    ("stays", "prev", "standing", "joined", "copies"),
    [
        ((Member("bob", "admin", 20), None), 50, IN, 20, [20, 30, 40, 50]),
        (STAYS_SINCE_30, 50, IN, 30, [30, 40, 50]),
        (STAYS_SINCE_30, 25, LEFT, 0, [20]),  # between: that he comes back is still to be delivered
        (STAYS_SINCE_30, 20, IN, 12, [20]),  # that he left, too
        (STAYS_SINCE_30, 11, LEFT, 0, []),  # of earlier stays nothing is known
        (OUT_SINCE_40, 50, LEFT, 0, [20, 30, 40]),
        (OUT_SINCE_40, 35, IN, 20, [20, 30]),
        ((None, Former(40, 1, "bob", 40)), 50, Standing.REMOVED, 0, []),  # of a time when the join was not kept
    ],
)
def test_how_things_stood(
    stays: tuple[Member | None, Former | None], prev: int, standing: Standing, joined: int, copies: list[int]
) -> None:
    held = [cell for cell in HELD if cell.message_id < newest_need(GROUP_ID, prev).below]
    message = resumption(GROUP_ID, GROUP, prev, stays, INFO, held)
    part = message.group
    assert part is not None
    assert (part.version, part.info) == (prev, INFO)
    resumed = part.resumed
    assert resumed is not None
    assert (resumed.standing, resumed.joined, [copy.version for copy in resumed.copies]) == (standing, joined, copies)
