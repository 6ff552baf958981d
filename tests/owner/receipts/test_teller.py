"""When receipts are told, what joins, and what becomes of one that could not be told."""

import asyncio
import itertools
from collections.abc import Sequence
from itertools import pairwise

import pytest

from rowbox.cacheserver.receipts.teller import GROUP_SPACING_S, LONGEST_PAUSE_S, MOST_TOGETHER, SPACING_S, Teller
from rowbox.mailbox.errors import Overloaded, RowboxError, StoreDamaged, StoreUnavailable, UnknownCall
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.receipts import Receipt
from tests.support.virtual_time import virtual_time

CONVERSATION = bytes(16)
MARKS = [message_id(1_800_000_000_000_000 + number, number) for number in range(10)]


def delivered(number: int, conversation: bytes = CONVERSATION) -> Receipt:
    return Receipt(conversation, "bob", MARKS[number])


def read(number: int) -> Receipt:
    return Receipt(CONVERSATION, "bob", MARKS[number], MARKS[number], number)


class Author:
    """An author's row. `fails` are the errors of the next tells; `late` holds back the answers."""

    def __init__(self, name: str = "ann", **options: int) -> None:
        self.name = name
        self.told: list[tuple[float, Receipt]] = []
        self.confirmed: list[Receipt] = []
        self.fails: list[Exception] = []
        self.is_late = False
        self.waiting: list[asyncio.Future[int]] = []
        self.teller = Teller(self.tell, self.confirmed.append, **options)

    def tell(self, author_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self.told.append((loop.time(), *receipts))  # type: ignore[arg-type]
        assert author_id == self.name
        if self.fails:
            future.set_exception(self.fails.pop(0))
        elif self.is_late:
            self.waiting.append(future)
        else:
            future.set_result(1)
        return future

    def owe(self, *receipts: Receipt) -> None:
        for receipt in receipts:
            self.teller.owe("ann", receipt)

    @property
    def marks(self) -> list[tuple[bytes, bytes]]:
        return [(receipt.delivered, receipt.read) for _, receipt in self.told]


@virtual_time
async def test_what_comes_within_a_second_goes_together_and_what_is_no_news_does_not_go() -> None:
    author = Author()
    author.owe(delivered(1), read(1))
    await asyncio.sleep(0.2)
    author.owe(delivered(1), delivered(3), read(2), delivered(2))
    await asyncio.sleep(3)
    assert author.marks == [(MARKS[1], MARKS[1]), (MARKS[3], MARKS[2])]
    assert author.told[1][0] - author.told[0][0] >= SPACING_S
    assert author.teller.owed == 0
    assert author.teller.told == 2


@virtual_time
async def test_what_was_told_as_delivered_is_told_as_read_too() -> None:
    """Also within the second in which nothing of the conversation is told."""
    author = Author()
    author.owe(delivered(1))
    await asyncio.sleep(0.2)
    author.owe(read(1))
    await asyncio.sleep(3)
    assert author.marks == [(MARKS[1], b""), (MARKS[1], MARKS[1])]


@virtual_time
async def test_conversations_do_not_wait_for_one_another() -> None:
    author = Author()
    author.owe(delivered(1), delivered(2, b"2" * 16))
    await asyncio.sleep(0.2)
    assert [told for _, *told in author.told] == [[delivered(1), delivered(2, b"2" * 16)]], "one row is told once"


@virtual_time
async def test_what_goes_together_is_bounded_and_fails_each_for_itself() -> None:
    author = Author()
    author.fails = [StoreUnavailable("away"), StoreDamaged("bad")]
    author.owe(*(delivered(1, number.to_bytes(16, "big")) for number in range(2 * MOST_TOGETHER + 1)))
    await asyncio.sleep(0.2)
    assert [len(told) for told in author.told] == [1 + MOST_TOGETHER, 1 + MOST_TOGETHER, 2]
    assert (author.teller.retries, author.teller.dropped, author.teller.told) == (MOST_TOGETHER, MOST_TOGETHER, 1)
    await asyncio.sleep(5)
    assert author.teller.told == 1 + MOST_TOGETHER


@virtual_time
async def test_who_was_given_away_while_others_are_told_is_told_nothing() -> None:
    told: list[str] = []

    def tell(author_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        told.append(author_id)
        teller.forget(lambda reader: reader == "bob")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(len(receipts))
        return future

    teller = Teller(tell, lambda _: None)
    teller.owe("ann", delivered(1))
    teller.owe("cid", delivered(2, b"2" * 16))
    teller.owe("eve", Receipt(CONVERSATION, "dan", MARKS[1]))
    await asyncio.sleep(1)
    assert told == ["ann", "eve"]


@virtual_time
async def test_a_groups_row_is_told_half_as_often() -> None:
    author, group = Author("!g" + 32 * "0"), "!g" + 32 * "0"
    for number in range(1, 8):
        author.teller.owe(group, read(number))
        await asyncio.sleep(0.5)
    assert len(author.told) == 2
    assert all(later - earlier >= GROUP_SPACING_S for (earlier, *_), (later, *_) in pairwise(author.told))


@virtual_time
async def test_one_is_told_at_a_time_however_long_it_takes() -> None:
    author = Author()
    author.is_late = True
    author.owe(delivered(1))
    await asyncio.sleep(10)
    author.owe(delivered(2), read(2))
    await asyncio.sleep(10)
    assert len(author.told) == 1
    assert author.confirmed == []
    author.is_late = False
    author.waiting[0].set_result(1)
    await asyncio.sleep(1)
    assert author.marks[1:] == [(MARKS[2], MARKS[2])]
    assert author.confirmed == [delivered(1), read(2)]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), UnknownCall("an older server")])
