from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.aggregate.client_ids import ClientIds
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


@given(st.sets(st.integers(0, 60)), st.integers(0, 6), st.data())
def test_a_miss_is_certain_however_much_of_the_store_has_been_read(
    held: set[int], size: int, data: st.DataObject
) -> None:
    """The store's ids come ascending, in parts; what has not been read may be anything."""
    hashes = sorted(client_id_hash(str(number)) for number in held)
    ids = ClientIds(loaded_at=5 * DAY_US)
    while ids.unread_from is not None:
        for number in range(70):
            if number in held:
                assert ids.may_hold(client_id_hash(str(number)))
        part = [one for one in hashes if one >= ids.unread_from][: size + 1]
        is_last = not part or part[-1] == hashes[-1]
        ids.add_read(part, None if is_last else part[-1] + b"\x00")
    assert [number for number in range(70) if ids.may_hold(client_id_hash(str(number)))] == sorted(held)
    ids.add(client_id_hash("new"), 9 * DAY_US)
    ids.drop_expired(data.draw(st.integers(0, 5 * DAY_US)))
    assert all(ids.may_hold(one) for one in hashes), "some of them were used at the fifth day"
    ids.drop_expired(6 * DAY_US)
    assert (ids.count, ids.unread_from) == (1, None)


def test_ids_that_expire_while_they_are_read_are_not_taken_in() -> None:
    ids = ClientIds(loaded_at=DAY_US)
    ids.drop_expired(9 * DAY_US)
    ids.add_read([client_id_hash("old")], None)
    assert not ids.may_hold(client_id_hash("old"))
    assert ids.size_bytes == 0


def test_an_id_takes_ten_bytes_at_most() -> None:
    ids = ClientIds(loaded_at=DAY_US)
    ids.add_read([(number << 70).to_bytes(16, "big") for number in range(100_000)], None)
    assert ids.count == 100_000
    assert ids.size_bytes <= 1_000_000 + 1000
