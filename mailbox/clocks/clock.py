"""The hybrid logical clock: one number that is close to the time and never runs backwards.

Microseconds since the epoch as an int. `ts = max(now, last + 1, remote + 1)` (Kulkarni et al., "Logical Physical
Clocks", 2014, with the logical part folded into the microseconds): causes sort before their effects even where the
machines' clocks disagree. A mailbox's `last` is its head, so the clock needs no state of its own.

The clock follows remote times within a bound (docs/adr/0018-time.md). A message that is dated in 2100 is delivered and
stands where its date puts it, but neither the mailbox's clock nor later messages follow it to 2100:

- A remote time that is more than MAX_AHEAD_US ahead of both the time and the mailbox's own head is not followed.
- A mailbox whose own head is far ahead counts its versions on from there, because they are tokens and must rise. What
  its user sends is dated by the time. The exception are conversations in which the user has sent or read a message that
  is dated far ahead: there the next message is dated behind that one, because a user's messages keep the order in which
  they were sent.
"""

US_PER_MS = 1000
US_PER_S = 1_000_000
MAX_AHEAD_US = 60 * US_PER_S
"""How far ahead of the time a remote time may be so that the clock follows it. Servers whose clocks differ by 10 s are
not ready; a minute leaves room for messages that are on their way while one of the clocks is set right."""


def tick(now_us: int, last_us: int, remote_us: int = 0) -> int:
    """The next version, which is greater than `last_us`, the mailbox's head.

    `remote_us` is the sentTimestamp of a message that is being delivered. Where the clock follows it, the version is
    greater than it too; else the version is smaller than it by at least MAX_AHEAD_US.
    """
    follows = remote_us <= max(now_us, last_us) + MAX_AHEAD_US
    return max(now_us, last_us + 1, remote_us + 1 if follows else 0)


def is_far_ahead(now_us: int, head_us: int) -> bool:
    """Whether a mailbox's head is so far ahead of the time that its mutations count in milliseconds
    (`first_of_mutation`).
    """
    return head_us > now_us + MAX_AHEAD_US // 2


def first_of_mutation(now_us: int, head_us: int) -> int:
    """The `last_us` for the first tick of a mutation.

    The timestamp of a store call is in milliseconds, not less than the versions that it writes, and has to rise from
    one mutation of a mailbox to the next. Where the head is far ahead, only the versions make it rise, so they have to
    rise by a millisecond.
    """
    return -(-head_us // US_PER_MS) * US_PER_MS if is_far_ahead(now_us, head_us) else head_us


def date_of_send(now_us: int, version: int, newest_us: int, read_us: int) -> int:
    """The sentTimestamp of a message that gets `version` in its sender's mailbox: the same number, as a rule.

    `newest_us` and `read_us` are the dates of the conversation's newest message and of its read mark. No message of the
    user is dated after the mark. Where the version is far ahead and the mark is not, the message is dated by the time,
    after the mark, and after the newest message unless that is more than MAX_AHEAD_US ahead. Where version and mark are
    both far ahead, the user's own messages may be too, so the next one gets the version as its date and stands behind
    them.
    """
    latest = now_us + MAX_AHEAD_US
    if version <= latest + MAX_AHEAD_US or read_us > latest:
        return version
    return max(now_us, read_us + 1, newest_us + 1 if newest_us <= latest else 0)


def is_own_date(sent_us: int, version: int) -> bool:
    """Whether `date_of_send` can have given `sent_us` to a message that got `version` in its sender's mailbox."""
    return sent_us == version or sent_us + MAX_AHEAD_US // 2 <= version


def is_others_date(sent_us: int, version: int) -> bool:
    """Whether a recipient's copy of a message that was sent at `sent_us` can have got `version`."""
    return sent_us < version or version + MAX_AHEAD_US <= sent_us