@virtual_time
async def test_what_could_not_be_told_is_told_again_and_the_newest_with_it(error: RowboxError) -> None:
    author = Author()
    author.fails = [error] * 3
    author.owe(delivered(1))
    await asyncio.sleep(0.2)
    author.owe(read(2))
    await asyncio.sleep(4 * LONGEST_PAUSE_S)
    assert author.marks == [(MARKS[1], b""), *[(MARKS[2], MARKS[2])] * 3]
    assert author.teller.retries == 3
    assert author.confirmed == [read(2)]


@virtual_time
async def test_pauses_grow_to_a_minute() -> None:
    author = Author()
    author.fails = [StoreUnavailable("away")] * 30
    author.owe(delivered(1))
    await asyncio.sleep(30 * LONGEST_PAUSE_S)
    times = [at for at, _ in author.told]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] < 1
    assert max(pauses) < LONGEST_PAUSE_S + 1
    assert pauses[-1] > LONGEST_PAUSE_S / 3


@virtual_time
async def test_once_something_was_told_pauses_begin_anew() -> None:
    author = Author()
    author.fails = [StoreUnavailable("away")] * 6
    author.owe(delivered(1))
    for _ in range(600):  # so that what comes next still finds its entry
        if not author.confirmed:
            await asyncio.sleep(0.1)
    author.fails = [StoreUnavailable("away")]
    author.owe(delivered(2))
    await asyncio.sleep(SPACING_S + 1)
    assert author.confirmed == [delivered(1), delivered(2)]


@virtual_time
async def test_whoever_is_busy_is_left_alone_for_as_long_as_he_says() -> None:
    author = Author()
    author.fails = [Overloaded("full", retry_after_ms=20_000)]
    author.owe(delivered(1))
    await asyncio.sleep(30)
    (first, _), (second, _) = author.told
    assert second - first >= 20


@pytest.mark.parametrize("error", [None, StoreUnavailable("away")])
@virtual_time
async def test_what_was_given_away_while_it_is_told_is_not_told_again(error: RowboxError | None) -> None:
    """Whoever owns the reader now tells it. What was confirmed is noted all the same."""
    author = Author()
    author.is_late = True
    author.owe(delivered(1))
    await asyncio.sleep(0.2)
    author.teller.forget(lambda reader: reader == "bob")
    author.waiting[0].set_result(1) if error is None else author.waiting[0].set_exception(error)
    await asyncio.sleep(3 * LONGEST_PAUSE_S)
    assert (len(author.told), author.teller.owed, author.teller.retries) == (1, 0, 0)
    assert author.confirmed == ([delivered(1)] if error is None else [])


@virtual_time
async def test_a_row_that_cannot_take_it_in_is_left_alone() -> None:
    author = Author()
    author.fails = [StoreDamaged("a row"), ValueError("nobody expected it")]
    for _ in range(2):
        author.owe(delivered(1))
        await asyncio.sleep(5 * LONGEST_PAUSE_S)
    assert (len(author.told), author.teller.dropped, author.teller.owed) == (2, 2, 0)
    author.owe(delivered(1))
    await asyncio.sleep(1)
    assert author.confirmed == [delivered(1)], "the next one may"


@virtual_time
async def test_what_finds_no_room_is_counted() -> None:
    author = Author(most=2)
    author.owe(*(delivered(1, bytes([number]) * 16) for number in range(5)))
    assert (author.teller.owed, author.teller.dropped) == (2, 3)
    await asyncio.sleep(3)
    author.owe(delivered(1, b"5" * 16))
    await asyncio.sleep(1)
    assert author.teller.told == 3


@virtual_time
async def test_nothing_is_told_of_readers_who_were_given_away_nor_after_the_end() -> None:
    author = Author()
    author.owe(delivered(1))
    author.teller.forget(lambda reader: reader == "bob")
    await asyncio.sleep(3)
    assert author.told == []
    author.owe(delivered(1))
    author.teller.close()
    author.owe(delivered(2))
    await asyncio.sleep(3)
    assert author.told == []
