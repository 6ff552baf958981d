"""The errors of calls, told apart by the question that matters after a write: can it have happened?

CallFailed
├── Refused          4xx (but 408 and 425): nothing was written
│   └── AccessDenied 401 or 403: nothing will be written with this access token
├── ListReset        a list cannot be read on from its cursor
└── OutcomeUnknown   5xx, or no answer that can be read: it may have been written, or may still be
"""

from typing import Final

NO_ANSWER: Final = "no_answer"
"""The `code` where nothing came back: the connection failed, or the time was over."""
UNEXPECTED_ANSWER: Final = "unexpected_answer"
"""The `code` where the answer is not Rowbox's, but a proxy's or another server's."""
NO_TOKEN: Final = "no_token"  # noqa: S105 - a code, not a token
"""The `code` where the token function failed: the server was not asked."""
DEDUPE_LIFE_OVER: Final = "dedupe_life_over"
"""The `code` where a send was tried first so long ago that the server may have forgotten its id, so that another try
might send it a second time. The sender's own mailbox shows whether it was sent: for as long as messages are kept, the
copy in the conversation's `messages` has the clientMessageId. (`send_status` may have forgotten the id as well.)"""
CLIENT_CLOSED: Final = "client_closed"
"""The `code` where the client was closed during a call, which is then not tried again. Another client can go on with a
send, under its clientMessageId."""

CONNECTED_ELSEWHERE: Final = "connected_elsewhere"
"""The `code` where a follower of changes ends because others of its user have connected since: more than the server
lets one user have."""


SIGNED_OUT: Final = "signed_out"
"""The `code` where the user has signed out this device, or all: forget what is kept of him, and have him sign in again.
"""


class CallFailed(Exception):
    """A call failed. `str(error)` is one line for a person; it never holds a message's text.

    `code` is the server's (its /docs has the list) or a constant of this module. `status` is the HTTP status, None
    where there was no answer. `request_id` finds the request in the server's log. `retry_after_ms` is how many
    milliseconds the server asked to wait, None where it did not.
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
        """The id under which a send was tried, and can be gone on with. None for other calls."""
        self.first_tried_at: float | None = None
        """When a send was first tried, in seconds since the epoch. To be kept with `client_message_id`."""

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later.

        True where there was no answer, and for 5xx and 429. False for any other refusal, for DEDUPE_LIFE_OVER and for
        CLIENT_CLOSED.
        """
        is_over = self.code in {DEDUPE_LIFE_OVER, CLIENT_CLOSED}
        return (isinstance(self, OutcomeUnknown) and not is_over) or self.status == 429


class Refused(CallFailed):
    """The server said no, and wrote nothing."""


class AccessDenied(Refused):
    """The access token is missing, wrong or expired (401), or may not do this (403)."""


class ListReset(CallFailed):
    """The server answered a cursor with the first page, mostly because its store was put back from a copy.

    Items that were given before may no longer be in the list. `code` is the server's resetReason.
    """


class OutcomeUnknown(CallFailed):
    """The call may have been carried out or not. A read can be made again; so can a send, under its clientMessageId.

    A send also fails with this where its last try was refused but an earlier one had no answer.
    """
