# mypy: allow-untyped-calls

import pytest
from thriftpy2.protocol.exc import TProtocolException
from thriftpy2.thrift import TApplicationException, TDecodeException, TType
from thriftpy2.transport import TTransportException

from rowbox.hbase_schema.thrift.deadline_socket import RequestTooLarge
from rowbox.hbase_schema.thrift.errors import (
    Blame,
    ConnectionEnded,
    HBaseRefused,
    HBaseRefusedWrite,
    TableNotMade,
    blame,
    failed_call,
    said,
)
from rowbox.hbase_schema.thrift.sequenced import CrossedReply
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable

TRACE = b"org.apache.hadoop.hbase.DoNotRetryIOException: no room\n\tat org.apache.hadoop.hbase.Server.run(S.java:1)\n"


def refusal(message: bytes) -> TApplicationException:
    """As it comes from a gateway: thriftpy2 declares text, and gives bytes."""
    error = TApplicationException(TApplicationException.INTERNAL_ERROR)
    error.__dict__["message"] = message
    return error


def read_failed(error: Exception, *, has_sent: bool = True) -> StoreUnavailable:
    return failed_call(error, "gateway gw:9090", "getRow", writes=False, has_sent=has_sent)


def write_failed(error: Exception, *, has_sent: bool = True) -> StoreUnavailable:
    return failed_call(error, "gateway gw:9090", "mutateRowsTs", writes=True, has_sent=has_sent)


ERRORS: dict[Exception, str] = {
    TimeoutError("timed out"): "timed out",
    ConnectionResetError(104, "Connection reset by peer"): "[Errno 104] Connection reset by peer",
    BrokenPipeError(): "BrokenPipeError",
    TTransportException(TTransportException.END_OF_FILE, "read 0 bytes"): "TTransportException: read 0 bytes",
    refusal(TRACE): "TApplicationException: org.apache.hadoop.hbase.DoNotRetryIOException: no room",
    refusal(b"\xff" * 1000): "TApplicationException: " + "\ufffd" * 300,
    TApplicationException(): "TApplicationException",
    TDecodeException("Mutation", 3, "value", "a private text", TType.I32): "TDecodeException",
    ValueError("a private text"): "ValueError",
    CrossedReply("asked this, got that"): "asked this, got that",
    RequestTooLarge("too large"): "too large",
}


@pytest.mark.parametrize(("error", "line"), ERRORS.items(), ids=lambda case: type(case).__name__)
def test_any_error_is_said_in_one_line_without_what_was_written(error: Exception, line: str) -> None:
    assert said(error) == line


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_write_is_unknown_iff_something_of_it_was_sent(error: Exception) -> None:
    assert isinstance(write_failed(error), StoreOutcomeUnknown)
    assert type(write_failed(error, has_sent=False)) is StoreUnavailable


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("has_sent", [True, False])
def test_a_read_is_unavailable_through_which_gateway(error: Exception, *, has_sent: bool) -> None:
    failed = read_failed(error, has_sent=has_sent)
    assert not isinstance(failed, StoreOutcomeUnknown)
    assert str(failed).startswith("gateway gw:9090 ")
    assert "getRow" in str(failed)


def test_what_was_asked_and_what_came_of_it_is_said() -> None:
    silence, answer = TimeoutError("timed out"), refusal(TRACE)
    assert str(read_failed(silence)) == "gateway gw:9090 gave no answer to getRow: timed out"
    assert str(read_failed(silence, has_sent=False)) == "gateway gw:9090 was not asked getRow: timed out"
    assert str(read_failed(answer)) == f"gateway gw:9090 answered getRow with: {said(answer)}"
    assert str(write_failed(silence)) == (
        "a write may have happened or not: gateway gw:9090 gave no answer to mutateRowsTs: timed out"
    )
    unknown = TApplicationException(TApplicationException.UNKNOWN_METHOD)
    assert str(read_failed(unknown)) == "gateway gw:9090 knows no call getRow"


@pytest.mark.parametrize(
    ("message", "exception"),
    [
        (TRACE, "DoNotRetryIOException"),
        (b"org.apache.hadoop.hbase.TableExistsException\n\tat a.b.C(D.java:1): x\n", "TableExistsException"),
        (b"table name already in use: t", "TApplicationException"),
        (b"", "TApplicationException"),
    ],
)
def test_the_exception_that_hbase_names_is_told_apart_from_other_texts(message: bytes, exception: str) -> None:
    for failed in (read_failed(refusal(message)), write_failed(refusal(message))):
        assert isinstance(failed, HBaseRefused)
        assert failed.exception == exception
    assert isinstance(write_failed(refusal(message)), HBaseRefusedWrite)


def test_of_reads_a_broken_connection_and_a_missing_table_are_told_apart_from_the_rest() -> None:
    missing = refusal(b"java.io.IOException: x\n\tat a.b\nCaused by: a.b.TableNotFoundException: t\n")
    assert type(read_failed(missing)) is TableNotMade
    assert type(read_failed(refusal(TRACE))) is HBaseRefused
    for broken in (ConnectionResetError(), TTransportException(), CrossedReply("x")):
        assert type(read_failed(broken)) is ConnectionEnded
    assert type(read_failed(TimeoutError())) is StoreUnavailable


DETAILS = (
    b"org.apache.hadoop.hbase.client.RetriesExhaustedWithDetailsException: Failed 3 actions: "
    b"org.apache.hadoop.hbase.%s: said by the server: 3 times, servers with issues: rs1,16020,1\n\tat a.b.C(D.java:1)\n"
)
BLAMED: dict[str, tuple[Exception, Blame]] = {
    "too large": (RequestTooLarge("3 bytes"), Blame.CALLER),
    "silence": (TimeoutError(), Blame.SILENCE),
    "reset": (ConnectionResetError(104, "reset"), Blame.CONNECTION),
    "end": (TTransportException(TTransportException.END_OF_FILE, "read 0 bytes"), Blame.CONNECTION),
    "crossed": (CrossedReply("asked this, got that"), Blame.CONNECTION),
    "no reply": (TProtocolException(TProtocolException.BAD_VERSION, "Bad version"), Blame.CONNECTION),
    "no value": (TDecodeException("Mutation", 3, "value", "a private text", TType.I32), Blame.CONNECTION),
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
    busy = write_failed(refusal(DETAILS % sign))
    assert isinstance(busy, StoreOutcomeUnknown)
    assert busy.retry_after_ms == 2000
    assert read_failed(refusal(DETAILS % sign)).retry_after_ms == 2000
    assert write_failed(refusal(TRACE)).retry_after_ms is None
