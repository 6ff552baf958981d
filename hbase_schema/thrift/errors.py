"""What went wrong on a gateway's connection, in Rowbox's words: no exception of Thrift or of a socket goes further.

A write is StoreUnavailable only where nothing of it was sent. A partial failure, a gateway's own error and a broken
connection say nothing about which rows were written, or will be: the gateway goes on trying after its client gave up.
Nor does a refusal that comes from a region server (busy, over a quota, not serving): the gateway's IOError counts the
last tries that failed and does not say of which rows, and an earlier try of the same row may have timed out, written.
What such a refusal does say is that the gateway works, and that asking again at once makes it worse.

The text is one line. It holds no cause, because thriftpy2 names the value that it could not encode: a message's text.
"""

import re
from enum import Enum, auto
from typing import Final

from thriftpy2.protocol.exc import TProtocolException
from thriftpy2.thrift import TApplicationException, TDecodeException, TException
from thriftpy2.transport import TTransportException

from rowbox.hbase_schema.thrift.deadline_socket import RequestTooLarge
from rowbox.hbase_schema.thrift.sequenced import CrossedReply
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable

_TEXT_CHARS: Final = 300
_JAVA_CLASS: Final = re.compile(r"(?:[\w$]+\.)+([\w$]+)(?::|$)")
"""How a line begins that says which exception it was."""
_NOT_MADE = ("TableNotFoundException", "NoSuchColumnFamilyException")
_BUSY = ("RegionTooBusyException", "ThrottlingException", "CallQueueTooBigException", "CallDroppedException")
_SERVERS = (
    "NotServingRegionException",
    "RegionMovedException",
    "RegionOpeningException",
    "WrongRegionException",
    "RegionServerStoppedException",
    "RegionServerAbortedException",
    "ServerNotRunningYetException",
    "NoSuchColumnFamilyException",
    "TableNotFoundException",
    "TableNotEnabledException",
    "FailedSanityCheckException",
    "TooLargeException",
)
_BUSY_RETRY_AFTER_MS = 2000
_THRIFTPYS_OWN = (TTransportException, TProtocolException, TDecodeException)


class Blame(Enum):
    """Whose failure a call's is, as far as its error tells."""

    CALLER = auto()
    """The caller's: it is more than a gateway takes, and nothing was sent."""
    CONNECTION = auto()
    """The connection's: it broke, or what came on it was no reply."""
    SILENCE = auto()
    """No answer came in time: the gateway's, or that of whatever it waited for."""
    GATEWAY = auto()
    """The gateway answered with an error, which may be its own."""
    SERVERS = auto()
    """A region server refused, and the gateway passed that on."""
    BUSY = auto()
    """The same, because there was too much to do."""


class HBaseRefused(StoreUnavailable):
    """HBase answered with an error, to a call that does not write."""

    exception = ""
    """The Java class that it names, of Thrift's own errors theirs."""


class HBaseRefusedWrite(HBaseRefused, StoreOutcomeUnknown):
    """HBase answered with an error to a write, which may have happened all the same: it may have stopped waiting."""


class TableNotMade(HBaseRefused):
    """The gateway answers, and knows no such table or not its families."""


class ConnectionEnded(StoreUnavailable):
    """The connection broke, which tells nothing of the gateway: it may have been dead since its last call."""


def blame(error: Exception) -> Blame:
    """Whose failure it is."""
    if isinstance(error, RequestTooLarge):
        return Blame.CALLER
    if isinstance(error, TimeoutError):
        return Blame.SILENCE
    if not _is_answer(error):
        return Blame.CONNECTION
    text = _text(error)
    if any(sign in text for sign in _BUSY):
        return Blame.BUSY
    return Blame.SERVERS if any(sign in text for sign in _SERVERS) else Blame.GATEWAY


def failed_call(error: Exception, gateway: str, call: str, *, writes: bool, has_sent: bool) -> StoreUnavailable:
    """What it means that a `call` of Thrift failed. `has_sent`: something was sent, of it or of one before it."""
    text = f"{gateway} {_failure(error, call, has_sent=has_sent)}"
    later_ms = _BUSY_RETRY_AFTER_MS if blame(error) is Blame.BUSY else None
    if writes and has_sent:
        kind: type[StoreUnavailable] = HBaseRefusedWrite if _is_answer(error) else StoreOutcomeUnknown
        text = f"a write may have happened or not: {text}"
    else:
        kind = StoreUnavailable if writes else _kind_of_read(error)
    failed = kind(text, retry_after_ms=later_ms)
    if isinstance(failed, HBaseRefused):
        failed.exception = _exception(error)
    return failed


def said(error: BaseException) -> str:
    """One line of `error`. HBase's are the bytes of a Java stack trace, whose first line says what it was."""
    if isinstance(error, OSError | CrossedReply | RequestTooLarge):
        return str(error) or type(error).__name__
    line = _first_line(error)
    return f"{type(error).__name__}: {line[:_TEXT_CHARS]}" if line else type(error).__name__


def _kind_of_read(error: Exception) -> type[StoreUnavailable]:
    if isinstance(error, TTransportException | ConnectionError | CrossedReply):
        return ConnectionEnded
    if _is_answer(error):
        return TableNotMade if any(sign in _text(error) for sign in _NOT_MADE) else HBaseRefused
    return StoreUnavailable


def _failure(error: Exception, call: str, *, has_sent: bool) -> str:
    asked = call or "anything"
    if not has_sent:
        return f"was not asked {asked}: {said(error)}"
    if not _is_answer(error):
        return f"gave no answer to {asked}: {said(error)}"
    if isinstance(error, TApplicationException) and error.type == TApplicationException.UNKNOWN_METHOD:
        return f"knows no call {asked}"
    return f"answered {asked} with: {said(error)}"


def _is_answer(error: Exception) -> bool:
    """Whether a gateway said it. What thriftpy2 says of bytes that are no reply, or of values, is of the same class."""
    return isinstance(error, TException) and not isinstance(error, _THRIFTPYS_OWN)


def _exception(error: Exception) -> str:
    match = _JAVA_CLASS.match(_first_line(error))
    return match[1] if match else type(error).__name__


def _first_line(error: BaseException) -> str:
    return next(iter(_text(error).strip().splitlines()), "")


def _text(error: BaseException) -> str:
    """All that a gateway said, the stack trace too: what a region server said may be in its middle."""
    message = getattr(error, "message", None) if isinstance(error, TException) else None
    if isinstance(message, bytes):
        message = message.decode(errors="replace")
    return message or ""
