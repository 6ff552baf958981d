"""The line of one user's writes: what it remembers of those that were confirmed."""

from rowbox.cacheserver.routing.user_line import UserLine, Write


def test_the_newest_write_that_was_confirmed_counts_whichever_was_confirmed_last() -> None:
    line = UserLine("ann")
    first, second, third, fourth = (Write(number, 1) for number in range(1, 5))
    line.confirmed(third)
    line.confirmed(first)
    assert line.has_overtaken(second)
    assert not line.has_overtaken(fourth)
