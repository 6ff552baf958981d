"""A send keeps its id however often it is tried, and is not tried any more once the server may have forgotten that id.

A server knows a clientMessageId for its dedupe life, a week by default. To the server a later try is another message,
so it might send the message twice. It is not made; the call fails with DEDUPE_LIFE_OVER, and the caller decides. So
much time passes when a machine sleeps in the middle of a send, and between the runs of a program that keeps its unsent
messages.
"""

import uuid

from msgspec import Struct

from rowbox.client.calls.errors import DEDUPE_LIFE_OVER, CallFailed, OutcomeUnknown
from rowbox.client.calls.retry import Timing


def new_client_message_id() -> str:
    """A fresh id for one message. A program that saves it with the text before the first try can still retry later."""
    return uuid.uuid4().hex


class Attempt(Struct, kw_only=True):
    """What is known of the tries of one message."""

    client_message_id: str
    first_tried_at: float
    """When the first try began, in seconds since the epoch."""
    began_s: float
    """When the first try of this call began, in seconds of the monotonic clock."""
    may_be_known: bool
    """Whether there was a try before, so that the server may know the id."""

    @classmethod
    def beginning(cls, client_message_id: str, first_tried_at: float | None, timing: Timing) -> "Attempt":
        """The tries of a message that begin now. With `first_tried_at` they continue those of an earlier call."""
        return cls(
            client_message_id=client_message_id,
            first_tried_at=timing.wall_clock() if first_tried_at is None else first_tried_at,
            began_s=timing.clock(),
            may_be_known=first_tried_at is not None,
        )

    def next_try(self, timing: Timing, life_s: float, try_s: float) -> None:
        """To be called before each try. OutcomeUnknown, with DEDUPE_LIFE_OVER, where a further try that takes up to
        `try_s` seconds could end after the server's dedupe life, `life_s` seconds.

        The age of the first try is the longer one by two clocks: the monotonic clock may have stood still in a sleep,
        and the wall clock may have been set.
        """
        age_s = max(abs(timing.wall_clock() - self.first_tried_at), timing.clock() - self.began_s)
        if self.may_be_known and age_s + try_s > life_s:
            raise self.marked(
                OutcomeUnknown(
                    f"not tried again: it was tried first {age_s:.0f} s ago, and the server knows an id for "
                    f"{life_s:.0f} s. Look for it in your own messages",
                    code=DEDUPE_LIFE_OVER,
                )
            )
        self.may_be_known = True

    def marked(self, error: CallFailed) -> CallFailed:
        """`error`, with the id and the first try's time of this message."""
        error.client_message_id, error.first_tried_at = self.client_message_id, self.first_tried_at
        return error
