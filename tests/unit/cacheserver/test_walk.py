"""Which shards are walked together."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.rows.walk import BRIDGED_SHARDS, RUN_SHARDS, runs_of, shard_runs


@given(st.sets(st.integers(0, 400)))
def test_runs_cover_the_shards_and_little_else(shards: set[int]) -> None:
    runs = list(runs_of(shards))
    covered = [shard for run in runs for shard in run]
    assert covered == sorted(set(covered)), "each once, and upwards"
    assert shards <= set(covered)
    for run in runs:
        assert len(run) <= RUN_SHARDS
        assert {run[0], run[-1]} <= shards
        assert all(shard - before <= BRIDGED_SHARDS + 1 for before, shard in pairwise(sorted(shards & set(run))))


def test_all_shards_are_walked_in_as_few_runs_as_they_are_by_others() -> None:
    assert list(runs_of(range(4096))) == list(shard_runs(4096))


def test_scattered_shards_take_few_calls() -> None:
    assert len(list(runs_of(range(0, 4096, 3)))) <= 4096 // RUN_SHARDS + 2
