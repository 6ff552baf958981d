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

PEOPLE = (
    *("watch", "look", "come_or_go", "handshake", "deliver", "answer", "pass_time"),
    *("end", "deafen", "drain", "wake", "block", "mend"),
)
"""A connection may break at any time, but what comes over one comes whole and in order."""


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


@settings(max_examples=int(os.environ.get("ROWBOX_PROPERTY_EXAMPLES", "60")), deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.sampled_from(PEOPLE), min_size=5, max_size=80))
def test_in_the_end_those_are_known_who_are_watched_as_they_are(seed: int, steps: list[str]) -> None:
    world = World(seed)
    for step in steps:
        STEPS[step](world)
    world.come_to_rest()
    known = {user for user, seen in world.seen.items() if seen is not None}
    assert known == {user for user in world.watched if world.online.get(user)}
