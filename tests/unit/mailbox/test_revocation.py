"""Which tokens a revocation refuses, and what a mutation makes of one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import REVOCATION
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import TokenRevoked
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.revocation import Bearer, Revocation, end_of_second
from rowbox.mailbox.two_states import IndexCell

DAY_MS = 86_400_000
LIMITS = Limits(30 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS, 64, 1 << 20)
NOW_S = 1_800_000_000
NOW_US = NOW_S * US_PER_S + 250_000
EPOCH = 1 << 24


def mailbox(*, fenced: bool = False) -> Mailbox:
    return Mailbox("ann", LIMITS, epoch=EPOCH, fence=(FenceEntry(EPOCH, 0, 0),) if fenced else ())


def revoke(of: Mailbox, now_us: int, until_s: int = 0) -> Plan:
    plan = of.plan(now_us)
    AccessRow(plan).revoke(end_of_second(now_us), until_s)
    of.apply(plan)
    return plan


@given(revoked_us=st.integers(0, 1 << 52), issued_us=st.integers(0, 1 << 52))
def test_what_was_issued_until_the_answer_is_refused_and_nothing_after_it(revoked_us: int, issued_us: int) -> None:
    """Whatever the second's fraction, and although an issuer writes whole seconds."""
    revocation = Revocation(1, 1, end_of_second(revoked_us))
    answered_us = revocation.before_s * US_PER_S
    assert revoked_us < answered_us <= revoked_us + US_PER_S
    assert revocation.refuses(Bearer("ann", issued_us // US_PER_S), issued_us) is (issued_us < answered_us)


def test_a_revocation_says_nothing_after_its_end() -> None:
    revocation = Revocation(1, 1, NOW_S, NOW_S + 60)
    assert revocation.refuses(Bearer("ann", NOW_S - 1), (NOW_S + 60) * US_PER_S - 1)
    assert not revocation.refuses(Bearer("ann", NOW_S - 1), (NOW_S + 60) * US_PER_S)
    assert Revocation(1, 1, NOW_S).refuses(Bearer("ann"), 1 << 62)
    assert not Revocation(1, 1).refuses(Bearer("ann", -1.0), 0)


def test_a_command_behind_it_in_the_same_mutation_is_refused() -> None:
    plan = mailbox().plan(NOW_US)
    plan.admit(Bearer("ann", NOW_S))
    AccessRow(plan).revoke(end_of_second(NOW_US), 0)
    with pytest.raises(TokenRevoked):
        plan.admit(Bearer("ann", NOW_S))
    plan.admit(Bearer("ann", NOW_S + 1))
    plan.admit(Bearer("root", NOW_S))
    plan.admit(None)


@pytest.mark.parametrize("fenced", [False, True])
def test_it_is_written_as_two_states_with_a_version_of_its_own(fenced: bool) -> None:
    ann = mailbox(fenced=fenced)
    first = revoke(ann, NOW_US).revocation
    plan = ann.plan(NOW_US + 5 * US_PER_S)
    AccessRow(plan).revoke(end_of_second(plan.now_us), 0)
    assert first is not None
    assert plan.revocation is not None
    assert plan.head == plan.revocation.version > first.version
    assert plan.cells() == [IndexCell(REVOCATION.letter, b"", EPOCH, plan.revocation, first if fenced else None)]


def test_it_never_moves_back_and_ends_no_sooner() -> None:
    ann = mailbox()
    revoke(ann, NOW_US, NOW_S + 600)
    head = ann.head
    again = ann.plan(NOW_US - 5 * US_PER_S)
    assert AccessRow(again).revoke(end_of_second(NOW_US) - 5, NOW_S + 500).before_s == NOW_S + 1
    assert again.changes_nothing
    later = ann.plan(NOW_US)
    AccessRow(later).revoke(end_of_second(NOW_US), 0)
    ann.apply(later)
    assert ann.head > head
    assert ann.revocation is not None
    assert (ann.revocation.before_s, ann.revocation.until_s) == (NOW_S + 1, 0)


def test_what_has_ended_goes_with_the_next_change_and_gives_the_next_one_no_end() -> None:
    ann = mailbox()
    revoke(ann, NOW_US, NOW_S + 60)
    plan = ann.plan(NOW_US + 60 * US_PER_S)
    AccessRow(plan).revoke(end_of_second(NOW_US + 60 * US_PER_S), NOW_S + 120)
    assert plan.revocation is not None
    assert plan.revocation.until_s == NOW_S + 120
    written = [cell for cell in plan.cells() if isinstance(cell, IndexCell) and cell.kind == REVOCATION.letter]
    assert [cell.current for cell in written] == [plan.revocation]
    assert plan.revocation.until_s == NOW_S + 120  # the end of the old one is not written over it
    untouched = ann.plan(NOW_US + 60 * US_PER_S)
    assert untouched.changes_nothing
