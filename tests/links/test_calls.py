"""Calls over one link: their order, their errors, their ends, their credit."""

import asyncio
from pathlib import Path

import pytest

from rowbox.cacheserver.rpc.calls import Handlers, Inbound, Lane
from rowbox.cacheserver.rpc.credit import WINDOWS, Window
from rowbox.mailbox.errors import (
    BadRequest,
    LinkLost,
    MessageTooLarge,
    Overloaded,
    PageTooLarge,
    RowboxError,
    StoreOutcomeUnknown,
)
from tests.links.linked import BLOB, READ, WRITE, Parked, linked
from tests.support.virtual_time import settle, virtual_time


def fails(_: str, __: Inbound) -> str:
    """A handler with a fault in it."""
    raise ZeroDivisionError


@virtual_time
async def test_a_call_is_answered_by_its_handler(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        assert await both.read("hello") == "HELLO"
        waiting = both.peer.call(WRITE, "later", timeout_s=5, map_version=7)
        await settle()
        assert [inbound[:3] for inbound in both.parked.inbound] == [Inbound("api-1", 7, 5.0)[:3]]
        both.parked.answer_all()
        assert await waiting == "LATER"
        assert (both.peer.in_flight, both.listener.in_flight) == (0, 0)


@virtual_time
async def test_calls_are_begun_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    """A user's sends keep their order (P3), whichever turn they were made in, and whoever was called off between."""
    async with linked(tmp_path) as both:
        made = []
        for number in range(200):
            made.append(both.write(str(number)))
            if number % 7 == 0:
                await asyncio.sleep(0)
            if number % 11 == 0:
                made[-1].cancel()
        await settle()
        begun = [int(asked) for asked in both.parked.asked]
        assert begun == sorted(begun)
        assert len(begun) >= 200 - 200 // 11 - 1
        both.parked.answer_all()
        done = await asyncio.gather(*made, return_exceptions=True)
        assert [answer for answer in done if isinstance(answer, str)] == [str(n) for n in range(200) if n % 11]


@virtual_time
async def test_coroutines_are_begun_in_that_order_as_well(tmp_path: Path) -> None:
    begun: list[str] = []

    async def write(asked: str, _: Inbound) -> str:
        begun.append(asked)
        await asyncio.sleep(0)
        return asked

    def handlers(_: Parked) -> Handlers:
        serving = Handlers()
        serving.add(WRITE, write)
        return serving

    async with linked(tmp_path, handlers=handlers) as both:
        await asyncio.gather(*(both.write(str(number)) for number in range(50)))
        assert begun == [str(number) for number in range(50)]


@virtual_time
async def test_the_errors_of_a_handler_are_those_of_the_call(tmp_path: Path) -> None:
    async def raises(asked: str, _: Inbound) -> str:
        await asyncio.sleep(0)
        raise PageTooLarge("too large", page_number=3, page_size=4, cursor=asked)

    def handlers(_: Parked) -> Handlers:
        serving = Handlers()
        serving.add(WRITE, raises)
        serving.add(READ, fails)
        return serving

    async with linked(tmp_path, handlers=handlers) as both:
        with pytest.raises(PageTooLarge, match="too large") as raised:
            await both.write("abc")
        assert (raised.value.page_number, raised.value.page_size, raised.value.cursor) == (3, 4, "abc")
        with pytest.raises(RowboxError, match="an internal error of the other process"):
            await both.read("abc")
        with pytest.raises(BadRequest, match="no call 'blob'"):
            await both.peer.call(BLOB, b"", timeout_s=5)


@virtual_time
async def test_a_fault_of_a_handler_is_logged_where_it_happened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def handlers(_: Parked) -> Handlers:
        serving = Handlers()
        serving.add(READ, fails)
        serving.add(WRITE, lambda *_: object())  # type: ignore[arg-type]
        return serving

    async with linked(tmp_path, handlers=handlers) as both:
        for _ in range(100):
            with pytest.raises(RowboxError):
                await both.read("abc")
        with pytest.raises(RowboxError):
            await both.write("what is returned is no value")
    assert [record.levelname for record in caplog.records if "a call failed" in record.message] == ["ERROR", "ERROR"]


@virtual_time
async def test_a_call_that_is_called_off_ends_the_waiting_of_its_handler_and_frees_its_credit(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        waiting = both.wait("news")
        await settle()
        waiting.cancel()
        await settle()
        assert both.parked.answers["news"].cancelled()
        assert (both.peer.in_flight, both.listener.in_flight) == (0, 0)


@virtual_time
async def test_a_mutation_that_was_begun_is_finished_when_its_call_is_called_off(tmp_path: Path) -> None:
    stored: list[str] = []
    commit = asyncio.get_running_loop().create_future()

    async def mutate(asked: str) -> None:
        await commit
        stored.append(asked)

    tasks: list[asyncio.Task[None]] = []

    async def write(asked: str, _: Inbound) -> str:
        tasks.append(asyncio.ensure_future(mutate(asked)))
        await asyncio.shield(tasks[-1])
        return asked

    def handlers(_: Parked) -> Handlers:
        serving = Handlers()
        serving.add(WRITE, write)
        return serving

    async with linked(tmp_path, handlers=handlers) as both:
        waiting = both.write("a message")
        await settle()
        waiting.cancel()
        await settle()
        assert both.listener.in_flight == 0
        commit.set_result(None)
        await settle()
        assert stored == ["a message"]


@virtual_time
async def test_what_is_called_off_before_it_left_never_leaves(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        both.write("first")
        both.write("second").cancel()
        both.write("third")
        await settle()
        assert both.parked.asked == ["first", "third"]


@virtual_time
async def test_a_call_ends_at_its_deadline_on_both_sides(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        reads, writes = both.wait("a read", timeout_s=3), both.write("a write", timeout_s=3)
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(LinkLost, match="no answer came in time"):
            await reads
        with pytest.raises(StoreOutcomeUnknown, match="whether write was done is not known"):
            await writes
        assert 3 <= asyncio.get_running_loop().time() - began_s <= 3.2
        await settle()
        assert all(answer.cancelled() for answer in both.parked.answers.values())
        assert (both.peer.in_flight, both.listener.in_flight) == (0, 0)


@virtual_time
async def test_a_full_lane_refuses_at_once_and_leaves_the_others_alone(tmp_path: Path) -> None:
    windows = {**WINDOWS, Lane.WAITS: Window(3, 1_000), Lane.REQUESTS: Window(100, 400)}
    async with linked(tmp_path, windows=windows) as both:
        waits = [both.wait(str(number)) for number in range(3)]
        with pytest.raises(Overloaded):
            both.wait("one more")
        both.write("x" * 300)
        with pytest.raises(Overloaded):
            both.write("y" * 300)
        assert await both.read("room for a small one") == "ROOM FOR A SMALL ONE"
        await settle()
        assert both.parked.asked == ["0", "1", "2", "x" * 300]
        waits[0].cancel()
        with pytest.raises(Overloaded):
            both.wait("credit comes back with the answer only")
        await settle()
        both.wait("now")


@virtual_time
async def test_a_body_that_no_link_carries_is_refused(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        with pytest.raises(MessageTooLarge):
            both.peer.call(BLOB, b"x" * (16 << 20), timeout_s=5)
        large = b"x" * (15 << 20)
        assert await both.peer.call(BLOB, large, timeout_s=5) == large


@virtual_time
async def test_an_answer_that_no_link_carries_is_an_error(tmp_path: Path) -> None:
    def handlers(_: Parked) -> Handlers:
        serving = Handlers()
        serving.add(BLOB, lambda asked, _: asked * (17 << 20))
        serving.add(READ, lambda asked, _: asked)
        return serving

    async with linked(tmp_path, handlers=handlers) as both:
        with pytest.raises(RowboxError, match="an answer of"):
            await both.peer.call(BLOB, b"x", timeout_s=5)
        assert await both.read("the link is as before") == "the link is as before"


@virtual_time
async def test_an_answer_of_another_kind_ends_its_call_alone(tmp_path: Path) -> None:
    def handlers(_: Parked) -> Handlers:
        serving = Handlers()
        serving.add(READ, lambda asked, _: asked)
        serving.add(WRITE, lambda *_: 5)  # type: ignore[arg-type]
        return serving

    async with linked(tmp_path, handlers=handlers) as both:
        with pytest.raises(StoreOutcomeUnknown, match="cannot be read"):
            await both.write("a write")
        assert await both.read("on it goes") == "on it goes"


@virtual_time
async def test_what_is_published_reaches_who_is_there_and_who_comes(tmp_path: Path) -> None:
    heard: list[tuple[str, bytes]] = []
    async with linked(tmp_path, is_up=False, on_published=lambda *one: heard.append(one)) as both:
        for version in range(5):
            both.listener.publish("map", version)
        both.listener.publish("status", ["ready"])
        both.peer.start()
        await both.peer.up()
        await settle()
        assert heard == [("map", b"\x04"), ("status", b"\x91\xa5ready")]
        both.listener.publish("map", 5)
        await settle()
        assert both.peer.published == {"map": b"\x05", "status": b"\x91\xa5ready"}


@virtual_time
async def test_a_listener_that_ends_finishes_what_it_has_begun_and_begins_nothing_more(tmp_path: Path) -> None:
    async with linked(tmp_path) as both:
        begun = both.write("begun")
        await settle()
        closing = asyncio.ensure_future(both.listener.close(finish_s=10))
        too_late = both.write("on its way when the other side stops")
        await settle()
        with pytest.raises(LinkLost):
            await too_late
        with pytest.raises(LinkLost):
            both.write("after")
        both.parked.answer_all()
        assert await begun == "BEGUN"
        await closing
        assert both.parked.asked == ["begun"]
