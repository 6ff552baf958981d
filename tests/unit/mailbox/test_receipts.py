"""What receipts say together: the same in any order, however often each comes, as long as the newest comes."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.receipts import MemberMarks, Receipt, ReceiptMarks, joined, says_more, seen_in, shown_versions

marks = st.sampled_from([b"", *(bytes([number]) * 16 for number in range(1, 5))])
receipts = st.builds(Receipt, st.just(bytes(16)), st.just("bob"), marks, marks, st.sampled_from([0, 5, 9]))
known = st.builds(ReceiptMarks, st.just(1), st.just(1), marks, marks, st.sampled_from([0, 7]))


@given(known, st.lists(receipts, min_size=1, max_size=6), st.randoms())
def test_order_and_repetition_change_nothing(before: ReceiptMarks, told: list[Receipt], random: Random) -> None:
    seen = seen_in(before)
    for receipt in told:
        after = seen.joined(seen_in(receipt))
        assert after.delivered >= max(seen.delivered, after.read)
        assert after.read >= seen.read
        seen = after
    again = [*told, *random.choices(told, k=3)]
    random.shuffle(again)
    other = seen_in(before)
    for receipt in again:
        other = other.joined(seen_in(receipt))
    assert other == seen


@given(receipts, receipts, receipts)
def test_what_is_joined_before_it_is_told_says_the_same(one: Receipt, two: Receipt, three: Receipt) -> None:
    at_once = seen_in(joined(joined(one, two), three))
    assert at_once == seen_in(one).joined(seen_in(two)).joined(seen_in(three))
    assert not says_more(one, joined(one, two))


def test_a_mark_that_was_told_twice_was_read_when_it_was_told_first() -> None:
    mark = bytes([1]) * 16
    first, again = Receipt(bytes(16), "bob", mark, mark, 5), Receipt(bytes(16), "bob", mark, mark)
    for told in ((first, again), (again, first)):
        assert joined(*told).read_us == 5


@given(st.lists(receipts, min_size=1, max_size=9), st.randoms())
def test_a_members_marks_are_the_same_in_any_order(told: list[Receipt], random: Random) -> None:
    def after(of: list[Receipt]) -> MemberMarks:
        marks = MemberMarks(1, 1, "bob")
        for receipt in of:
            before, marks = marks, marks.with_receipt(receipt)
            assert (marks.read, marks.delivered) >= (before.read, before.delivered)
            assert marks.with_receipt(receipt) is marks
        return marks

    again = [*told, *random.choices(told, k=3)]
    random.shuffle(again)
    assert after(again) == after(told)
    assert after(told).read == max(receipt.read for receipt in told)


def test_when_somebody_read_is_known_of_the_newest_moves() -> None:
    ids = [bytes([number]) * 16 for number in range(1, 10)]
    marks = MemberMarks(1, 1, "bob")
    for number in (1, 3, 5):
        marks = marks.with_receipt(Receipt(bytes(16), "bob", b"", ids[number], number))
    assert [marks.of(one).read_us for one in ids[:7]] == [1, 1, 3, 3, 5, 5, 0]
    assert [marks.of(one).is_delivered for one in ids] == [True] * 6 + [False] * 3, "what is read is delivered"
    marks = marks.with_receipt(Receipt(bytes(16), "bob", ids[8], ids[6]))
    assert [marks.of(one).read_us for one in ids[:7]] == [0, 0, 3, 3, 5, 5, 0], "of four moves the first may be late"
    assert [marks.of(one).is_read for one in ids] == [True] * 7 + [False] * 2
    assert all(marks.of(one).is_delivered for one in ids)
    marks = marks.with_receipt(Receipt(bytes(16), "bob", b"", ids[7], 7))
    assert [move.up_to for move in marks.moves] == [ids[3], ids[5], ids[6], ids[7]]


def test_only_what_clients_see_is_shown() -> None:
    all_of = {b"1": ReceiptMarks(9, 1, shown=7), b"2": ReceiptMarks(9, 1)}
    assert list(shown_versions(all_of)) == [(b"1", 7)]
