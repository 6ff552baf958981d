import pytest
from thriftpy2.thrift import TApplicationException, TDecodeException, TType
from thriftpy2.transport import TTransportException

from rowbox.cacheserver.stores.hbase_connection import CrossedReply
from rowbox.cacheserver.stores.hbase_errors import reading_error, said, writing_error
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable

GATEWAY = ("gw", 9090)
TRACE = b"org.apache.hadoop.hbase.DoNotRetryIOException: no room\n\tat org.apache.hadoop.hbase.Server.run(S.java:1)\n"


def refusal(message: bytes) -> TApplicationException:
    """As it comes from a gateway: thriftpy2 declares text, and gives bytes."""
    error = TApplicationException(TApplicationException.INTERNAL_ERROR)
    error.__dict__["message"] = message
    return error


ERRORS: dict[Exception, str] = {
    TimeoutError(): "no answer by the call's deadline",
    ConnectionResetError(104, "Connection reset by peer"): "[Errno 104] Connection reset by peer",
    BrokenPipeError(): "BrokenPipeError",
    TTransportException(TTransportException.END_OF_FILE, "read 0 bytes"): "TTransportException: read 0 bytes",
    refusal(TRACE): "TApplicationException: org.apache.hadoop.hbase.DoNotRetryIOException: no room",
    refusal(b"\xff" * 1000): "TApplicationException: " + "\ufffd" * 300,
    TApplicationException(): "TApplicationException",
    TDecodeException("Mutation", 3, "value", "a private text", TType.I32): "TDecodeException",
    ValueError("a private text"): "ValueError",
    CrossedReply("asked this, got that"): "asked this, got that",
}


@pytest.mark.parametrize(("error", "line"), ERRORS.items(), ids=lambda case: type(case).__name__)
def test_any_error_is_said_in_one_line_without_what_was_written(error: Exception, line: str) -> None:
    assert said(error) == line


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_write_is_unknown_iff_something_of_it_was_sent(error: Exception) -> None:
    assert type(writing_error(error, GATEWAY, has_sent=True)) is StoreOutcomeUnknown
    assert type(writing_error(error, GATEWAY, has_sent=False)) is StoreUnavailable


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_read_is_unavailable_through_which_gateway(error: Exception) -> None:
    translated = reading_error(error, GATEWAY)
    assert isinstance(translated, StoreUnavailable)
    assert not isinstance(translated, StoreOutcomeUnknown)
    assert "gw:9090" in str(translated)
