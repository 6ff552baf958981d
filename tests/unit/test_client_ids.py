from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.client_ids import ClientIds
from rowbox.mailbox.ids import client_id_hash

DAY_US = 86_400_000_000
uses = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12 * DAY_US)), max_size=30)


@given(uses, st.integers(0, 12 * DAY_US))
def test_an_id_used_within_the_dedupe_life_is_never_missed(items: list[tuple[int, int]], before_us: int) -> None:
    ids = ClientIds()
    for number, version in items:
        ids.add(client_id_hash(str(number)), version)
    ids.drop_expired(before_us)
    for number, version in items:
        if version >= before_us:
            assert ids.may_hold(client_id_hash(str(number)))
    for number in range(21):
        if ids.may_hold(client_id_hash(str(number))):
            newest = max(version for other, version in items if other == number)
            assert newest >= before_us - DAY_US, "forgotten a day after its life at the latest"


@given(uses)
def test_what_they_cost_goes_with_their_days(items: list[tuple[int, int]]) -> None:
    ids = ClientIds()
    for number, version in items:
        ids.add(client_id_hash(str(number)), version)
    assert ids.count == len({(number, version // DAY_US) for number, version in items})
    ids.drop_expired(20 * DAY_US)
    assert (ids.count, ids.size_bytes) == (0, 0)
