"""What went wrong on a gateway's connection, in Rowbox's words: no exception of Thrift or of a socket goes further.

A write is StoreUnavailable only where nothing of it was sent. A partial failure, a gateway's own error and a broken
connection say nothing about which rows were written, or will be: the gateway goes on trying after its client gave up.

The text is one line. It holds no cause, because thriftpy2 names the value that it could not encode: a message's text.
"""

from thriftpy2.thrift import TException
from thriftpy2.transport import TTransportException

from rowbox.cacheserver.stores.hbase_connection import CrossedReply, Gateway
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable

_TEXT_CHARS = 300
_NOT_MADE = ("TableNotFoundException", "NoSuchColumnFamilyException")


class TableNotMade(StoreUnavailable):
    """The gateway answers, and knows no such table or not its families."""


class ConnectionEnded(StoreUnavailable):
    """The connection broke, which tells nothing of the gateway: it may have been dead since its last call."""


def reading_error(error: Exception, gateway: Gateway) -> StoreUnavailable:
    """What a failed read means."""
    text = said(error)
    if isinstance(error, TTransportException | ConnectionError | CrossedReply):
        kind: type[StoreUnavailable] = ConnectionEnded
    else:
        kind = TableNotMade if any(sign in text for sign in _NOT_MADE) else StoreUnavailable
    return kind(f"{place(gateway)}: {text}")


def writing_error(error: Exception, gateway: Gateway, *, has_sent: bool) -> StoreUnavailable:
    """What a failed write means."""
    if has_sent:
        return StoreOutcomeUnknown(f"a write through {place(gateway)} may have happened or not: {said(error)}")
    return StoreUnavailable(f"{place(gateway)}: {said(error)}")


def place(gateway: Gateway) -> str:
    return f"gateway {gateway[0]}:{gateway[1]}"


def said(error: Exception) -> str:
    """One line of `error`. HBase's are the bytes of a Java stack trace, whose first line says what it was."""
    if isinstance(error, TimeoutError):
        return "no answer by the call's deadline"
    if isinstance(error, OSError | CrossedReply):
        return str(error) or type(error).__name__
    message = getattr(error, "message", None) if isinstance(error, TException) else None
    if isinstance(message, bytes):
        message = message.decode(errors="replace")
    lines = (message or "").strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:_TEXT_CHARS]}" if lines else type(error).__name__
