"""Which reaction of a user counts, and what clients are shown of all of them."""

from itertools import permutations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox import representation
from rowbox.mailbox.reactions import MOST_NAMED, Reaction, reaction_of, shown_to, with_reaction

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
    up = representation.Reaction(UP, 2, ("cem", "bob"), mine=False)
    assert shown_to(done, "ann") == (up, representation.Reaction(HEART, 1, ("ann",), mine=True))
    assert shown_to(done, "dora") == (up, representation.Reaction(HEART, 1, ("ann",), mine=False))


def test_where_nobody_reacts_nothing_is_shown() -> None:
    assert shown_to((), "ann") is msgspec.UNSET
    assert shown_to((Reaction("ann", "", 1),), "ann") is msgspec.UNSET


def test_of_many_the_first_are_named_and_all_are_counted() -> None:
    done = taken(*(Reaction(f"user-{number}", UP, number) for number in range(1, 9)))
    (shown,) = shown_to(done, "user-8")  # type: ignore[misc]
    assert (shown.count, len(shown.users), shown.users[0], shown.mine) == (8, MOST_NAMED, "user-1", True)
