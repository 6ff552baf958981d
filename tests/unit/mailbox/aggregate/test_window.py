"""The window against the plainest model: a sorted list of all messages."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from rowbox.mailbox.aggregate.window import Window, copy_bytes
from rowbox.mailbox.ids import ZERO_ID, message_id
from rowbox.mailbox.message import Message, MessageCopy, copy_of

numbers = st.integers(1, 400)


def copy(number: int, version: int = 1) -> MessageCopy:
    return MessageCopy(number.to_bytes(16, "big"), version, 0, b"{%d}" % number, version)


class WindowMachine(RuleBasedStateMachine):
    """Messages come in any order; fills are read at one time and arrive at another, several at once."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[int] = [10, 20, 30]
        self.window = Window(copy(30).message_id, limit=4, limit_bytes=1 << 20)
        self.reads: list[tuple[list[int], int]] = []

    @rule(number=numbers)
    def a_message_comes(self, number: int) -> None:
        if number not in self.all:
            self.all = sorted([*self.all, number])
            self.window.add(copy(number))

    @rule()
    def a_newest_message_comes(self) -> None:
        self.a_message_comes(max(self.all) + 1)

    @rule(count=st.integers(1, 8))
    def a_read_begins(self, count: int) -> None:
        self.reads.append((self.all[-count:], self.window.missed))

    @precondition(lambda self: self.reads)
    @rule(data=st.data())
    def a_read_arrives(self, data: st.DataObject) -> None:
        older, missed = self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1)))
        floor = (
            ZERO_ID if data.draw(st.booleans()) and older[:1] == self.all[:1] else (older[0] - 1).to_bytes(16, "big")
        )
        self.window.fill([copy(number) for number in older], floor, missed)

    @invariant()
    def it_holds_everything_above_its_floor(self) -> None:
        above = [copy(number) for number in self.all if copy(number).message_id > self.window.floor]
        assert self.window.copies == above
        assert len(above) <= self.window.limit
        assert self.window.size_bytes == sum(map(copy_bytes, above))

    @invariant()
    def its_answers_are_the_list_s(self) -> None:
        for count in (1, 3, 5):
            for below in (None, *map(copy, self.all)):
                under = self.all if below is None else [n for n in self.all if copy(n).message_id < below.message_id]
                answer = self.window.newest(below.message_id if below is not None else None, count)
                assert answer == [copy(number) for number in under[::-1][:count]][: len(answer)]
                assert len(answer) == min(count, len(under)) or not self.window.is_whole
                is_far = below is not None and below.message_id <= self.window.floor
                assert answer or is_far or len(self.window.copies) == 0 or below == self.window.copies[0]
        for number in self.all:
            message = copy(number).message_id
            if self.window.covers(message):
                assert self.window.get(message) == copy(number)
                above = sum(other > number for other in self.all)
                assert self.window.unread_above(message, 0, 0) == (above, 1 if above else 0, 0)
            else:
                assert self.window.get(message) is None


WindowMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestWindow = WindowMachine.TestCase


lives = st.tuples(numbers, st.integers(1, 9), st.integers(0, 9))


@given(st.lists(lives, max_size=8, unique_by=lambda item: item[0]), st.integers(0, 10), st.integers(0, 10))
def test_what_has_ended_is_forgotten_also_behind_a_message_that_came_late(
    items: list[tuple[int, int, int]], horizon: int, now_us: int
) -> None:
    window = Window(ZERO_ID, limit=20, limit_bytes=1 << 20)
    copies = [replace(copy(number, version), expires_us=ends) for number, version, ends in items]
    for one in copies:
        window.add(one)
    copies.sort(key=lambda one: one.message_id)
    kept = [one for one in copies if one.came > horizon and not 0 < one.expires_us <= now_us]
    for one in copies:
        above = [other for other in kept if other.message_id > one.message_id]
        unread = window.unread_above(one.message_id, horizon, now_us)
        since = min((other.version for other in above), default=0)
        ends_us = min((other.expires_us for other in above if other.expires_us), default=0)
        assert unread == (len(above), since, ends_us), "it is not counted though it is not forgotten yet"
    window.drop_expired(horizon, now_us)
    assert window.copies == kept
    assert window.size_bytes == sum(map(copy_bytes, kept))


def test_the_estimate_of_a_copy_is_within_a_factor_of_two_of_the_memory() -> None:
    for content in ("hi", "x" * 1000):
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            window = Window(ZERO_ID, limit=2000, limit_bytes=1 << 30)
            for n in range(2000):
                said = Message(message_id(n, n), bytes(16), "ann", ("ann", "bob"), content)
                window.add(copy_of(said, said.sent_us, n, 1, None, n))
            measured = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert measured / 2 <= window.size_bytes <= measured * 2
