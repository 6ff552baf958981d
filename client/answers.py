"""What the server answers, as types. Times are integer microseconds since the epoch. Unknown fields are ignored."""

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from rowbox.client.errors import UNEXPECTED_ANSWER, AccessDenied, CallFailed, OutcomeUnknown, Refused

_T = TypeVar("_T")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, no text, or brackets without end."""
_PASSING_REFUSALS: Final = frozenset({408, 425})
"""Request Timeout and Too Early: a proxy's, about this try and not about the request."""
_MOST_DIGITS: Final = 9
"""Of a number of seconds: more are more than anybody waits, and Python makes no int of thousands."""


class Sent(Struct, rename="camel", kw_only=True, frozen=True):
    """A message that is stored, as it stands in its sender's mailbox."""

    message_id: str
    conversation_id: str
    sent_timestamp: int
    last_updated_timestamp: int
    pending_recipients: int
    """Recipients whose mailbox does not show it yet. It is as durable as the rest, and will be there."""
    duplicate: bool
    """An earlier try with this clientMessageId had sent it."""


class ReadMark(Struct, rename="camel", kw_only=True, frozen=True):
    """A conversation after its read mark moved, or did not have to."""

    conversation_id: str
    unread_count: int
    """Exact to 999, then 1000."""
    last_updated_timestamp: int


class Message(Struct, rename="camel", kw_only=True, frozen=True):
    """One user's copy of a message. In all copies a conversation is ordered by (sent_timestamp, message_id)."""

    message_id: str
    conversation_id: str
    sender_id: str
    participants: tuple[str, ...]
    message_content: str
    sent_timestamp: int
    last_updated_timestamp: int
    client_message_id: str | None = None

    @property
    def is_own(self) -> bool:
        """Whether the mailbox's user sent it: only a sender's own copy has the clientMessageId."""
        return self.client_message_id is not None


class Conversation(Struct, rename="camel", kw_only=True, frozen=True):
    """A conversation as one of its participants sees it."""

    conversation_id: str
    participants: tuple[str, ...]
    snippet: str | None
    """The first 100 characters of the newest message; None once retention took that."""
    last_updated_timestamp: int
    last_message_id: str
    last_sender_id: str | None
    """Whose the newest message is; None where it was stored before that was kept."""
    last_sent_timestamp: int
    unread_count: int
    """Exact to 999, then 1000."""


class Page(Struct, rename="camel", kw_only=True, frozen=True):
    """What every page says beside its items. The client asks for none by number, so each has a token."""

    is_delta_update: bool
    last_updated_timestamp: str
    """The token: opaque."""
    has_more: bool
    next_cursor: str | None
    reset_reason: str | None
    retry_after_ms: int | None = None


class MessagePage(Page, rename="camel", kw_only=True, frozen=True):
    """Newest first, or the oldest change first where it is a delta."""

    items: tuple[Message, ...] = msgspec.field(name="messages")


class ConversationPage(Page, rename="camel", kw_only=True, frozen=True):
    """The conversation with the newest message first."""

    items: tuple[Conversation, ...] = msgspec.field(name="conversations")


class _Problem(Struct, rename="camel", kw_only=True, frozen=True):
    """An error's body (RFC 9457)."""

    code: str
    detail: str = ""
    request_id: str | None = None
    retry_after_ms: int | None = None


def decoded(status: int, body: bytes, retry_after: str | None, kind: type[_T]) -> _T:
    """The answer with this status and body. CallFailed for a problem, and for what is none of Rowbox's answers.

    `retry_after` is the header of that name: it counts where the body says nothing more exact.
    """
    if not 200 <= status < 300:
        raise _failure(status, body, retry_after)
    try:
        return msgspec.json.decode(body, type=kind)
    except _UNREADABLE as error:
        raise OutcomeUnknown(
            f"{status}, but not as expected: {error}", code=UNEXPECTED_ANSWER, status=status
        ) from error


def _failure(status: int, body: bytes, retry_after: str | None) -> CallFailed:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except _UNREADABLE:  # a proxy's error page
        is_redirect = 300 <= status < 400
        detail = "a redirect, not followed: give the URL that it leads to" if is_redirect else "not from Rowbox"
        problem = _Problem(code=UNEXPECTED_ANSWER, detail=detail)
    retry_after_ms = problem.retry_after_ms
    if retry_after_ms is None and retry_after is not None and retry_after.isdecimal():  # the other form is a date
        retry_after_ms = int(retry_after[:_MOST_DIGITS]) * 1000
    is_refusal = status < 500 and status not in _PASSING_REFUSALS
    kind = AccessDenied if status in {401, 403} else Refused if is_refusal else OutcomeUnknown
    return kind(
        f"{status} {problem.code}: {problem.detail}",
        code=problem.code,
        status=status,
        request_id=problem.request_id,
        retry_after_ms=retry_after_ms,
    )
