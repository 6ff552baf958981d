from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW, META_START, SCHEMA_ROW, row_key, shard_of_row
from rowbox.hbase_schema.table_plan import FOREVER_S, Compression, plan_table, split_points, ttl_s
from rowbox.mailbox.settings.config import DAY_MS, StoreSettings

shard_counts = st.integers(64, 65536)


@given(shard_counts, st.integers(1, 64))
def test_regions_cut_the_shards_into_parts_that_differ_by_one_shard(shards: int, regions: int) -> None:
    *points, last = split_points(shards, regions)
    firsts = [0, *(shard_of_row(point) for point in points), shards]
    sizes = [after - before for before, after in pairwise(firsts)]
    assert len(sizes) == regions
    assert max(sizes) - min(sizes) <= 1
    assert last == META_START


@given(st.text("aZ9._@+:-", min_size=1, max_size=12), shard_counts, st.integers(1, 64))
def test_a_mailbox_is_in_the_region_of_its_shard_and_never_with_the_cluster_state(
    user: str, shards: int, regions: int
) -> None:
    row = row_key(user, shards)
    points = split_points(shards, regions)
    region = sum(point <= row for point in points)
    assert region == sum(shard_of_row(point) <= shard_of_row(row) for point in points[:-1]) < len(points)
    assert {sum(point <= meta for point in points) for meta in (SCHEMA_ROW, CLUSTER_ROW)} == {len(points)}


def test_the_plan_follows_the_settings() -> None:
    settings = StoreSettings(retention_ms=1_500, dedupe_life_ms=DAY_MS, token_life_ms=DAY_MS)
    plan = plan_table("t", settings, regions=1, compression=Compression.SNAPPY)
    assert plan.split_points == (META_START,)
    assert {family: attributes["TTL"] for family, attributes in plan.families.items()} == {
        Family.INDEX: str(FOREVER_S),
        Family.MESSAGES: "2",
        Family.LOG: str(2 * 86_400),
        Family.DEDUPE: "86400",
        Family.OUTBOX: str(FOREVER_S),
    }
    assert {attributes["COMPRESSION"] for attributes in plan.families.values()} == {"SNAPPY"}


@pytest.mark.parametrize(("duration_ms", "seconds"), [(1_000, 1), (1_001, 2), (1_999, 2), (36_500 * DAY_MS, FOREVER_S)])
def test_a_ttl_is_rounded_up_and_is_at_most_what_hbase_can_say(duration_ms: int, seconds: int) -> None:
    assert ttl_s(duration_ms) == seconds
