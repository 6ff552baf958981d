from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START
from rowbox.hbase_schema.table_diff import LiveTable, differences, not_shown
from rowbox.hbase_schema.table_plan import plan_table
from rowbox.mailbox.settings.config import StoreSettings

PLAN = plan_table("t", StoreSettings(shards=64), regions=4)
AS_PLANNED = LiveTable({str(family): attributes for family, attributes in PLAN.families.items()}, (b"", META_START))


def changed(family: Family, **attributes: str) -> LiveTable:
    return AS_PLANNED._replace(families={**AS_PLANNED.families, family: {**PLAN.families[family], **attributes}})


def test_a_table_as_planned_differs_in_nothing() -> None:
    assert differences(PLAN, AS_PLANNED) == []
    assert not_shown(PLAN, AS_PLANNED) == []


def test_what_is_the_clusters_or_the_operators_own_is_no_difference() -> None:
    grown = AS_PLANNED._replace(region_starts=(b"", b"0001/", b"0022/x", META_START))
    assert differences(PLAN, grown) == []
    assert differences(PLAN, changed(Family.MESSAGES, COMPRESSION="ZSTD", REPLICATION_SCOPE="1")) == []
    assert differences(PLAN, changed(Family.MESSAGES, KEEP_DELETED_CELLS="false", IN_MEMORY="FALSE")) == []


def test_a_difference_says_what_stands_what_was_planned_and_what_ends_it() -> None:
    (ttl,) = differences(PLAN, changed(Family.MESSAGES, TTL="7776000"))
    assert str(ttl) == "m.TTL: 7776000, planned 31536000"
    assert ttl.remedy == "alter 't', {NAME => 'm', TTL => '31536000'}"
    assert ttl.is_essential


def test_what_costs_speed_only_is_not_essential() -> None:
    (encoding,) = differences(PLAN, changed(Family.INDEX, DATA_BLOCK_ENCODING="NONE"))
    assert not encoding.is_essential
    (boundary,) = differences(PLAN, AS_PLANNED._replace(region_starts=(b"", b"0010/")))
    assert str(boundary) == "regions: none begins at meta/, planned one of its own"
    assert (boundary.is_essential, boundary.remedy) == (False, "split 't', 'meta/'")


def test_a_family_too_few_and_one_too_many_are_both_told() -> None:
    families = {name: attributes for name, attributes in AS_PLANNED.families.items() if name != Family.OUTBOX}
    found = differences(PLAN, AS_PLANNED._replace(families={**families, "x": {}}))
    assert [str(difference) for difference in found] == [
        "family o: absent, planned present",
        "family x: present, planned absent",
    ]
    assert all(difference.is_essential for difference in found)


def test_what_a_gateway_does_not_show_is_neither_right_nor_wrong() -> None:
    dim = LiveTable({str(family): {"VERSIONS": "1"} for family in Family}, (b"", META_START))
    assert differences(PLAN, dim) == []
    assert not_shown(PLAN, dim) == sorted(PLAN.families[Family.INDEX].keys() - {"VERSIONS", "COMPRESSION"})
