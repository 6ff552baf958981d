import pytest

from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.servable import require_servable
from rowbox.hbase_schema.table_plan import Attributes, plan_table
from rowbox.mailbox.errors import StoreSettingsMismatch
from rowbox.mailbox.settings.config import StoreSettings

SETTINGS = StoreSettings()
SHOWN_BY_THRIFT1 = ("VERSIONS", "COMPRESSION", "IN_MEMORY", "BLOOMFILTER", "BLOCKCACHE", "TTL")


def families(changed: Family | None = None, **attributes: str) -> dict[str, Attributes]:
    """As Thrift1 shows them; those of `changed` are not as planned."""
    shown: dict[str, Attributes] = {
        str(family): {name: value for name, value in planned.items() if name in SHOWN_BY_THRIFT1}
        for family, planned in plan_table("t", SETTINGS).families.items()
    }
    if changed is not None:
        shown[str(changed)] = {**shown[str(changed)], **attributes}
    return shown


def test_a_table_as_planned_is_served_also_where_it_is_slow_or_compressed() -> None:
    require_servable("t", SETTINGS, families())
    require_servable("t", SETTINGS, families(Family.MESSAGES, COMPRESSION="ZSTD", BLOOMFILTER="NONE"))


@pytest.mark.parametrize(
    ("family", "ttl_s", "says"),
    [
        (Family.DEDUPE, "5", "d.TTL: 5, planned 604800"),
        (Family.LOG, "60", "l.TTL: 60, planned 691200"),
        (Family.MESSAGES, "2147483647", "m.TTL: 2147483647, planned 31536000"),
        (Family.INDEX, "604800", "i.TTL: 604800, planned 2147483647"),
        (Family.OUTBOX, "604800", "o.TTL: 604800, planned 2147483647"),
    ],
)
def test_a_family_that_keeps_for_another_time_is_refused_with_what_ends_it(
    family: Family, ttl_s: str, says: str
) -> None:
    """`d` with a TTL of 5 s made three messages of three tries; `l` cut short made deltas that left messages out."""
    with pytest.raises(StoreSettingsMismatch) as caught:
        require_servable("t", SETTINGS, families(family, TTL=ttl_s))
    text = str(caught.value)
    assert says in text
    assert f"alter 't', {{NAME => '{family}', TTL =>" in text
    assert "rowbox schema plan" in text
    assert "\n" not in text


def test_a_family_that_is_not_there_is_refused() -> None:
    shown = families()
    del shown["o"]
    with pytest.raises(StoreSettingsMismatch, match="family o: absent"):
        require_servable("t", SETTINGS, shown)
