"""What a row makes of ttls that come: late, again, and while their sender is blocked."""

from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import TTL
from rowbox.mailbox.ids import direct_conversation_id, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.ttls.ttl_row import take_hidden_ttl, take_ttl

NOW_US = 1_800_000_000_000_000
HOUR_MS = 3_600_000
WITH_BOB = direct_conversation_id("ann", "bob")


def set_at(us: int, ttl_ms: int) -> Message:
    return Message(message_id(us, 0), WITH_BOB, "bob", ("ann", "bob"), "", ttl_ms=ttl_ms)


def a_plan() -> Plan:
    return Mailbox("ann", Limits(HOUR_MS, HOUR_MS, HOUR_MS, 64, 1 << 20), epoch=1).plan(NOW_US)


def ttl_of(plan: Plan) -> int:
    known = plan.state(TTL, WITH_BOB)
    return known.ttl_ms if known is not None else 0


def test_of_those_that_wait_for_the_end_of_a_block_the_newest_counts_whatever_comes_last() -> None:
    plan = a_plan()
    assert take_ttl(plan, set_at(NOW_US, HOUR_MS))
    assert take_ttl(plan, set_at(NOW_US + 2, 3 * HOUR_MS), is_hidden=True)
    for late in (set_at(NOW_US + 1, 2 * HOUR_MS), set_at(NOW_US + 2, 3 * HOUR_MS), set_at(NOW_US, HOUR_MS)):
        head = plan.head
        assert take_ttl(plan, late, is_hidden=True) == 0
        assert plan.head == head, "what is known is no change"
    assert ttl_of(plan) == HOUR_MS
    take_hidden_ttl(plan, WITH_BOB)
    assert ttl_of(plan) == 3 * HOUR_MS
    assert take_ttl(plan, set_at(NOW_US + 1, 2 * HOUR_MS)) == 0
    take_hidden_ttl(plan, WITH_BOB)
    assert ttl_of(plan) == 3 * HOUR_MS
