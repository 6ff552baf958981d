"""What a follower is sent: whatever changes, whatever it asks for again, and in whichever order pages and commits come,
the deltas are one chain without a hole, and at rest the client has everything.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.api.realtime.deltas import WINDOW, Delta, Deltas, Pull, Pulled, is_behind
from tests.unit.realtime.talk import token

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.booleans()),
        st.tuples(st.just("commit_told"), st.booleans()),
        st.tuples(st.just("tell"), st.booleans()),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("ack"), st.integers(0, 3)),
        st.tuples(st.just("follow"), st.integers(0, 30)),
        st.tuples(st.just("unfollow"), st.just(0)),
        st.tuples(st.just("full"), st.booleans()),
    ),
    min_size=10,
    max_size=80,
)


class World:
    """A mailbox whose changes are the versions 1, 2, 3 ..., one connection, and its client, who keeps the gap test."""

    def __init__(self, window: int | None) -> None:
        self.head = 0
        self.deltas = Deltas(token(0), window)
        self.untold: list[tuple[int, int, bool]] = []
        """Commits that the connection was not told of yet: over a link that takes time."""
        self.pull: Pull | None = None
        self.page: Pulled | None = None
        self.has_room = True
        self.has: set[int] = set()
        """The changes that the client has, behind what it had at its last follow."""
        self.since = 0
        self.at: int | None = None
        self.sent = 0
        self.unacked: list[str] = []

    def sends(self, delta: Delta | None) -> None:
        if delta is None:
            return
        self.sent += 1
        assert delta.prev == (None if self.at is None else token(self.at)), "a hole, or a repetition"
        self.has |= set(map(int, delta.body.split()))
        self.at = int(delta.token.partition(".")[0])
        assert self.has == set(range(self.since + 1, self.at + 1))
        self.unacked.append(delta.token)

    def commit(self, at_hand: bool) -> None:
        self.head += 1
        self.untold.append((self.head, self.head - 1, at_hand))

    def commit_told(self, at_hand: bool) -> None:
        """As in one process, where it is told of at once."""
        self.commit(at_hand)
        while self.untold:
            self.tell(several=False)

    def tell(self, several: bool) -> None:
        """Tells of the oldest commit; or, as a link that was lost, of none and then of the newest."""
        if not self.untold:
            return
        if several:
            self.untold = [(self.head, self.head, False)]
        head, prev, at_hand = self.untold.pop(0)
        body = str(head).encode() if at_hand else None
        self.sends(self.deltas.change(token(head), token(prev), body, may_write=self.has_room))

    def read(self, size: int) -> None:
        """The owner makes the page; its answer comes later."""
        if self.pull is not None and self.page is None:
            since = 0 if self.pull.token is None else int(self.pull.token.partition(".")[0])
            to = min(self.head, since + size)
            body = " ".join(map(str, range(since + 1, to + 1))).encode()
            self.page = Pulled(token(to), to < self.head, to == since, body)

    def answer(self, _: int) -> None:
        if self.pull is not None and self.page is not None:
            number, page, self.pull, self.page = self.pull.number, self.page, None, None
            self.sends(self.deltas.pulled(number, page))

    def fail(self, _: int) -> None:
        if self.pull is not None:
            self.deltas.failed(self.pull.number)
            self.pull = self.page = None

    def ack(self, at: int) -> None:
        if at < len(self.unacked):
            self.deltas.ack(self.unacked[at])
            del self.unacked[: at + 1]

    def follow(self, version: int) -> None:
        self.since = self.at = min(version, self.head)
        self.has, self.unacked = set(), []
        self.pull = self.page = None
        self.deltas.follow(token(self.since))

    def unfollow(self, _: int) -> None:
        self.deltas.unfollow()
        self.at = None
        self.unacked = []

    def full(self, is_full: bool) -> None:
        self.has_room = not is_full

    def settled(self) -> None:
        """As the session does it after every step."""
        pull = self.deltas.next_pull() if self.has_room else None
        if pull is not None:
            assert self.pull is None, "two pulls at once"
            self.pull = pull

    def steps_to_rest(self) -> Iterator[None]:
        self.full(is_full=False)
        for _ in range(4 * self.head + 20):
            self.tell(several=False)
            yield
            self.read(3)
            self.answer(0)
            yield
            while self.unacked:
                self.ack(0)
            yield


@pytest.mark.parametrize("window", [WINDOW, 1, None])
@given(STEPS)
def test_the_chain_has_no_hole_and_ends_at_the_head(window: int | None, steps: list[tuple[str, int]]) -> None:
    world = World(window)
    world.follow(0)
    world.settled()
    for name, argument in steps:
        getattr(world, name)(argument)
        world.settled()
        assert window is None or len(world.unacked) <= window
    if not world.deltas.follows:
        world.follow(0)
        world.settled()
    for _ in world.steps_to_rest():
        world.settled()
    assert world.at == world.head
    assert world.has == set(range(world.since + 1, world.head + 1))
    assert world.pull is None
    assert not is_behind(world.deltas.token, token(world.head))
