"""Whether the two states of an index cell can have been written by the rule."""

import pytest

from rowbox.mailbox.fence import Stamp
from rowbox.mailbox.two_states import UnknownIndexCell, is_in_order

EPOCH = 5


@pytest.mark.parametrize(
    ("current", "previous", "is_sound"),
    [
        (Stamp(EPOCH, 10), None, True),
        (Stamp(EPOCH - 1, 10), None, False),
        (Stamp(EPOCH + 1, 10), None, False),
        (Stamp(EPOCH, 10), Stamp(EPOCH, 9), True),
        (Stamp(EPOCH, 10), Stamp(EPOCH - 1, 9), True),
        (Stamp(EPOCH - 1, 10), Stamp(EPOCH - 1, 9), False),
        (Stamp(EPOCH, 10), Stamp(EPOCH, 10), False),
        (Stamp(EPOCH, 10), Stamp(EPOCH + 1, 9), False),
    ],
)
def test_states_are_of_their_cell_and_in_order(current: Stamp, previous: Stamp | None, is_sound: bool) -> None:
    assert is_in_order(UnknownIndexCell(b"?", EPOCH, current, previous)) == is_sound
