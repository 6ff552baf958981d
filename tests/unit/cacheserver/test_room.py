"""Who is in the way when memory is full."""

from rowbox.cacheserver.cache.room import Room

LIMIT = 8000


def room_of(**sizes: int) -> Room[str]:
    room = Room[str](LIMIT)
    for key, size in sizes.items():
        room.note(key, 0, size)
    return room


def test_an_eighth_is_not_large_and_more_is() -> None:
    assert not Room[str](LIMIT).note("a", 0, 1000)
    assert Room[str](LIMIT).note("a", 0, 1001)


def test_a_mailbox_larger_than_all_of_it_counts_as_half() -> None:
    assert not room_of(huge=20_000, a=1000, b=1000, c=1000, d=1000).is_full
    assert room_of(huge=20_000, a=1000, b=1000, c=1000, d=1000, e=1).is_full
    assert room_of(huge=20_000, a=1000).size_bytes == 21_000, "that is what it says of itself"


def test_large_ones_that_need_more_than_half_are_in_the_way_but_the_last_used() -> None:
    room = room_of(a=2000, b=1500, c=1500)
    assert room.large_to_go == ["a"]
    room.use("a")
    assert room.large_to_go == ["b"]
    assert room_of(huge=20_000).large_to_go == []
    assert room_of(a=2000, huge=20_000, b=1500).large_to_go == ["a", "huge"]


def test_what_shrinks_or_goes_is_large_no_more() -> None:
    room = room_of(a=3000, b=3000)
    assert not room.note("a", 3000, 500)
    assert (room.large_to_go, room.size_bytes) == ([], 3500)
    room.note("b", 3000, 0)
    assert (room.large_to_go, room.size_bytes, room.is_full) == ([], 500, False)
