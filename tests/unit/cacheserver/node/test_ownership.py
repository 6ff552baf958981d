"""Epochs: none is used twice, whatever comes to its end."""

import pytest

from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.tenure import Changed, EpochOwnership, LeasedOwnership
from rowbox.mailbox.errors import LeaseLapsed, NotTheOwner
from rowbox.mailbox.fence import N_BITS, make_epoch


def test_an_epoch_that_is_left_is_followed_by_the_next_one() -> None:
    grant = EpochOwnership(5, "only").grant_of(0)
    grant.leave_epoch()
    grant.leave_epoch()
    assert grant.epoch == make_epoch(5, 2)
    grant.check()


def test_behind_the_last_epoch_of_a_map_version_nothing_is_owned_until_the_next_version() -> None:
    ownership = EpochOwnership(5, "only")
    grant, other = ownership.grant_of(0), ownership.grant_of(1)
    grant.epoch = make_epoch(5, (1 << N_BITS) - 1)
    grant.leave_epoch()
    assert (ownership.needed_above, ownership.needs()) == (5, {0: 5})
    with pytest.raises(NotTheOwner):
        grant.check()
    other.check()
    ownership.apply(6, {0: 6, 1: 5})
    assert (ownership.grant_of(0).epoch, ownership.needed_above) == (make_epoch(6, 0), 0)
    ownership.grant_of(0).check()
    assert ownership.grant_of(1) is other


def test_what_the_map_has_to_be_raised_above_is_told_and_is_the_highest_that_was_met() -> None:
    ownership = EpochOwnership(5, "only")
    told: list[int] = []
    ownership.on_outranked = lambda: told.append(ownership.needed_above)
    ownership.grant_of(0).outranked(make_epoch(70, 1))
    ownership.grant_of(1).outranked(make_epoch(60, 9))
    assert told == [70, 70]
    assert ownership.needs() == {0: 70, 1: 60}


def test_who_was_replaced_stays_so() -> None:
    ownership = EpochOwnership(5, "only")
    grant = ownership.grant_of(0)
    ownership.revoke()
    for check in (grant.check, grant.admit, ownership.check, lambda: ownership.grant_of(0)):
        with pytest.raises(NotTheOwner):
            check()
    assert not ownership.shards


def test_a_version_ends_the_grants_of_what_it_takes_or_gives_anew_and_leaves_all_others() -> None:
    ownership = EpochOwnership(5, "only", range(4))
    grants = [ownership.grant_of(shard) for shard in range(4)]
    grants[0].leave_epoch()
    changed = ownership.apply(7, {0: 5, 1: 7, 2: 5, 9: 7})
    assert changed == Changed(frozenset({1, 9}), frozenset({1, 3}))
    assert set(ownership.shards) == {0, 1, 2, 9}
    assert ownership.grant_of(0) is grants[0], "nothing that is not concerned claims anew"
    assert grants[0].epoch == make_epoch(5, 1)
    assert ownership.grant_of(1).epoch == make_epoch(7, 0)
    assert [one for one, grant in enumerate(grants) if grant.is_over] == [1, 3]
    for ended in (grants[1], grants[3]):
        with pytest.raises(NotTheOwner) as refused:
            ended.check()
        assert refused.value.map_version == 7
    with pytest.raises(NotTheOwner):
        ownership.grant_of(3)
    with pytest.raises(ValueError, match="comes after"):
        ownership.apply(6, {})


def test_what_a_grant_needs_ends_with_it() -> None:
    ownership = EpochOwnership(5, "only", range(2))
    ownership.grant_of(0).outranked(make_epoch(9, 0))
    assert ownership.needs() == {0: 9}
    ended = ownership.grant_of(0)
    ownership.apply(10, {0: 10, 1: 5})
    assert (ownership.needs(), ownership.needed_above) == ({}, 0)
    ended.outranked(make_epoch(30, 0))
    assert ownership.needs() == {}, "a load that was begun under it has met its successor"


def test_what_admits_nothing_still_answers_and_what_is_suspended_does_neither() -> None:
    grant = EpochOwnership(5, "only").grant_of(0)
    grant.stop_admitting()
    grant.check()
    with pytest.raises(NotTheOwner, match="giving this user away"):
        grant.admit()
    grant.suspend()
    grant.resume_admitting()
    for ask in (grant.check, grant.admit):
        with pytest.raises(NotTheOwner):
            ask()
    grant.resume()
    grant.admit()
    grant.suspend()
    grant.revoke()
    grant.resume()
    with pytest.raises(NotTheOwner):
        grant.check()


def test_a_lease_that_has_lapsed_is_told_from_a_grant_that_has_ended() -> None:
    now_s = 0.0
    lease = Lease(4.0, lambda: now_s)
    lease.renewed(0.0)
    ownership = LeasedOwnership(5, "only", lease, range(2))
    grant, lost = ownership.grant_of(0), ownership.grant_of(1)
    ownership.apply(6, {0: 5})
    with pytest.raises(NotTheOwner):
        lost.check()
    now_s = 5.0
    for ask in (grant.check, grant.admit, ownership.check):
        with pytest.raises(LeaseLapsed):
            ask()
    lease.renewed(5.0)
    grant.admit()
