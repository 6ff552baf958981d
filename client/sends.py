"""A send keeps its id however often it is tried, and is not tried any more once the server may have forgotten that id.

A server knows a clientMessageId for its dedupe life, a week by default. A try that arrives later is another message to
it. Who retried would send twice, so he is asked instead: DEDUPE_LIFE_OVER. Such a time passes while a machine sleeps in
the middle of a send, and between the runs of a program that keeps what it could not send.
"""

import uuid

from msgspec import Struct

from rowbox.client.errors import DEDUPE_LIFE_OVER, CallFailed, OutcomeUnknown
from rowbox.client.retry import Timing


def new_client_message_id() -> str:
    """An id for a message of its own. Kept beside the text before the first try, it makes every later one a retry."""
    return uuid.uuid4().hex


class Attempt(Struct, kw_only=True):
    """What is known of the tries of one message."""

    client_message_id: str
    first_tried_at: float
    """When the first one began, in seconds since the epoch."""
    began_s: float
    """When the first one of this call began, by the clock that never jumps."""
    may_be_known: bool
    """Whether there was one, so that the server's memory matters."""

    @classmethod
    def beginning(cls, client_message_id: str, first_tried_at: float | None, timing: Timing) -> "Attempt":
        """With `first_tried_at` it goes on with a message of before."""
        return cls(
            client_message_id=client_message_id,
            first_tried_at=timing.wall_clock() if first_tried_at is None else first_tried_at,
            began_s=timing.clock(),
            may_be_known=first_tried_at is not None,
        )

    def next_try(self, timing: Timing, life_s: float, try_s: float) -> None:
        """Before each; OutcomeUnknown where one that takes up to `try_s` could end after the server's dedupe life.

        The age is the longer one by two clocks: one may have stood still in a sleep, the other may have been set.
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
        """The error of this message."""
        error.client_message_id, error.first_tried_at = self.client_message_id, self.first_tried_at
        return error
