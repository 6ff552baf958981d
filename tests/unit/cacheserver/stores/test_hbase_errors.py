import pytest
from thriftpy2.thrift import TApplicationException, TDecodeException, TType
from thriftpy2.transport import TTransportException

from rowbox.cacheserver.stores.hbase.connection import CrossedReply
from rowbox.cacheserver.stores.hbase.errors import Blame, blame, reading_error, said, writing_error
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


DETAILS = (
    b"org.apache.hadoop.hbase.client.RetriesExhaustedWithDetailsException: Failed 3 actions: "
    b"org.apache.hadoop.hbase.%s: said by the server: 3 times, servers with issues: rs1,16020,1\n\tat a.b.C(D.java:1)\n"
)
BLAMED: dict[str, tuple[Exception, Blame]] = {
    "silence": (TimeoutError(), Blame.SILENCE),
    "reset": (ConnectionResetError(104, "reset"), Blame.CONNECTION),
    "end": (TTransportException(TTransportException.END_OF_FILE, "read 0 bytes"), Blame.CONNECTION),
    "crossed": (CrossedReply("asked this, got that"), Blame.CONNECTION),
    "own": (refusal(b"java.io.IOException: no ZooKeeper\n"), Blame.GATEWAY),
    "no text": (TApplicationException(), Blame.GATEWAY),
    "busy": (refusal(DETAILS % b"RegionTooBusyException"), Blame.BUSY),
    "quota": (refusal(DETAILS % b"quotas.RpcThrottlingException"), Blame.BUSY),
    "queue": (refusal(DETAILS % b"CallQueueTooBigException"), Blame.BUSY),
    "not serving": (refusal(DETAILS % b"NotServingRegionException"), Blame.SERVERS),
    "in the trace": (refusal(TRACE + b"Caused by: a.b.RegionTooBusyException: full\n"), Blame.BUSY),
}


@pytest.mark.parametrize(("error", "blamed"), BLAMED.values(), ids=BLAMED)
def test_whose_failure_it_was(error: Exception, blamed: Blame) -> None:
    assert blame(error) is blamed


@pytest.mark.parametrize("sign", [b"RegionTooBusyException", b"RpcThrottlingException", b"CallQueueTooBigException"])
def test_a_busy_server_s_refusal_is_unknown_and_says_when_to_come_again(sign: bytes) -> None:
    """Unknown all the same: it is the last try's, and an earlier one may have timed out and written."""
    busy = writing_error(refusal(DETAILS % sign), GATEWAY, has_sent=True)
    assert type(busy) is StoreOutcomeUnknown
    assert busy.retry_after_ms == 2000
    assert reading_error(refusal(DETAILS % sign), GATEWAY).retry_after_ms == 2000
    assert writing_error(refusal(TRACE), GATEWAY, has_sent=True).retry_after_ms is None
