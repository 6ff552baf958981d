"""What a mailbox keeps of other kinds than conversations."""

import tracemalloc

import pytest

from rowbox.mailbox.aggregate.mailbox import STALE_BYTES, Limits, Mailbox
from rowbox.mailbox.two_states import State
from tests.any_kind import NOTE, Note

LIMITS = Limits(1, 1, 1, 64, 1 << 20)
STATES = 2_000


@pytest.mark.parametrize("texts", [0, 1, 10, 100])
def test_the_estimate_is_not_below_what_states_take_and_not_far_above(texts: int) -> None:
    def states() -> dict[bytes, State]:
        return {
            number.to_bytes(16, "big"): Note(
                10**15 + number, 1 << 30, tuple(f"user-{number}-{n}" for n in range(texts))
            )
            for number in range(STATES)
        }

    empty = Mailbox("ann", LIMITS, epoch=1).size_bytes
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        mailbox = Mailbox("ann", LIMITS, epoch=1, others={NOTE.letter: states()})
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    taken = after - before
    assert taken <= mailbox.size_bytes - empty <= 2 * taken


def test_cells_of_lower_epochs_that_carry_states_are_counted() -> None:
    mailbox = Mailbox("ann", LIMITS, epoch=1, stale_epochs={NOTE.letter: {b"a": 0, b"b": 0}})
    assert mailbox.size_bytes - Mailbox("ann", LIMITS, epoch=1).size_bytes == 2 * STALE_BYTES
