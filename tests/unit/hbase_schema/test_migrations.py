from rowbox.hbase_schema.families import SCHEMA_VERSION
from rowbox.hbase_schema.migrate.migrations import MIGRATIONS, Migration, pending

THREE = {3: Migration("c", ()), 1: Migration("a", ()), 2: Migration("b", ())}


def test_the_migrations_lead_to_this_rowboxs_version_without_a_gap() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION + 1))


def test_what_is_pending_comes_in_order_and_begins_behind_what_is_stored() -> None:
    assert pending(None, THREE) == [1, 2, 3]
    assert pending(1, THREE) == [2, 3]
    assert pending(3, THREE) == []
