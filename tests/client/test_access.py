"""The access token: given, renewed once for all who were refused, and refused for good."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from rowbox.client import AccessDenied, OutcomeUnknown
from tests.client.scripted_server import Answer, Asked, ScriptedServer, Time, client_of, problem, sent

EXPIRED = problem(401, "unauthenticated")


def source_of(*tokens: str) -> Callable[[], Awaitable[str]]:
    """Gives these, one after the other; asked once more it fails the test."""
    given: Iterator[str] = iter(tokens)

    async def source() -> str:
        await asyncio.sleep(0)
        return next(given)

    return source


async def test_a_source_is_asked_once(server: ScriptedServer, time: Time) -> None:
    server.otherwise = sent()
    async with client_of(server, time, source_of("one")) as client:
        await asyncio.gather(*(client.send(user, "hello") for user in ("bob", "cleo", "dan")))
        await client.send("bob", "hello")
    assert {asked.token for asked in server.asked} == {"one"}


async def test_an_expired_token_is_renewed_once_for_all_who_were_refused(server: ScriptedServer, time: Time) -> None:
    everybody = asyncio.Barrier(3)

    async def answer(asked: Asked) -> Answer:
        if asked.token == "old":
            await everybody.wait()  # all three are refused before any renews
            return EXPIRED
        return sent()

    server.otherwise = answer
    async with client_of(server, time, source_of("old", "new")) as client:
        await asyncio.gather(*(client.send(user, "hello") for user in ("bob", "cleo", "dan")))
    assert sorted(asked.token for asked in server.asked) == ["new"] * 3 + ["old"] * 3


async def test_a_renewed_token_that_is_refused_as_well_ends_it(server: ScriptedServer, time: Time) -> None:
    server.otherwise = EXPIRED
    async with client_of(server, time, source_of("old", "new")) as client:
        with pytest.raises(AccessDenied):
            await client.send("bob", "hello")
    assert [asked.token for asked in server.asked] == ["old", "new"]


@pytest.mark.parametrize("source", ["old", source_of("old", "old")])
async def test_the_same_token_is_not_tried_twice(
    server: ScriptedServer, time: Time, source: str | Callable[[], Awaitable[str]]
) -> None:
    server.otherwise = EXPIRED
    async with client_of(server, time, source) as client:
        with pytest.raises(AccessDenied):
            await client.send("bob", "hello")
    assert len(server.asked) == 1


async def test_a_source_that_cannot_be_reached_is_asked_again(server: ScriptedServer, time: Time) -> None:
    server.otherwise = sent()
    tries = 0

    async def source() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError
        return "at last"

    async with client_of(server, time, source) as client:
        await client.send("bob", "hello")
    assert [asked.token for asked in server.asked] == ["at last"]


async def test_a_source_that_is_never_reached_leaves_the_id(server: ScriptedServer, time: Time) -> None:
    async def source() -> str:
        raise TimeoutError

    async with client_of(server, time, source) as client:
        with pytest.raises(OutcomeUnknown, match="TimeoutError") as raised:
            await client.send("bob", "hello", client_message_id="mine")
    assert raised.value.client_message_id == "mine"


async def test_what_else_a_source_raises_reaches_the_caller(server: ScriptedServer, time: Time) -> None:
    async def source() -> str:
        raise KeyError("a mistake of the caller's")

    async with client_of(server, time, source) as client:
        with pytest.raises(KeyError):
            await client.send("bob", "hello")
        with pytest.raises(KeyError):
            await anext(client.follow())
