"""The hybrid logical clock: one number that is close to the time and never runs backwards.

Microseconds since the epoch as an int. `ts = max(now, last + 1, remote + 1)` (Kulkarni et al., "Logical Physical
Clocks", 2014, with the logical part folded into the microseconds): causes sort before their effects even where the
machines' clocks disagree. A mailbox's `last` is its head, so the clock needs no state of its own.

What it follows is bounded (docs/adr/0018-time.md). A message that is dated in 2100 is delivered, and stands where its
date puts it; but neither the mailbox's clock nor what is said after it goes to 2100 with it:

- A remote time more than MAX_AHEAD_US ahead of the time and of the mailbox's own head is not followed.
- A mailbox whose head itself is far ahead counts its versions on from there, because they are tokens and must rise.
  What its user sends is dated by the time, but for conversations in which he has sent or read what is far ahead: there
  his next message follows, because a user's messages stand in the order in which they were sent.
"""

US_PER_MS = 1000
US_PER_S = 1_000_000
MAX_AHEAD_US = 60 * US_PER_S
"""How far ahead of the time a remote time may be and be followed. Servers whose clocks differ by 10 s are not ready; a
minute leaves room for what is on its way while one of them is set right."""


def tick(now_us: int, last_us: int, remote_us: int = 0) -> int:
    """The next version: greater than `last_us` (the mailbox's head).

    Greater than `remote_us` as well (the sentTimestamp of what is being delivered) where that is followed; else it is
    smaller than `remote_us` by MAX_AHEAD_US at least.
    """
    follows = remote_us <= max(now_us, last_us) + MAX_AHEAD_US
    return max(now_us, last_us + 1, remote_us + 1 if follows else 0)


def is_far_ahead(now_us: int, head_us: int) -> bool:
    """Whether a mailbox's head is so far ahead of the time that it counts by milliseconds (`first_of_mutation`)."""
    return head_us > now_us + MAX_AHEAD_US // 2


def first_of_mutation(now_us: int, head_us: int) -> int:
    """The `last_us` for the first tick of a mutation.

    The timestamp of a store call is in milliseconds and not less than the versions that it writes. Where the head is
    far ahead, the versions alone make it rise from one mutation of the mailbox to the next, so they have to rise by as
    much.
    """
    return -(-head_us // US_PER_MS) * US_PER_MS if is_far_ahead(now_us, head_us) else head_us


def date_of_send(now_us: int, version: int, newest_us: int, read_us: int) -> int:
    """The sentTimestamp of a message that gets `version` in its sender's mailbox: the same number, as a rule.

    `newest_us` and `read_us` date the conversation's newest message and its read mark, which is at or behind all that
    the user has sent there. Where the version is far ahead and the mark is not, the message is dated by the time, and
    after both (after the newest if that is at most MAX_AHEAD_US ahead). Where both are far ahead, the user's own
    messages may be: the next one stands behind them.
    """
    latest = now_us + MAX_AHEAD_US
    if version <= latest + MAX_AHEAD_US or read_us > latest:
        return version
    return max(now_us, read_us + 1, newest_us + 1 if newest_us <= latest else 0)


def is_own_date(sent_us: int, version: int) -> bool:
    """Whether `date_of_send` can have given `sent_us` to a message that got `version` in its sender's mailbox."""
    return sent_us == version or sent_us + MAX_AHEAD_US // 2 <= version


def is_others_date(sent_us: int, version: int) -> bool:
    """Whether a delivery of a message that was sent at `sent_us` can have got `version`."""
    return sent_us < version or version + MAX_AHEAD_US <= sent_us
