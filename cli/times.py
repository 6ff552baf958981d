"""Times as people read them."""

from datetime import UTC, datetime

from rowbox.mailbox.clocks.clock import US_PER_S


def time_text(time_us: int) -> str:
    """A time in microseconds since 1970, as ISO 8601 in UTC, to the millisecond."""
    text = datetime.fromtimestamp(time_us / US_PER_S, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
