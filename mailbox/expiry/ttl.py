"""Disappearing messages: for how long the messages of a conversation last, and when one of them ends.

The participants set a conversation's ttl. A message that is sent while one is in force carries its end, which is the
same in all copies: it is in no answer from then on, wherever the copy is, and clients drop it by themselves. What was
sent before a ttl was set keeps the end that it had, or none. Where the deployment's retention ends a message earlier,
that counts.

Either side of a conversation of two sets its ttl, in his own row, and the other row is told as of a message. Each
setting has an id, with its time in front; in both rows the greater id counts. So both rows come to the same one,
whatever comes first, late or twice. In a group the group's row decides, and its members' rows are told by its events.
docs/adr/0079-disappearing-messages.md says why, and tests/model/expiry searches for a violation without each rule.
"""

from typing import Final

import msgspec

from rowbox.mailbox.clocks.clock import US_PER_MS

MIN_TTL_MS: Final = 3_600_000
MAX_TTL_MS: Final = 365 * 86_400_000
"""The least and the greatest ttl; 0 is none."""


class Ttl(msgspec.Struct, frozen=True, array_like=True):
    """For how long messages of a conversation last, in one row: by the setting of the id `set_by`.

    It is there in every row that has or had a message with an end: `set_by` is b"" where no setting has come.
    `hidden_ms` and `hidden_by` are what the other one has set while the row's user blocks him: nobody is shown it, and
    it counts from the end of the block on; b"": there is no such setting.

    The order of the fields is the format on disk: a new one comes last, with a default (docs/formats.md).
    """

    version: int
    epoch: int
    ttl_ms: int
    set_by: bytes = b""
    hidden_ms: int = 0
    hidden_by: bytes = b""


def end_of(sent_us: int, ttl_ms: int) -> int:
    """When a message ends that is sent at `sent_us` while this ttl is in force; 0: never by that."""
    return sent_us + ttl_ms * US_PER_MS if ttl_ms else 0


def has_expired(expires_us: int, now_us: int) -> bool:
    """Whether a message of this end (0: it has none) is gone."""
    return 0 < expires_us <= now_us


def earlier(one_us: int, other_us: int) -> int:
    """The earlier of two ends; 0 is none."""
    return min(one_us, other_us) if one_us and other_us else one_us or other_us
