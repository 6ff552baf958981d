"""What a call can fail with, by the one question that matters after a write: can it have happened?

CallFailed
├── Refused          4xx (but 408 and 425): nothing was written
│   └── AccessDenied 401 or 403: with this access token nothing will be
├── ListReset        a list cannot be read on from its cursor
└── OutcomeUnknown   5xx, or no answer that can be read: it may have been written, or may be yet
"""

from typing import Final

NO_ANSWER: Final = "no_answer"
"""The `code` where nothing came back: the connection failed, or the time was over."""
UNEXPECTED_ANSWER: Final = "unexpected_answer"
"""The `code` where what came back is none of Rowbox's answers: a proxy's, or that of another server."""
NO_TOKEN: Final = "no_token"  # noqa: S105 - a code, not a token
"""The `code` where the token function failed: the server was not asked."""
DEDUPE_LIFE_OVER: Final = "dedupe_life_over"
"""The `code` where a send was tried so long ago that the server may have forgotten its id: another try might be another
message. Whether it was sent is in the sender's own mailbox, for as long as messages are kept: the copy in the
conversation's `messages` has the clientMessageId. (`send_status` has forgotten it as well.)
"""
CLIENT_CLOSED: Final = "client_closed"
"""The `code` where the client was closed under a call: that is not tried (again). A send can go on under its id."""


class CallFailed(Exception):
    """What all of them are. `str(error)` is one line for a person; it never holds a message's text.

    `code` is the server's (its /docs has the list) or one of those above, `status` is None where there was no answer,
    `request_id` finds the request in the server's log, `retry_after_ms` is what the server asked for.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after_ms = retry_after_ms
        self.client_message_id: str | None = None
        """Of a send: the id under which it was tried, and under which it can go on."""
        self.first_tried_at: float | None = None
        """Of a send: when it was tried first, in seconds since the epoch; belongs to its id."""

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later: no answer, 5xx, and 429. Any other refusal stays one, and so do
        DEDUPE_LIFE_OVER and, with this client, CLIENT_CLOSED.
        """
        is_over = self.code in {DEDUPE_LIFE_OVER, CLIENT_CLOSED}
        return (isinstance(self, OutcomeUnknown) and not is_over) or self.status == 429


class Refused(CallFailed):
    """The server said no, and wrote nothing."""


class AccessDenied(Refused):
    """The access token is missing, wrong or expired (401), or may not do this (403)."""


class ListReset(CallFailed):
    """A cursor was answered with the first page, mostly because the server's store was put back from a copy.

    What was given before may not be in the list any more. `code` is the server's resetReason.
    """


class OutcomeUnknown(CallFailed):
    """Nobody said whether it happened. A read can be made again; a send too, under the same clientMessageId.

    A send also fails with this where its last try was refused but one before it was not answered.
    """
