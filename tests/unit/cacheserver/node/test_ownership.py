"""Epochs: none is used twice, whatever comes to its end."""

import pytest

from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.mailbox.errors import NotTheOwner
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
    ownership.give(6)
    assert (grant.epoch, ownership.needed_above) == (make_epoch(6, 0), 0)
    grant.check()


def test_a_map_version_that_is_not_above_what_was_met_is_not_enough() -> None:
    ownership = EpochOwnership(5, "only")
    told: list[int] = []
    ownership.on_outranked = lambda: told.append(ownership.needed_above)
    ownership.grant_of(0).outranked(make_epoch(70, 1))
    ownership.grant_of(1).outranked(make_epoch(60, 9))
    assert told == [70, 70]
    ownership.give(70)
    assert ownership.needed_above == 70
    ownership.give(71)
    assert ownership.needed_above == 0


def test_who_was_replaced_stays_so_whatever_is_given() -> None:
    ownership = EpochOwnership(5, "only")
    grant = ownership.grant_of(0)
    ownership.revoke()
    ownership.give(6)
    for check in (grant.check, grant.admit, ownership.check, lambda: ownership.grant_of(0)):
        with pytest.raises(NotTheOwner):
            check()
    assert not ownership.shards
