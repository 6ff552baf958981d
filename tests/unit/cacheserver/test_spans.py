"""The search for a log's newest entries: how many reads of at most 500 it takes, whatever the log is like."""

from bisect import bisect_right
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowbox.cacheserver.fetch.log_tail import LOG_COLUMNS, Spans
from rowbox.mailbox.cells import ChangeKind, LogCell

NOW = 1_800_000_000_000_000
HOUR_US = 3_600_000_000
WEEK_US = 168 * HOUR_US


def search(versions: Sequence[int], first: int, gap: int | None, count: int) -> tuple[list[int], int]:
    """The newest `count` of `versions`, or all there are, newest first; the reads."""
    spans, found, reads = Spans(first, versions[-1], gap), list[int](), 0
    while len(found) < count and not spans.is_over:
        begin, end = bisect_right(versions, spans.start), bisect_right(versions, spans.floor)
        reads += 1
        if end - begin > LOG_COLUMNS:
            cells = [LogCell(one, 0, ChangeKind.MESSAGE, b"", b"") for one in versions[begin:][:LOG_COLUMNS]]
            spans.note_cut(cells, versions[begin + LOG_COLUMNS] - 1)
        else:
            found += versions[begin:end][::-1]
            spans.note_whole()
    return found, reads


def even(step_us: int, count: int) -> list[int]:
    return [NOW - step_us * place for place in range(count)][::-1]


def bursts(*hours_ago: int, of: int, background: int, length_us: int = 60_000_000) -> list[int]:
    random, found = Random(1), set[int]()
    for hours in hours_ago:
        found |= {NOW - hours * HOUR_US + random.randrange(length_us) for _ in range(of)}
    return sorted(found | {NOW - random.randrange(WEEK_US) for _ in range(background)})


SHAPES = {
    "few": (even(HOUR_US, 160), 1),
    "even, for a week": (even(60_000_000, 9000), 2),
    "just now": (even(200, 9000), 2),
    "a burst each day": (bursts(*range(5, 160, 24), of=700, background=3, length_us=8 * HOUR_US), 2),
    "ever more": (sorted({NOW - int(WEEK_US / 1.01**place) for place in range(2000)}), 5),
    "three bursts": (bursts(160, 70, 3, of=2000, background=300), 10),
    "three long bursts": (bursts(160, 70, 3, of=20_000, background=300), 18),
    "one old burst": (bursts(100, of=5000, background=40), 10),
}


@pytest.mark.parametrize(("versions", "most_reads"), SHAPES.values(), ids=SHAPES)
def test_the_newest_50_take_few_reads(versions: list[int], most_reads: int) -> None:
    found, reads = search(versions, NOW - WEEK_US - 1, None, 51)
    assert found[:51] == versions[::-1][:51]
    assert reads <= most_reads


gaps = st.lists(st.tuples(st.integers(1, 1 << 36), st.integers(1, 900)), min_size=1, max_size=5)


@settings(deadline=None)
@given(gaps, st.none() | st.integers(1, 1 << 40), st.integers(1, 1000))
def test_whatever_the_log_is_like_every_entry_is_found_once_and_the_search_ends(
    runs: list[tuple[int, int]], gap: int | None, count: int
) -> None:
    versions, last = list[int](), 1 << 40
    for step, length in runs:
        versions += [last + step * place for place in range(1, length + 1)]
        last = versions[-1]
    found, reads = search(versions, 1 << 40, gap, count)
    assert found == versions[::-1][: len(found)]
    assert len(found) >= min(count, len(versions))
    assert reads <= 60 + len(versions) // 100
