"""What went wrong on a gateway's connection, in Rowbox's words: no exception of Thrift or of a socket goes further.

A write is StoreUnavailable only where nothing of it was sent. A partial failure, a gateway's own error and a broken
connection say nothing about which rows were written, or will be: the gateway goes on trying after its client gave up.
Nor does a refusal that comes from a region server (busy, over a quota, not serving): the gateway's IOError counts the
last tries that failed and does not say of which rows, and an earlier try of the same row may have timed out, written.
What such a refusal does say is that the gateway works, and that asking again at once makes it worse.

The text is one line. It holds no cause, because thriftpy2 names the value that it could not encode: a message's text.
"""

from enum import Enum, auto

from thriftpy2.thrift import TException
from thriftpy2.transport import TTransportException

from rowbox.cacheserver.stores.hbase.connection import CrossedReply, Gateway
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable

_TEXT_CHARS = 300
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


class Blame(Enum):
    """Whose failure a call's is, as far as its error tells."""

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


def blame(error: Exception) -> Blame:
    """Whose failure it is."""
    if isinstance(error, TimeoutError):
        return Blame.SILENCE
    if not isinstance(error, TException) or isinstance(error, TTransportException):
        return Blame.CONNECTION
    text = _text(error)
    if any(sign in text for sign in _BUSY):
        return Blame.BUSY
    return Blame.SERVERS if any(sign in text for sign in _SERVERS) else Blame.GATEWAY


class TableNotMade(StoreUnavailable):
    """The gateway answers, and knows no such table or not its families."""


class ConnectionEnded(StoreUnavailable):
    """The connection broke, which tells nothing of the gateway: it may have been dead since its last call."""


def reading_error(error: Exception, gateway: Gateway) -> StoreUnavailable:
    """What a failed read means."""
    text = said(error)
    later = _retry_after_ms(error)
    if isinstance(error, TTransportException | ConnectionError | CrossedReply):
        kind: type[StoreUnavailable] = ConnectionEnded
    else:
        kind = TableNotMade if any(sign in text for sign in _NOT_MADE) else StoreUnavailable
    return kind(f"{place(gateway)}: {text}", retry_after_ms=later)


def writing_error(error: Exception, gateway: Gateway, *, has_sent: bool) -> StoreUnavailable:
    """What a failed write means."""
    if has_sent:
        text = f"a write through {place(gateway)} may have happened or not: {said(error)}"
        return StoreOutcomeUnknown(text, retry_after_ms=_retry_after_ms(error))
    return StoreUnavailable(f"{place(gateway)}: {said(error)}")


def place(gateway: Gateway) -> str:
    return f"gateway {gateway[0]}:{gateway[1]}"


def said(error: Exception) -> str:
    """One line of `error`. HBase's are the bytes of a Java stack trace, whose first line says what it was."""
    if isinstance(error, TimeoutError):
        return "no answer by the call's deadline"
    if isinstance(error, OSError | CrossedReply):
        return str(error) or type(error).__name__
    lines = _text(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:_TEXT_CHARS]}" if lines else type(error).__name__


def _text(error: Exception) -> str:
    """All that a gateway said, the stack trace too: what a region server said may be in its middle."""
    message = getattr(error, "message", None) if isinstance(error, TException) else None
    if isinstance(message, bytes):
        message = message.decode(errors="replace")
    return message or ""


def _retry_after_ms(error: Exception) -> int | None:
    return _BUSY_RETRY_AFTER_MS if blame(error) is Blame.BUSY else None
