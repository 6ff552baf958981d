import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.settings.units import format_duration, format_size, parse_duration_ms, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("17", 17), ("17B", 17), ("64KiB", 65536), ("1 MiB", 1 << 20), ("2GiB", 2 << 30), ("1TiB", 1 << 40)],
)
def test_reads_a_size(text: str, expected: int) -> None:
    assert parse_size_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("250", 250), ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("7 d", 604_800_000)],
)
def test_reads_a_duration(text: str, expected: int) -> None:
    assert parse_duration_ms(text) == expected


@pytest.mark.parametrize(
    "text", ["", "MiB", "64MB", "64mib", "-1", "1.5GiB", "1GiB1", "1KiBKiB", "٣KiB", "0x10", "1_0"]
)
def test_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number followed by one of"):
        parse_size_bytes(text)


@pytest.mark.parametrize("text", ["", "d", "7days", "1h30m", "-1s", "1.5h", "7D", "1e3", "soon"])
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number followed by one of"):
        parse_duration_ms(text)


@given(st.integers(min_value=0, max_value=1 << 60))
def test_what_is_written_reads_back(amount: int) -> None:
    assert parse_size_bytes(format_size(amount)) == amount
    assert parse_duration_ms(format_duration(amount)) == amount


def test_writes_the_largest_unit_that_divides() -> None:
    assert [format_size(n) for n in (0, 1023, 1 << 20, 3 << 20)] == ["0", "1023B", "1MiB", "3MiB"]
    assert [format_duration(n) for n in (0, 1500, 90_000, 86_400_000)] == ["0", "1500ms", "90s", "1d"]
