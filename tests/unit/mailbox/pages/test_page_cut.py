"""Where a page ends."""

from hypothesis import given
from hypothesis import strategies as st

from rowbox.api.v1.request_types import (
    MAX_CONTENT_BYTES,
    MAX_CONVERSATIONS,
    MAX_CURSOR_CHARACTERS,
    MAX_TOKEN_CHARACTERS,
)
from rowbox.api.v1.responses import encode_page
from rowbox.cacheserver.port import Page
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message, MessageCopy, copy_of
from rowbox.mailbox.pages.conversation_pages import MAX_DELTA
from rowbox.mailbox.pages.page_cut import PAGE_BYTES, ROOM_BYTES, PageCut, narrower


def copy(length: int) -> MessageCopy:
    return MessageCopy(bytes(16), 1, 0, b"x" * length, 1)


@given(st.lists(st.integers(1, 400_000), max_size=50), st.integers(1, 20))
def test_a_page_takes_as_many_as_fit_and_one_at_least(lengths: list[int], size: int) -> None:
    cut = PageCut(size)
    taken = [length for length in lengths if not cut.has_more and cut.take(copy(length))]
    assert [len(one.json) for one in cut.copies] == taken == lengths[: len(taken)]
    assert cut.has_more == (len(taken) < len(lengths))
    assert len(taken) == min(size, len(lengths)) or sum(lengths[: len(taken) + 1]) + len(taken) + 1 > ROOM_BYTES
    assert cut.is_short == (cut.has_more and len(taken) < size)


def test_the_largest_message_fits_into_a_page_and_the_largest_page_into_its_bytes() -> None:
    user = "u" * 128
    largest = Message(message_id(1 << 50, 0), bytes(16), user, (user, user), "\0" * MAX_CONTENT_BYTES)
    assert 2 * len(copy_of(largest, largest.sent_us, 1 << 50, 0, "c" * 64, 1 << 50).json) < ROOM_BYTES
    cut = PageCut(200)
    while cut.take(copy(ROOM_BYTES // 200 - 1)):
        pass
    items = [one.json for one in cut.copies]
    page = Page(items, True, "x" * MAX_TOKEN_CHARACTERS, True, "x" * MAX_CURSOR_CHARACTERS, "too_many", 1 << 31)
    assert PAGE_BYTES - 10_000 < len(encode_page("messages", page)) <= PAGE_BYTES


@given(st.integers(0, 500), st.integers(2, 200), st.data())
def test_a_narrower_page_begins_where_the_refused_one_does(number: int, size: int, data: st.DataObject) -> None:
    fitting = data.draw(st.integers(1, size - 1))
    page_number, page_size = narrower(number, size, fitting)
    assert page_number * page_size == number * size
    assert 1 <= page_size <= fitting
    assert number or page_size == fitting


def test_the_largest_delta_of_conversations_fits_too() -> None:
    users, newest = ("u" * 128, "v" * 128), message_id((1 << 53) - 1, 0)
    largest = Conversation.new(users, (1 << 53) - 1).with_delivered(
        Message(newest, bytes(16), users[0], users, "\0" * 1000), (1 << 53) - 1, 0
    )
    size_bytes = len(largest.to_json(bytes(16))) + 1
    assert max(MAX_DELTA, MAX_CONVERSATIONS) * size_bytes < ROOM_BYTES
