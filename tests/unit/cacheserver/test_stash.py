"""What came of hand-overs: used under the id that the map names, once, and never because it came."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.rows import warm_rows
from rowbox.cacheserver.rows.stash import KEEP_S, HandedRow, Stash
from rowbox.cacheserver.rows.warm_rows import WarmRows
from rowbox.mailbox.ids import shard_of

SHARDS = 4
USERS = sorted(f"user{number}" for number in range(40))
ROOM = 1 << 20


def row(user_id: str, packed: bytes = b"as it was", *, has_outbox: bool = False) -> HandedRow:
    return HandedRow(user_id, has_outbox, packed)


def of_shard(shard: int) -> list[str]:
    return [user for user in USERS if shard_of(user, SHARDS) == shard]


class Target:
    """A process, what it owns, and its stash."""

    def __init__(self, most_bytes: int = ROOM) -> None:
        self.owned: set[int] = set()
        self.stash = Stash(SHARDS, most_bytes, self.owned.__contains__)

    def users(self, named: dict[int, str | None]) -> list[str]:
        return sorted(one.user_id for one in self.stash.take_out(named))


def test_what_came_under_the_id_that_the_map_names_is_given_out() -> None:
    target = Target()
    assert target.stash.put("a", map(row, USERS), 0.0) == len(USERS)
    assert target.users({0: "a", 2: "a"}) == sorted(of_shard(0) + of_shard(2))
    assert target.users({0: "a", 2: "a"}) == [], "once"
    assert target.users({1: "a", 3: "a"}) == sorted(of_shard(1) + of_shard(3))
    assert target.stash.size_bytes == 0


@pytest.mark.parametrize("named", ["b", None], ids=["another", "none"])
def test_what_came_under_another_id_is_thrown_away(named: str | None) -> None:
    """The owner may have opened again after it was sent, and written on; or it has died since."""
    target = Target()
    target.stash.put("a", map(row, USERS), 0.0)
    assert target.users({0: named}) == []
    assert target.users({0: "a"}) == [], "whatever a later map may name"
    assert target.users({1: "a"}) == of_shard(1), "what is of other shards stays"


def test_what_comes_for_a_shard_that_is_owned_is_refused() -> None:
    """It is of an attempt before the one by which the shard is owned."""
    target = Target()
    target.owned |= {0, 1}
    assert target.stash.put("a", map(row, USERS), 0.0) == len(of_shard(2) + of_shard(3))
    target.owned.clear()
    assert target.users(dict.fromkeys(range(SHARDS), "a")) == sorted(of_shard(2) + of_shard(3))


def test_another_attempt_takes_the_place_of_the_one_before_it() -> None:
    target = Target()
    target.stash.put("a", map(row, USERS), 0.0)
    first, *_ = of_shard(0)
    assert target.stash.put("b", [row(first)], 1.0) == 1
    assert target.users({0: "a"}) == []
    target.stash.put("b", [row(first)], 1.0)
    assert target.users({0: "b"}) == [first]


def test_the_parts_of_an_attempt_come_one_after_the_other_and_maybe_twice() -> None:
    target = Target()
    for part in (USERS[:20], USERS[10:], USERS[:5]):
        target.stash.put("a", map(row, part), 0.0)
    assert target.stash.size_bytes == sum(row(user).size_bytes for user in USERS)
    assert target.users(dict.fromkeys(range(SHARDS), "a")) == sorted(USERS)


def test_it_takes_no_more_than_there_is_room_for() -> None:
    target = Target(most_bytes=10 * row("user0").size_bytes)
    assert target.stash.put("a", map(row, USERS), 0.0) == 10
    assert target.stash.put("b", map(row, of_shard(0)), 0.0) <= 10, "an attempt that was given up makes room"
    target.users(dict.fromkeys(range(SHARDS), None))
    assert target.stash.put("c", map(row, USERS), 0.0) == 10


def test_what_no_map_has_named_is_dropped_after_a_time() -> None:
    target = Target()
    target.stash.put("a", map(row, of_shard(0)), 0.0)
    target.stash.put("a", map(row, of_shard(1)), 60.0)
    target.stash.drop_old(KEEP_S - 0.1)
    assert target.stash.size_bytes == sum(row(user).size_bytes for user in of_shard(0) + of_shard(1))
    target.stash.drop_old(KEEP_S)
    assert target.users({0: "a", 1: "a"}) == sorted(of_shard(1))
    target.stash.put("a", map(row, of_shard(0)), 0.0)
    target.stash.put("b", map(row, of_shard(1)), KEEP_S)
    assert target.users({0: "a"}) == [], "also when something else comes"


@given(
    st.lists(st.tuples(st.sampled_from(["put", "take", "own"]), st.integers(0, 3), st.sampled_from("ab")), max_size=40)
)
def test_what_is_given_out_came_last_under_that_id_while_the_shard_was_not_owned(
    steps: list[tuple[str, int, str]],
) -> None:
    target = Target()
    came: dict[int, str | None] = {}
    for what, shard, hand_over in steps:
        if what == "put":
            target.stash.put(hand_over, map(row, of_shard(shard)), 0.0)
            if shard not in target.owned:
                came[shard] = hand_over
        elif what == "own":
            target.owned ^= {shard}
        else:
            is_it = came.pop(shard, None) == hand_over
            assert target.users({shard: hand_over}) == (of_shard(shard) if is_it else [])
    assert target.stash.size_bytes == sum(row(user).size_bytes for shard in came for user in of_shard(shard))


# ---------------------------------------------------------------------- what the owner has of it


def warm(*users: str) -> WarmRows:
    rows = WarmRows(SHARDS)
    rows.add(map(row, users), 0.0)
    return rows


def test_a_mailbox_is_given_out_once() -> None:
    """After its claim was sent it may no longer be what stands in the row."""
    rows = warm(*USERS)
    assert rows.take("user0") == b"as it was"
    assert rows.take("user0") is None
    assert rows.take("nobody") is None
    assert len(rows) == len(USERS) - 1
    assert rows.size_bytes == sum(row(user).size_bytes for user in USERS[1:])


def test_what_is_left_of_a_shard_goes_with_it() -> None:
    rows = warm(*USERS)
    rows.forget({0, 1})
    assert [user for user in USERS if rows.take(user) is not None] == [
        user for user in USERS if user not in of_shard(0) + of_shard(1)
    ]
    assert (len(rows), rows.size_bytes) == (0, 0)


def test_what_nobody_uses_is_dropped_after_a_time() -> None:
    rows = warm(*of_shard(0))
    rows.add(map(row, of_shard(1)), 100.0)
    assert rows.drop_old(100.0) == warm_rows.KEEP_S - 100.0
    assert rows.drop_old(warm_rows.KEEP_S) == 100.0
    assert [rows.take(user) for user in of_shard(0)] == [None] * len(of_shard(0))
    assert len(rows) == len(of_shard(1))
    for user in of_shard(1):
        rows.take(user)
    assert rows.drop_old(warm_rows.KEEP_S) is None, "nothing is left to be looked after"


def test_the_estimate_is_within_a_factor_of_two_of_the_memory() -> None:
    tracemalloc.start()
    try:
        rows = WarmRows(SHARDS)
        rows.add((row(f"somebody {number}", bytes(100 + number % 7)) for number in range(2_000)), 0.0)
        measured = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert measured / 2 <= rows.size_bytes <= measured * 2
