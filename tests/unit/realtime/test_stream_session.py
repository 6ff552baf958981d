"""The rules of one event stream, in the test's own time."""

import math

from rowbox.api.realtime import closing
from rowbox.api.realtime.effects import End, Pull, Write
from rowbox.api.realtime.stream_session import StreamSession
from tests.unit.realtime.talk import page, token


def begun(*, ends_s: float = math.inf) -> StreamSession:
    """A stream that has its first event, at the time 0."""
    session = StreamSession(token(10), token(10), ends_s=ends_s, write_s=20, now_s=0)
    pull = session.begin()
    assert pull.token == token(10)
    (first,) = session.pulled(pull.number, page(10, items=0), 0)
    assert isinstance(first, Write)
    assert first.frame.startswith(b"event: delta\nid: 10.")
    assert first.frame.endswith(b"}\n\n")
    return session


def test_a_comment_is_sent_into_silence() -> None:
    session = begun()
    assert session.due_s == 25
    assert session.elapsed(25) == [Write(b":\n\n")]
    session.changed(token(11), token(10), b'{"messages":[]}', 40)
    assert session.elapsed(50) == []
    assert session.due_s == 65


def test_nothing_is_acknowledged_and_there_is_no_window() -> None:
    session = begun()
    for version in range(11, 100):
        assert len(session.changed(token(version), token(version - 1), b'{"messages":[]}', 1)) == 1


def test_while_much_lies_unwritten_changes_wait_in_the_log() -> None:
    session = begun()
    session.unwritten(1 << 20, 1)
    assert session.changed(token(11), token(10), b'{"messages":[]}', 1) == []
    (pull,) = session.unwritten(0, 2)
    assert isinstance(pull, Pull)
    assert pull.token == token(10)


def test_a_pull_that_fails_is_made_again_in_time() -> None:
    session = begun()
    (pull,) = session.changed(token(11), token(10), None, 1)
    assert isinstance(pull, Pull)
    session.not_pulled(pull.number, 300, 1)
    assert session.changed(token(12), token(11), b'{"messages":[]}', 1.1) == []
    assert session.due_s == 1.3
    (again,) = session.elapsed(1.3)
    assert isinstance(again, Pull)
    assert again.token == token(10)


def test_a_client_that_takes_nothing_is_given_up_and_one_that_takes_little_is_not() -> None:
    session = begun()
    session.changed(token(11), token(10), b'{"messages":[1]}', 0)
    session.unwritten(20, 0)
    session.unwritten(19, 19)
    assert session.elapsed(38) != [End(closing.TOO_SLOW, "nothing is taken", is_gone=True)]
    assert session.elapsed(39) == [End(closing.TOO_SLOW, "nothing is taken", is_gone=True)]
    assert session.elapsed(100) == []


def test_a_token_ends_its_stream() -> None:
    session = begun(ends_s=30)
    assert session.due_s == 25
    session.elapsed(25)
    assert session.elapsed(30) == [End(closing.UNAUTHENTICATED, "the token has expired", is_gone=False)]


def test_after_its_end_nothing_comes() -> None:
    session = begun()
    (pull,) = session.changed(token(11), token(10), None, 1)
    assert isinstance(pull, Pull)
    bye, end = session.drain(7)
    assert bye == Write(b'event: bye\ndata: {"retryAfterMs":7}\n\n')
    assert isinstance(end, End)
    assert session.drain(7) == session.ended(4409, "") == session.elapsed(1e6) == session.unwritten(0, 1) == []
    assert session.pulled(pull.number, page(11), 1) == session.changed(token(12), token(11), None, 1) == []
    assert session.compared(token(15)) == []
