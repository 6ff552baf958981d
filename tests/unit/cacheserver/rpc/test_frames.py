"""Frames as bytes and back; whatever else comes is garbage, found without much work."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.port import FetchMessages, Page, Send
from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.calls import MESSAGES, SEND
from rowbox.cacheserver.rpc.frames import Answer, Beat, Call, Cancel, Failed, Garbage, Goodbye, Push


def test_all_frames_of_a_turn_are_one_message() -> None:
    send, fetch = Send("alice", "bob", "hello", "1"), FetchMessages("bob", wait_ms=5)
    message = frames.message_of(
        [
            frames.call(1, "send", 30_000, 7, send),
            frames.call(2, "messages", 5, 0, fetch),
            frames.answer(3, Page((b"{}",), is_delta=False, token="t")),
            frames.failed(4, ["RateLimited", "RowboxError"], "slow down", {"retry_after_ms": 5}),
            frames.cancel(5),
            frames.push("map", 9),
            frames.BEAT,
            frames.GOODBYE,
        ]
    )
    call, other, answer, failed, cancel, push, beat, goodbye = frames.frames_of(message)
    assert isinstance(call, Call)
    assert (call.id, call.name, call.timeout_ms, call.map_version) == (1, "send", 30_000, 7)
    assert SEND.asked_of.decode(call.body) == send
    assert isinstance(other, Call)
    assert MESSAGES.asked_of.decode(other.body) == fetch
    assert isinstance(answer, Answer)
    assert list(MESSAGES.answer_of.decode(answer.body).items) == [b"{}"]
    assert failed == Failed(4, ["RateLimited", "RowboxError"], "slow down", {"retry_after_ms": 5})
    assert cancel == Cancel(5)
    assert isinstance(push, Push)
    assert (push.kind, msgspec.msgpack.decode(push.body)) == ("map", 9)
    assert (beat, goodbye) == (Beat(), Goodbye())


def test_what_stands_behind_the_last_field_is_of_a_newer_peer_and_passed_over() -> None:
    message = frames.message_of([msgspec.msgpack.encode([3, 5, "newer"]), msgspec.msgpack.encode([5, 1])])
    assert frames.frames_of(message) == [Cancel(5), Beat()]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xdd",
        b"\x93\x91\x05\x91\x05\x91\x05",
        frames.message_of([b"\xc1"]),
        frames.message_of([b"\x91\x63"]),
        frames.message_of([frames.BEAT])[:-1],
        frames.message_of([frames.BEAT]) + b"x",
        frames.message_of([b"\x91" * 100_000]),
        b"\xdd\xff\xff\xff\xff" + frames.BEAT * 100,
        b"\xdd" + (frames.MOST_FRAMES + 1).to_bytes(4) + frames.BEAT * (frames.MOST_FRAMES + 1),
    ],
)
def test_what_is_no_message_of_frames_is_garbage(message: bytes) -> None:
    with pytest.raises(Garbage):
        frames.frames_of(message)


@given(st.binary(max_size=2_000))
def test_whatever_comes_is_frames_or_garbage(message: bytes) -> None:
    for one in (message, frames.message_of([message])):
        try:
            frames.frames_of(one)
        except Garbage:
            continue
