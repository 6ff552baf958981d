"""What an incarnation does next, condition by condition. What follows from all of them, tests/model searches."""

from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.node.judgement import FirstPlace, Member, Role, Swap, next_swap, role_of
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterState, MapCell, NodeCell, own_place

OWNER = NodeCell("owner", 9, "alive", "here")
ME = NodeCell("me", 3, "alive", "here")
OTHER = NodeCell("other", 7, "alive", "elsewhere")


def state(*cells: NodeCell, owner: str | None = "owner", version: int = 5) -> ClusterState:
    named = None if owner is None else MapCell(version, owner, "here")
    return ClusterState(named, {cell.incarnation.encode(): cell for cell in cells}, {})


def me(**known: Any) -> Member:
    """An incarnation that has joined and renewed, and holds its lease."""
    return Member("me", "here", 4, **{"has_joined": True, "has_renewed": True, "lease_is_held": True, **known})


def dead(cell: NodeCell) -> NodeCell:
    return replace(cell, status="dead")


def map_at(version: int) -> Swap:
    return Swap(MAP_PLACE, MapCell(version, "me", "here"))


STOPPED = Swap(b"me", replace(ME, status="stopped"))
AWAY = replace(OTHER, reaches_mail=False)


@pytest.mark.parametrize(
    ("stands", "member", "expected"),
    [
        (state(OWNER, ME), me(), None),
        (state(OWNER, ME), me(silent={"owner"}), Swap(b"owner", dead(OWNER))),
        (state(OWNER, ME), me(silent={"owner"}, lease_is_held=False), None),
        (state(OWNER, ME, OTHER), me(silent={"other"}), None),
        (state(dead(OWNER), ME), me(), map_at(6)),
        (state(ME), me(), map_at(6)),
        (state(ME, owner=None), me(), map_at(1)),
        (state(dead(OWNER), ME), me(lease_is_held=False), None),
    ],
    ids=[
        "patient",
        "out of patience",
        "not without a lease of its own",
        "others are the owner's to bury",
        "the owner has ended",
        "the owner's place was taken over",
        "nobody ever owned",
        "not without a lease: it could not answer",
    ],
)
def test_a_standby(stands: ClusterState, member: Member, expected: Swap | None) -> None:
    assert role_of(stands, member) is Role.STANDBY
    assert next_swap(stands, member) == expected


@pytest.mark.parametrize(
    ("other", "silent", "takes_over"),
    [(OTHER, False, False), (OTHER, True, True), (AWAY, False, True), (dead(OTHER), False, True), (None, False, True)],
    ids=["it does", "it is silent", "it does not either", "it has ended", "there is none"],
)
def test_a_standby_that_does_not_reach_the_mail_leaves_the_map_to_one_that_does(
    other: NodeCell | None, silent: bool, takes_over: bool
) -> None:
    stands = state(dead(OWNER), ME, *([] if other is None else [other]))
    swap = next_swap(stands, me(reaches_mail=False, silent={"other"} if silent else ()))
    assert swap == (map_at(6) if takes_over else None)


def owning(**known: Any) -> Member:
    return me(owned_version=5, **known)


@pytest.mark.parametrize(
    ("stands", "member", "expected"),
    [
        (state(ME, OTHER, owner="me"), owning(), None),
        (state(ME, OTHER, owner="me"), owning(has_renewed=False), Swap(b"me", NodeCell("me", 4, "alive", "here"))),
        (state(ME, OTHER, owner="me"), owning(needed_above=70), map_at(71)),
        (state(ME, OTHER, owner="me", version=80), owning(needed_above=70), map_at(81)),
        (state(ME, OTHER, owner="me"), owning(silent={"other"}), Swap(b"other", dead(OTHER))),
        (state(ME, OTHER, owner="me"), owning(silent={"other"}, lease_is_held=False), None),
        (state(ME, dead(OTHER), owner="me"), owning(silent={"other"}), None),
    ],
    ids=["content", "renews", "raises", "raises further", "buries", "not without a lease", "once is enough"],
)
def test_an_owner(stands: ClusterState, member: Member, expected: Swap | None) -> None:
    assert role_of(stands, member) is Role.OWNER
    assert next_swap(stands, member) == expected


@pytest.mark.parametrize(
    ("other", "lively", "abdicates"),
    [(OTHER, True, True), (OTHER, False, False), (AWAY, True, False), (dead(OTHER), True, False)],
    ids=["one does", "one did", "one does not either", "one has ended"],
)
def test_an_owner_that_does_not_reach_the_mail_leaves_it_to_a_lively_one_that_does(
    other: NodeCell, lively: bool, abdicates: bool
) -> None:
    stands = state(ME, other, owner="me")
    member = owning(reaches_mail=False, lively={"other", "me"} if lively else {"me"})
    assert role_of(stands, member) is (Role.REPLACED if abdicates else Role.OWNER)
    assert next_swap(stands, member) == (STOPPED if abdicates else None)


@pytest.mark.parametrize(
    ("stands", "member", "expected"),
    [
        (state(OTHER, ME, owner="other"), owning(), STOPPED),
        (state(ME, owner="me"), owning(is_ending=True), STOPPED),
        (state(OWNER, dead(ME)), me(), None),
        (state(dead(ME), owner="me"), owning(), None),
        (state(OTHER, owner="me"), owning(), None),
    ],
    ids=["the map names another", "it ends", "it was declared dead", "dead as the owner", "its place was taken over"],
)
def test_one_that_was_replaced_only_says_so(stands: ClusterState, member: Member, expected: Swap | None) -> None:
    assert role_of(stands, member) is Role.REPLACED
    assert next_swap(stands, member) == expected


def test_one_that_joins_takes_a_place_that_has_ended_or_makes_its_own() -> None:
    cell = NodeCell("me", 4, "alive", "here")
    joining = me(has_joined=False, has_renewed=False, lease_is_held=False)
    assert next_swap(state(OWNER), joining) == Swap(own_place("me"), cell)
    assert next_swap(state(OWNER, dead(OTHER)), joining) == Swap(b"other", cell)
    assert next_swap(state(OWNER, replace(OTHER, status="stopped")), joining) == Swap(b"other", cell)
    assert next_swap(state(OWNER, OTHER), joining) == Swap(own_place("me"), cell)


def test_one_that_joins_tries_no_other_place_while_its_first_swap_may_yet_execute() -> None:
    joining = me(has_joined=False, has_renewed=False, first_place=FirstPlace(own_place("me"), None))
    cell = NodeCell("me", 4, "alive", "here")
    assert next_swap(state(OWNER, dead(OTHER)), joining) == Swap(own_place("me"), cell)
    assert next_swap(state(OWNER, dead(OTHER)), joining._replace(has_renewed=True)) is None
    taken = joining._replace(first_place=FirstPlace(b"owner", dead(OWNER)))
    assert next_swap(state(OWNER, dead(OTHER)), taken) == Swap(b"other", cell), "it never executes any more"
