"""Errors come back as what they were, also between processes of different versions."""

import inspect
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.rpc.failures import KNOWN, LONGEST_MESSAGE, error_of, failure_of
from rowbox.mailbox.errors import (
    BadRequest,
    HandoverInProgress,
    PageTooLarge,
    RateLimited,
    RowboxError,
    StoreUnavailable,
    UnknownCall,
)

TEXT = st.text(max_size=200)
FIELDS = {
    "page_number": st.integers(0, 1 << 40),
    "page_size": st.integers(0, 100),
    "cursor": TEXT,
    "map_version": st.integers(0, 1 << 62),
    "version": st.integers(0, 1 << 62),
}
"""What errors are made with, beside a line and a time. A new one has to be named here."""


@st.composite
def errors(draw: st.DrawFn) -> RowboxError:
    """Any error of any class, with all that it can have."""
    kind = draw(st.sampled_from(sorted(KNOWN.values(), key=lambda kind: kind.__name__)))
    given_fields: Any = {name: draw(FIELDS[name]) for name in _asked_for(kind)}
    error = kind(draw(TEXT), **given_fields)
    if draw(st.booleans()):
        error.retry_after_ms = draw(st.integers(0, 1 << 40))
    if draw(st.booleans()):
        error.user_id = draw(TEXT)
    return error


def _asked_for(kind: type[RowboxError]) -> list[str]:
    return [name for name in list(inspect.signature(kind).parameters)[1:] if name != "retry_after_ms"]


def travelled(error: BaseException) -> RowboxError:
    """What comes of `error` on the other side."""
    kinds, message, fields = msgspec.msgpack.decode(msgspec.msgpack.encode(failure_of(error)))
    return error_of(kinds, message, fields)


@given(errors())
def test_an_error_of_any_class_comes_back_as_the_same_class_with_the_same_fields(error: RowboxError) -> None:
    back = travelled(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert {k: v for k, v in vars(back).items() if v is not None} == {
        k: v for k, v in vars(error).items() if v is not None
    }
    assert (back.code, back.retryable, back.retry_after_ms) == (error.code, error.retryable, error.retry_after_ms)


@given(errors(), st.lists(st.sampled_from(["Newer", "NewerStill", "object", "Exception"]), max_size=3), TEXT)
def test_a_class_of_a_newer_peer_is_the_nearest_that_is_known(error: RowboxError, newer: list[str], field: str) -> None:
    failure = failure_of(error)
    back = error_of([*newer, *failure.kinds], failure.message, {**failure.fields, field: 1})
    assert type(back) is type(error)


def test_nothing_known_is_an_internal_error() -> None:
    assert type(error_of(["Unheard"], "a line", {})) is RowboxError
    assert type(error_of([], "a line", {})) is RowboxError


def test_a_class_whose_fields_an_older_peer_did_not_send_is_its_base() -> None:
    kinds = ["PageTooLarge", "RowboxError"]
    assert type(error_of(kinds, "a line", {"page_number": 1, "page_size": 1})) is RowboxError
    assert type(error_of(kinds, "a line", {"page_number": 1, "page_size": 1, "cursor": ""})) is PageTooLarge


@pytest.mark.parametrize("error", [ZeroDivisionError("of user alice"), KeyError("alice"), RuntimeError("secret")])
def test_a_fault_in_the_code_travels_without_its_text(error: Exception) -> None:
    back = travelled(error)
    assert type(back) is RowboxError
    assert "alice" not in str(back)
    assert "secret" not in str(back)


def test_an_error_of_another_module_is_its_nearest_known_class() -> None:
    class Private(StoreUnavailable):
        """As a room may have one of its own."""

    assert type(travelled(Private("away", retry_after_ms=5))) is StoreUnavailable
    assert travelled(Private("away", retry_after_ms=5)).retry_after_ms == 5


def test_what_a_peer_says_of_an_error_reaches_nothing_but_its_fields() -> None:
    evil: dict[str, Any] = {"args": 1, "__class__": 2, "with_traceback": 3, "_x": 4, "a b": 5, "retry_after_ms": 6}
    error = error_of(["RateLimited"], "a line", evil)
    assert type(error) is RateLimited
    assert vars(error) == {"retry_after_ms": 6}
    assert error.args == ("a line",)


def test_what_an_error_quotes_may_be_no_text() -> None:
    error = BadRequest("no such thing: \ud800")
    error.user_id = "\ud800"
    assert str(travelled(error)) == r"no such thing: \ud800"
    assert travelled(error).user_id == r"\ud800"


def test_an_unknown_call_is_nobody_s_bad_request() -> None:
    """Neither as it is said today, nor as the first version that had links says it."""
    assert type(travelled(UnknownCall("this process has no call 'x'"))) is UnknownCall
    assert type(error_of(["BadRequest", "RowboxError"], "this process has no call 'x'", {})) is UnknownCall
    assert type(error_of(["BadRequest", "RowboxError"], "send: Expected `array`", {})) is BadRequest


def test_a_line_is_bounded() -> None:
    assert len(str(travelled(HandoverInProgress("x" * 100_000)))) == LONGEST_MESSAGE
