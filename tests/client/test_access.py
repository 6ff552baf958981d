"""The access token: given, renewed once for all who were refused, refused for good; and a source of it that fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from rowbox.client import NO_TOKEN, AccessDenied, Message, OutcomeUnknown, Refused
from rowbox.client.calls.access import AccessToken
from tests.client.scripted_server import Answer, Asked, ScriptedServer, Time, client_of, delta, problem, sent

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
        return "at-last"

    async with client_of(server, time, source) as client:
        await client.send("bob", "hello")
    assert [asked.token for asked in server.asked] == ["at-last"]


async def test_a_source_that_is_never_reached_leaves_the_id(server: ScriptedServer, time: Time) -> None:
    async def source() -> str:
        raise TimeoutError

    async with client_of(server, time, source) as client:
        with pytest.raises(OutcomeUnknown, match="TimeoutError") as raised:
            await client.send("bob", "hello", client_message_id="mine")
    assert raised.value.client_message_id == "mine"


OUTAGES: tuple[Exception, ...] = (
    ConnectionRefusedError(),
    TimeoutError(),
    aiohttp.ServerDisconnectedError(),
    OSError("no route to host"),
    RuntimeError("the sign-in service says 503"),
    ValueError("its answer is a page of HTML"),
    KeyError("access_token"),
    LookupError(),
    ExceptionGroup("both", [OSError(), ValueError()]),
    OutcomeUnknown("another server of ours", code="no_answer"),
)
MISTAKES: tuple[Exception, ...] = (
    TypeError("'NoneType' object is not callable"),
    AttributeError("no such method"),
    NameError("not defined"),
    UnboundLocalError("used before it is there"),
    AssertionError(),
    ModuleNotFoundError("no such library"),
    NotImplementedError(),
    SyntaxError(),
    ExceptionGroup("one of them", [OSError(), ExceptionGroup("within", [TypeError()])]),
)


def failing_once(error: Exception) -> Callable[[], Awaitable[str]]:
    failures = [error]

    async def source() -> str:
        await asyncio.sleep(0)
        if failures:
            raise failures.pop()
        return "a-token"

    return source


@pytest.mark.parametrize("error", OUTAGES, ids=repr)
async def test_a_source_that_fails_once_is_an_outage(server: ScriptedServer, time: Time, error: Exception) -> None:
    server.will(sent(), delta(10, token=10))
    async with client_of(server, time, failing_once(error)) as client:
        await client.send("bob", "hello")
    async with client_of(server, time, failing_once(error)) as client:
        assert isinstance(await anext(client.follow("t9")), Message)
    assert {asked.token for asked in server.asked} == {"a-token"}


@pytest.mark.parametrize("error", MISTAKES, ids=repr)
async def test_a_mistake_in_a_source_is_told_at_once(server: ScriptedServer, time: Time, error: Exception) -> None:
    async with client_of(server, time, failing_once(error)) as client:
        with pytest.raises(type(error)):
            await client.send("bob", "hello")
    async with client_of(server, time, failing_once(error)) as client:
        with pytest.raises(type(error)):
            await anext(client.follow("t9"))
    assert (server.asked, time.pauses) == ([], [])


async def test_a_follower_waits_for_a_source_as_long_as_that_takes(server: ScriptedServer, time: Time) -> None:
    failures = 100
    server.will(delta(10, token=10))

    async def source() -> str:
        nonlocal failures
        failures -= 1
        if failures:
            raise RuntimeError("the sign-in service is away")
        return "a-token"

    async with client_of(server, time, source) as client:
        assert isinstance(await anext(client.follow("t9")), Message)
    assert time.now_s > 500


async def test_a_source_may_say_that_there_is_no_token_any_more(server: ScriptedServer, time: Time) -> None:
    async def source() -> str:
        raise AccessDenied("signed out", code="signed_out")

    async with client_of(server, time, source) as client:
        with pytest.raises(AccessDenied, match="signed out"):
            await anext(client.follow("t9"))


async def test_a_source_need_not_be_asynchronous(server: ScriptedServer, time: Time) -> None:
    server.will(sent())
    async with client_of(server, time, lambda: "a-token") as client:
        await client.send("bob", "hello")
    assert server.asked[0].token == "a-token"


async def test_a_source_has_a_time() -> None:
    hangs = AccessToken(asyncio.Event().wait, 0.01)  # type: ignore[arg-type] # it never gives what it should
    async with asyncio.timeout(5):
        answers = await asyncio.gather(hangs.get(), hangs.get(), return_exceptions=True)
    for answer in answers:
        assert isinstance(answer, OutcomeUnknown)
        assert (answer.code, str(answer)) == (NO_TOKEN, "no access token within 0.01 s")


async def test_a_refusal_after_a_source_failed_is_a_refusal(server: ScriptedServer, time: Time) -> None:
    """Nothing was asked before, so nothing can have been written."""
    server.will(problem(422, "client_message_id_reused"))
    async with client_of(server, time, failing_once(OSError())) as client:
        with pytest.raises(Refused):
            await client.send("bob", "hello")


BAD_TOKENS: tuple[tuple[object, type[Exception], str], ...] = (
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWI\u2026", ValueError, r"U\+2026 as character 29 of 29"),
    ("one.two.three\n", ValueError, r"U\+000A as character 14 of 14"),
    ("one\r\nHost: elsewhere", ValueError, r"U\+000D as character 4"),
    ("Bearer one.two.three", ValueError, r"U\+0020 as character 7"),
    ("\N{NO-BREAK SPACE}one", ValueError, r"U\+00A0"),
    ("", ValueError, "empty"),
    (None, TypeError, "not NoneType"),
    (b"one.two.three", TypeError, "not bytes"),
)


@pytest.mark.parametrize(("token", "kind", "text"), BAD_TOKENS)
async def test_what_is_no_token_is_a_fault(
    server: ScriptedServer, time: Time, token: Any, kind: type[Exception], text: str
) -> None:
    """Told where the client is made, or at the first call where a function gives it. The error does not hold it."""
    with pytest.raises(kind, match=text) as raised:
        client_of(server, time, token)
    assert "three" not in str(raised.value)
    async with client_of(server, time, lambda: token) as client:
        with pytest.raises(kind, match=text):
            await client.send("bob", "hello")
        with pytest.raises(kind, match=text):
            await anext(client.follow("t9"))
    assert server.asked == []
