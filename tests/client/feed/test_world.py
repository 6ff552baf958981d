"""P4 at the client: whatever is cut, lost, doubled and in another order between a client and its server, and whatever
the server does, in the end the client's copy is what a fresh fetch gives.
"""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from rowbox.client.following.session import MOST_CALLS, Way
from tests.client.feed.world import STEPS, World

USUAL = ("commit", "handshake", "deliver", "answer", "take", "pass_time")
CHOICES = st.lists(st.sampled_from([*STEPS, *USUAL, *USUAL, *USUAL]), min_size=5, max_size=120)


@settings(max_examples=int(os.environ.get("ROWBOX_PROPERTY_EXAMPLES", "60")), deadline=None)
@given(st.integers(0, 1 << 32), CHOICES)
def test_in_the_end_the_copy_is_a_fresh_fetch(seed: int, steps: list[str]) -> None:
    world = World(seed)
    for step in steps:
        STEPS[step](world)
        assert len(world.program.given) <= 8, "more than a window is not dealt with"
        assert len(world.under_way) <= MOST_CALLS
    world.come_to_rest()
    assert world.stopped is None
    assert world.session.way is Way.OPEN
    assert world.program.given == []
    assert world.program.copy == world.mailbox.fetched()
    assert world.session.token == world.mailbox.token(world.mailbox.head)
    assert not world.is_polling
