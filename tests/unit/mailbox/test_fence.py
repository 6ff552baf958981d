import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.fence import (
    FOLD_AFTER_MS,
    MAX_EPOCH,
    Fence,
    FenceEntry,
    Stamp,
    claim,
    drop_empty,
    fold,
    has_claimed,
    head_of,
    is_sweepable,
    is_valid,
    make_epoch,
    newest,
)

THREE: Fence = (FenceEntry(10, 0, 0), FenceEntry(20, 70, 1), FenceEntry(30, 90, 2))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int]]:
    """(epoch, how many versions it wrote), one after the other."""
    epochs = draw(st.lists(st.integers(1, 50), min_size=1, max_size=8, unique=True))
    return [(epoch, draw(st.integers(0, 3))) for epoch in sorted(epochs)]


def played(history: list[tuple[int, int]]) -> tuple[Fence, int, set[Stamp]]:
    """The list, the head and all stamps that were written under it in order."""
    fence: Fence = ()
    head, written = 0, set()
    for epoch, count in history:
        fence = claim(fence, epoch, head, 0, "")
        for _ in range(count):
            head += 1
            written.add(Stamp(epoch, head))
    return fence, head, written


@given(histories())
def test_what_was_written_in_turn_counts_and_all_else_does_not(history: list[tuple[int, int]]) -> None:
    fence, head, written = played(history)
    last = history[-1][0]
    for epoch in range(60):
        for version in range(1, head + 4):
            stamp = Stamp(epoch, version)
            late_of_the_owner = epoch == last and version > head
            own_past = any(
                epoch == e and version <= max((w.version for w in written if w.epoch == e), default=0)
                for e, _ in history
            )
            if stamp in written or late_of_the_owner:
                assert is_valid(fence, epoch, version)
            elif not own_past and epoch != last:
                assert not is_valid(fence, epoch, version)


@given(histories())
def test_the_head_is_the_last_that_was_written_even_when_its_cell_has_gone(history: list[tuple[int, int]]) -> None:
    fence, head, written = played(history)
    assert head_of(fence, written) == head
    claimed = claim(fence, 51, head, 0, "")
    assert head_of(claimed, ()) == head


@given(histories(), st.integers(1, 30))
def test_late_writes_do_not_move_the_head(history: list[tuple[int, int]], beyond: int) -> None:
    fence, head, written = played(history)
    claimed = claim(fence, 51, head, 0, "")
    late = {Stamp(epoch, head + beyond) for epoch, _ in history}
    assert head_of(claimed, written | late) == head


@given(histories())
def test_dropping_changes_nothing_that_counts(history: list[tuple[int, int]]) -> None:
    fence, head, written = played(history)
    dropped = drop_empty(fence, head)
    assert {entry.epoch for entry in dropped} == {stamp.epoch for stamp in written}
    after = (*dropped, FenceEntry(51, head, 0))
    whole = (*fence, FenceEntry(51, head, 0))
    for stamp in written:
        assert is_valid(after, *stamp)
    for epoch in range(60):
        for version in range(1, head + 3):
            if version > head or any(stamp.version == version for stamp in written if stamp.epoch == epoch):
                assert is_valid(after, epoch, version) == is_valid(whole, epoch, version)


def test_a_cell_counts_up_to_where_the_next_owner_starts() -> None:
    assert is_valid(THREE, 10, 70)
    assert not is_valid(THREE, 10, 71)
    assert is_valid(THREE, 20, 90)
    assert not is_valid(THREE, 20, 91)
    assert is_valid(THREE, 30, 1 << 60)
    assert not is_valid(THREE, 25, 80)
    assert not is_valid((), 10, 1)


@pytest.mark.parametrize("epoch", [29, 30])
def test_nobody_claims_with_an_epoch_that_stands_or_is_lower(epoch: int) -> None:
    with pytest.raises(ValueError, match="may not follow"):
        claim(THREE, epoch, 100, 0, "")


def test_the_list_of_the_highest_epoch_stands() -> None:
    assert newest([THREE[:1], THREE, THREE[:2], ()]) == THREE
    assert newest([]) == ()


def test_folding_makes_one_entry_of_those_that_ended_long_ago() -> None:
    now = FOLD_AFTER_MS + 2
    folded = fold(THREE, now)
    assert folded == (FenceEntry(20, 0, 1, folded=True), THREE[2])
    assert fold(THREE, now - 1) == THREE, "one that ended is not worth folding"
    for epoch, version in [(10, 70), (20, 90), (30, 91), (5, 3)]:
        assert is_valid(folded, epoch, version), "every epoch up to here counts"
    assert not is_valid(folded, 10, 91)
    assert not is_valid(folded, 25, 80)
    assert fold(folded, now) == folded
    again = fold((*folded, FenceEntry(40, 100, 3)), now + 5)
    assert again == (FenceEntry(30, 0, 2, folded=True), FenceEntry(40, 100, 3))


@given(histories(), st.integers(0, 8))
def test_folding_keeps_what_counts(history: list[tuple[int, int]], ended: int) -> None:
    fence, _, written = played(history)
    aged = tuple(entry._replace(claimed_at_ms=position) for position, entry in enumerate(fence))
    folded = fold(aged, FOLD_AFTER_MS + ended)
    assert all(is_valid(folded, *stamp) for stamp in written)
    assert len(folded) <= len(aged)


def test_only_invalid_cells_of_lower_epochs_are_swept() -> None:
    stamps = [Stamp(10, 70), Stamp(10, 71), Stamp(25, 80), Stamp(30, 95), Stamp(40, 95)]
    assert [is_sweepable(THREE, 30, *stamp) for stamp in stamps] == [False, True, True, False, False]
    assert [is_sweepable(THREE, 20, *stamp) for stamp in stamps] == [False, True, False, False, False]


def test_an_epoch_sorts_by_map_version_then_by_count_and_has_its_bounds() -> None:
    assert make_epoch(1, (1 << 24) - 1) < make_epoch(2, 0)
    assert make_epoch((1 << 40) - 1, (1 << 24) - 1) == MAX_EPOCH
    for map_version, n in [(1 << 40, 0), (1, 1 << 24), (-1, 0), (1, -1)]:
        with pytest.raises(ValueError, match="no such epoch"):
            make_epoch(map_version, n)


def test_a_row_is_claimed_already_by_the_same_incarnation_under_the_same_epoch_only() -> None:
    fence = claim(THREE, 40, 100, 3, "one")
    assert has_claimed(fence, 40, "one")
    assert not has_claimed(fence, 40, "another")
    assert not has_claimed(fence, 41, "one")
    assert not has_claimed(fence[:-1], 40, "one")
    assert not has_claimed((), 40, "one")
    assert not has_claimed(THREE, 30, "one"), "an entry of the first format names nobody"
