"""A socket at the server that another one has named: where the program trusts that one, and while it is there."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from rowbox.client import AccessDenied
from tests.client.feed.test_follow_changes import (
    WELCOME,
    Wire,
    body,
    client_of,
    running_wire,
    texts_until,
    until_closed,
)
from tests.http.api import until


@pytest.fixture
async def wires() -> AsyncIterator[tuple[Wire, Wire]]:
    """The server that a client is given, and another one that it names; both welcome everybody and tell their name."""
    async with running_wire() as own, running_wire() as other:
        own.names = address(other)
        own.talk, other.talk = telling("own"), telling("other")
        own.pages = other.pages = [body("5.h")]
        yield own, other


def address(wire: Wire) -> str:
    return f"{origin(wire).replace('http', 'ws')}/v1/ws"


def origin(wire: Wire) -> str:
    return wire.url.rstrip("/")


def telling(name: str, code: int | None = None):  # type: ignore[no-untyped-def]
    async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
        await socket.send_json(WELCOME)
        await socket.send_json({"t": "delta", "prev": None, "token": "6.h"} | body("6.h", name, is_delta=False))
        if code is None:
            await until_closed(wire, socket)
        else:
            await socket.close(code=code)

    return talk


async def closing(wire: Wire, socket: web.WebSocketResponse) -> None:
    """Hears the hello and welcomes nobody."""
    await socket.close(code=4403)


async def test_where_its_origin_is_trusted_the_socket_is_there_and_its_token(wires: tuple[Wire, Wire]) -> None:
    own, other = wires
    async with client_of(own, servers=[origin(other)]) as client:
        assert await texts_until(client.follow_changes("5.h"), "other") == ["other"]
    assert (own.asked, own.sockets, other.sockets) == (1, 0, 1)
    assert other.heard[0]["token"] == "access"


async def test_without_a_list_nobody_is_asked(wires: tuple[Wire, Wire]) -> None:
    own, other = wires
    async with client_of(own) as client:
        assert await texts_until(client.follow_changes("5.h"), "own") == ["own"]
    assert (own.asked, other.sockets) == (0, 0)


async def test_another_origin_than_those_of_the_list_never_sees_the_token(wires: tuple[Wire, Wire]) -> None:
    own, other = wires
    async with client_of(own, servers=["https://*.example.com", "http://127.0.0.1:1"]) as client:
        assert await texts_until(client.follow_changes("5.h"), "own") == ["own"]
    assert (own.asked, other.sockets, other.heard) == (1, 0, [])


@pytest.mark.parametrize("names", ["", "rubbish"])
async def test_a_server_that_names_none_is_the_one(wires: tuple[Wire, Wire], names: str) -> None:
    own, other = wires
    own.names = names
    async with client_of(own, servers=[origin(other)]) as client:
        assert await texts_until(client.follow_changes("5.h"), "own") == ["own"]


async def test_one_that_does_not_answer_is_not_waited_for(
    wires: tuple[Wire, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = wires
    monkeypatch.setattr("rowbox.client.following.feed.ASK_S", 0.05)
    own.tells.clear()
    async with client_of(own, servers=[origin(other)]) as client:
        assert await texts_until(client.follow_changes("5.h"), "own") == ["own"]
    assert (own.asked, other.sockets) == (1, 0)
    own.tells.set()


async def test_after_one_that_is_not_there_or_welcomes_nobody_it_is_the_own_one(wires: tuple[Wire, Wire]) -> None:
    own, other = wires
    other.talk = closing
    async with client_of(own, servers=[origin(other)]) as client:
        follow = client.follow_changes("5.h")
        assert await texts_until(follow, "own") == ["own"]
        assert (own.asked, own.sockets, other.sockets) == (1, 1, 1)
    own.names = "ws://127.0.0.1:1/v1/ws"
    async with client_of(own, servers=["http://127.0.0.1:1"]) as client:
        assert await texts_until(client.follow_changes("5.h"), "own") == ["own"]


async def test_when_a_socket_there_ends_it_asks_anew(wires: tuple[Wire, Wire]) -> None:
    """The mailbox has moved."""
    own, other = wires
    async with running_wire() as third:
        third.talk, third.pages = telling("third"), other.pages
        other.talk = telling("other", 1012)
        async with client_of(own, servers=[origin(other), origin(third)]) as client:
            follow = client.follow_changes("5.h")
            assert await texts_until(follow, "other") == ["other"]
            own.names = address(third)
            await until(lambda: third.sockets == 1)
    assert (own.asked, own.sockets, other.sockets) == (2, 0, 1)


async def test_what_a_server_that_welcomed_says_at_its_end_counts(wires: tuple[Wire, Wire]) -> None:
    own, other = wires
    other.talk = telling("other", 4403)
    async with client_of(own, servers=[origin(other)]) as client:
        follow = client.follow_changes("5.h")
        assert await texts_until(follow, "other") == ["other"]
        with pytest.raises(AccessDenied):
            await anext(follow)
