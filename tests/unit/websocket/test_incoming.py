"""Frames that are dealt with at once, and those that wait: none overtakes another."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import EofStream, WebSocketError, WSMessage, web
from aiohttp.http import WebSocketReader

from rowbox.api.websocket.incoming import QUEUE_BYTES, Incoming


class Connection:
    """As much of a connection as a parser and a queue ask for."""

    def __init__(self) -> None:
        self._reading_paused = False
        self.parser: WebSocketReader | None = None

    def set_parser(self, parser: WebSocketReader) -> None:
        self.parser = parser

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        self._reading_paused = False


class Reader:
    """Deals at once with what does not begin with `wait`; a task reads the rest. `dealt_with` has both, in order."""

    def __init__(self) -> None:
        self.dealt_with: list[str] = []
        self.at_once = 0
        self.connection = Connection()
        connection = cast("web.RequestHandler", self.connection)
        self.incoming: Incoming[str] = Incoming(connection, asyncio.get_running_loop(), self.take)
        self.parser = self.incoming.begin(connection, max_frame_bytes=1 << 20)

    def take(self, frame: WSMessage) -> WSMessage | str | None:
        if frame.data == "fails":
            raise RuntimeError("nobody expected this")
        if str(frame.data).startswith("wait"):
            return frame
        if frame.data == "half":
            return "the rest of half"
        self.at_once += 1
        self.dealt_with.append(frame.data)
        return None

    async def read(self) -> None:
        while True:
            rest = await self.incoming.read_on()
            await asyncio.sleep(0)  # what has to wait takes a while
            self.dealt_with.append(rest if isinstance(rest, str) else rest.data)

    def is_paused(self) -> bool:
        return self.connection._reading_paused

    def comes(self, *texts: str) -> None:
        self.parser.feed_data(b"".join(map(framed, texts)))


def framed(text: str, first: int = 0x81) -> bytes:
    """A client's frame, with a mask of zeros."""
    assert len(text) < 126
    return bytes([first, 0x80 | len(text)]) + bytes(4) + text.encode()


async def settle(turns: int = 20) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_a_frame_is_dealt_with_in_the_moment_in_which_it_comes() -> None:
    reader = Reader()
    reading = asyncio.ensure_future(reader.read())
    await settle()
    reader.comes("one", "two")
    assert reader.dealt_with == ["one", "two"]
    reading.cancel()


async def test_what_comes_before_anybody_reads_waits() -> None:
    reader = Reader()
    reader.comes("one", "wait", "two")
    assert reader.dealt_with == []
    reading = asyncio.ensure_future(reader.read())
    await settle()
    assert reader.dealt_with == ["one", "wait", "two"]
    reading.cancel()


async def test_nothing_overtakes_what_waits() -> None:
    reader = Reader()
    reading = asyncio.ensure_future(reader.read())
    await settle()
    reader.comes("one", "wait", "two")
    reader.comes("three")
    assert reader.dealt_with == ["one"]
    await asyncio.sleep(0)  # the task has what waits, and is not done with it
    reader.comes("half")
    await settle()
    assert reader.dealt_with == ["one", "wait", "two", "three", "half"]
    reader.comes("half", "four")
    await settle()
    reader.comes("five")
    assert reader.dealt_with[5:] == ["the rest of half", "four", "five"]
    assert reader.at_once == 2
    reading.cancel()


async def test_nothing_overtakes_what_waits_where_the_parser_was_stopped_amid_it() -> None:
    """The parser is stopped where much waits, and goes on inside of a read."""
    reader = Reader()
    texts = [f"{number:0100}" for number in range(4 * QUEUE_BYTES // 100)]
    reader.comes(*texts)
    assert reader.is_paused()
    reading = asyncio.ensure_future(reader.read())
    await settle(4 * len(texts))
    assert reader.dealt_with == texts
    assert not reader.is_paused()
    reading.cancel()


@pytest.mark.parametrize(
    ("data", "error"),
    [(framed("fails"), RuntimeError), (b"\x83\x80\0\0\0\0", WebSocketError), (framed("") + bytes(9), WebSocketError)],
)
async def test_whoever_reads_gets_the_error(data: bytes, error: type[Exception]) -> None:
    reader = Reader()
    reading = asyncio.ensure_future(reader.read())
    await settle()
    reader.parser.feed_data(data)
    await settle()
    assert isinstance(reading.exception(), error)


async def test_the_end_is_told_behind_what_came_before_it() -> None:
    reader = Reader()
    reader.comes("one")
    reader.parser.feed_eof()
    found: list[Any] = [await reader.incoming.read_on()]
    with pytest.raises(EofStream):
        await reader.incoming.read_on()
    assert [frame.data for frame in found] == ["one"]
