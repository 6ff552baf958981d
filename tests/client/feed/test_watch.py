"""A client watches users and says that somebody looks, over a server in process and the real owner."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web

from rowbox.client import Client, Presence
from tests.client.feed.test_follow_changes import (
    WELCOME,
    Wire,
    body,
    client_for,
    client_of,
    running_wire,
    until_closed,
)
from tests.http.api import Api, until

DEADLINE_S = 30
ONLINE = Presence(online=True)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with running_wire() as wire:
        yield wire


class Told:
    """What a program was told of the users whom it watches."""

    def __init__(self) -> None:
        self.seen: dict[str, Presence | None] = {}

    def __call__(self, users: Mapping[str, Presence | None]) -> None:
        self.seen |= users

    async def is_(self, api: Api, *looking: Client, **seen: Presence | None) -> None:
        """Returns once it is so, while these clients are looked at. No round of the server's is waited for."""
        async with asyncio.timeout(DEADLINE_S):
            while self.seen != seen:
                for client in looking:
                    client.active()
                api.presence.beats.loop.wake()
                api.presence.watches.loop.wake()
                await asyncio.sleep(0.005)


async def test_who_is_looked_at_is_online_for_who_watches(rowbox: Api) -> None:
    told = Told()
    async with client_for(rowbox, "alice") as alice, client_for(rowbox, "bob") as bob:
        await alice.send("bob", "hello")
        bob.active()  # nothing is open yet, and nothing comes of it
        alice.watch(["bob"])
        with pytest.raises(ValueError, match="200 users"):
            alice.watch([f"u{number}" for number in range(201)])
        async with alice.follow_changes(on_presence=told) as hers, bob.follow_changes() as his:
            await anext(hers)
            await anext(his)
            await told.is_(rowbox, bob=None)
            await told.is_(rowbox, bob, bob=ONLINE)
            alice.watch(["carol", "bob"])
            await told.is_(rowbox, bob=ONLINE, carol=None)
            alice.watch([])
    assert not rowbox.presence.watches._watches


async def test_another_socket_watches_as_the_one_before_it(wire: Wire) -> None:
    told = Told()
    over = asyncio.Event()

    async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
        await socket.send_json(WELCOME)
        await socket.send_json({"t": "delta", "prev": None, "token": f"{wire.sockets}.h"} | body("5.h", is_delta=False))
        while (frame := await socket.receive_json())["t"] != "watch":
            pass
        wire.heard.append(frame)
        if wire.sockets == 1:
            return  # and the socket ends
        await socket.send_json({"t": "presence", "users": {"bob": {"online": False, "lastSeen": 7}, "carol": None}})
        await over.wait()

    wire.talk = talk
    async with client_of(wire) as alice, alice.follow_changes(on_presence=told) as follow:
        alice.watch(["bob"])
        for _ in range(2):
            await anext(follow)
        await until(lambda: bool(told.seen))
        over.set()
    assert [frame["users"] for frame in wire.heard if frame["t"] == "watch"] == [["bob"]] * 2
    assert told.seen == {"bob": Presence(online=False, last_seen=7)}


async def test_presence_that_is_none_breaks_the_connection(wire: Wire) -> None:
    async def talk(wire: Wire, socket: web.WebSocketResponse) -> None:
        await socket.send_json(WELCOME)
        if wire.sockets == 1:
            await socket.send_json({"t": "presence", "users": {"bob": "online"}})
            await socket.receive()
        else:
            await socket.send_json({"t": "delta", "prev": None, "token": "5.h"} | body("5.h", is_delta=False))
            await until_closed(wire, socket)

    wire.talk = talk
    async with client_of(wire) as alice, alice.follow_changes() as follow:
        await anext(follow)
    assert wire.sockets == 2
