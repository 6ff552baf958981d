"""Which reaction of a user counts, and what clients are shown of all of them."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.reactions import (
    MOST_KINDS,
    MOST_NAMED,
    MOST_REACTING,
    Reaction,
    Tally,
    has_room,
    reaction_of,
    tallies_of,
    with_reaction,
)

UP, HEART = "\U0001f44d", "\u2764\ufe0f"
USERS = ("ann", "bob", "cem")
reactions = st.builds(Reaction, st.sampled_from(USERS), st.sampled_from([UP, HEART, ""]), st.integers(1, 6))


def taken(*done: Reaction) -> tuple[Reaction, ...]:
    found: tuple[Reaction, ...] = ()
    for one in done:
        found = with_reaction(found, one) or found
    return found


@given(st.lists(reactions, max_size=5, unique_by=lambda one: (one.user_id, one.version)))
def test_in_any_order_and_number_they_come_to_the_same(done: list[Reaction]) -> None:
    expected = taken(*sorted(done, key=lambda one: one.version))
    for order in permutations(done):
        assert taken(*order, *order) == expected
    for user in USERS:
        newest = max((one for one in done if one.user_id == user), key=lambda one: one.version, default=None)
        assert reaction_of(expected, user) == newest


def test_one_that_is_known_changes_nothing() -> None:
    known = taken(Reaction("ann", UP, 5))
    assert with_reaction(known, Reaction("ann", UP, 5)) is None
    assert with_reaction(known, Reaction("ann", HEART, 4)) is None
    assert with_reaction(known, Reaction("bob", HEART, 4)) == (Reaction("bob", HEART, 4), Reaction("ann", UP, 5))


def test_one_that_was_taken_back_comes_back_by_no_older_one() -> None:
    assert taken(Reaction("ann", "", 6), Reaction("ann", UP, 5)) == (Reaction("ann", "", 6),)


def test_emoji_and_users_stand_in_the_order_in_which_they_came() -> None:
    done = taken(*(Reaction(*one) for one in (("cem", UP, 4), ("ann", HEART, 5), ("bob", UP, 6), ("dora", "", 1))))
    up = Tally(UP, 2, ("cem", "bob"), is_mine=False)
    assert tallies_of(done, "ann") == (up, Tally(HEART, 1, ("ann",), is_mine=True))
    assert tallies_of(done, "dora") == (up, Tally(HEART, 1, ("ann",), is_mine=False))


def test_where_nobody_reacts_nothing_is_shown() -> None:
    assert tallies_of((), "ann") == ()
    assert tallies_of((Reaction("ann", "", 1),), "ann") == ()


def test_of_many_the_first_are_named_and_all_are_counted() -> None:
    done = taken(*(Reaction(f"user-{number}", UP, number) for number in range(1, 9)))
    (tally,) = tallies_of(done, "user-8")
    assert (tally.count, len(tally.users), tally.users[0], tally.is_mine) == (8, MOST_NAMED, "user-1", True)


def test_a_message_of_a_group_has_so_many_kinds_and_so_many_who_react() -> None:
    full = tuple(Reaction(f"user-{number}", str(number), number + 1) for number in range(MOST_KINDS))
    assert not has_room(full, Reaction("ann", UP, 0))
    assert has_room(full, Reaction("ann", "3", 0))
    assert has_room(full, Reaction("user-3", UP, 0)), "in place of what that user had"
    many = tuple(Reaction(f"user-{number}", UP, number + 1) for number in range(MOST_REACTING))
    assert not has_room(many, Reaction("ann", UP, 0))
    assert has_room(many, Reaction("user-3", HEART, 0))
    assert has_room(many, Reaction("ann", "", 0)), "one can always be taken back"
