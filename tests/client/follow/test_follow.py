"""Following: every message once and in order, whatever the server answers or fails to."""

import asyncio
from collections.abc import Sequence

import pytest

from rowbox.client import AccessDenied, Change, Client, Connection, Follow, NewMessage, OutcomeUnknown, Refused, Reset
from tests.client.scripted_server import (
    HANG_UP,
    PAUSES,
    Answer,
    Asked,
    ScriptedServer,
    Step,
    Time,
    delta,
    full,
    problem,
)
from tests.http.api import until


async def take(follow: Follow, count: int) -> list[Change]:
    return [await anext(follow) for _ in range(count)]


def versions(changes: Sequence[Change]) -> list[int]:
    return [change.last_updated_timestamp for change in changes if isinstance(change, NewMessage)]


def since(server: ScriptedServer) -> list[str | None]:
    """The tokens that the server was asked with."""
    return [asked.query.get("lastUpdatedTimestamp") for asked in server.asked]


def held(time: Time, answer: Answer, seconds: float = 30.0) -> Step:
    """An answer that came after that time."""

    async def step(asked: Asked) -> Answer:
        time.now_s += seconds
        return answer

    return step


async def test_without_a_token_it_begins_with_the_newest_page(server: ScriptedServer, client: Client) -> None:
    server.will(full(9, 8, token=9, hasMore=True, nextCursor="older"), delta(10, token=10))
    reset, message = await take(client.follow(), 2)
    assert isinstance(reset, Reset)
    assert (reset.token, reset.reason, reset.next_cursor) == ("t9", None, "older")
    assert [message.message_content for message in reset.messages] == ["text 9", "text 8"]
    assert isinstance(message, NewMessage)
    assert (message.message_content, message.token) == ("text 10", "t10")
    assert since(server) == [None, "t9"]


async def test_what_it_asks(server: ScriptedServer, client: Client) -> None:
    """At once to begin with, and after an outage: until then nobody knows whether the server is there."""
    server.will(delta(10, token=10), delta(11, token=11), problem(503, "overloaded"), delta(12, token=12))
    server.otherwise = delta(13, token=13)
    await take(client.follow("t9", "c1", wait_s=55), 4)
    assert {asked.path for asked in server.asked} == {"/v1/fetchMessages"}
    assert server.asked[0].query == {"lastUpdatedTimestamp": "t9", "conversationId": "c1"}
    assert server.asked[1].query == {"lastUpdatedTimestamp": "t10", "conversationId": "c1", "wait": "55"}
    assert [asked.query.get("wait") for asked in server.asked] == [None, "55", "55", None, "55"]


async def test_who_wants_to_know_is_told_of_an_outage_and_of_its_end(server: ScriptedServer, client: Client) -> None:
    server.will(delta(10, token=10), *[problem(503, "overloaded")] * 2, delta(11, token=11), delta(12, token=12))
    told: list[Connection] = []
    await take(client.follow("t9", on_connection=told.append), 3)
    assert [connection.is_connected for connection in told] == [True, False, False, True]
    assert [connection.retry_in_s for connection in told] == [0.0, 1.0, 2.0, 0.0]
    assert isinstance(told[1].error, OutcomeUnknown)


async def test_what_a_listener_raises_ends_it_and_loses_nothing(server: ScriptedServer, client: Client) -> None:
    def broken(_: Connection) -> None:
        raise KeyError("a mistake of the program's")

    server.otherwise = delta(10, token=10)
    follow = client.follow("t9", on_connection=broken)
    with pytest.raises(KeyError):
        await anext(follow)
    assert versions(await take(follow, 1)) == [10]


@pytest.mark.parametrize("wait_s", [0, 56])
def test_a_wait_that_the_server_would_change_is_refused(client: Client, wait_s: int) -> None:
    with pytest.raises(ValueError, match="1 to 55"):
        client.follow(wait_s=wait_s)


async def test_pages_of_one_delta_are_asked_for_at_once(server: ScriptedServer, client: Client, time: Time) -> None:
    server.will(
        delta(11, 12, token=12, hasMore=True),
        delta(token=14, hasMore=True),  # much happened that was no message
        delta(15, token=15),
    )
    assert versions(await take(client.follow("t10"), 3)) == [11, 12, 15]
    assert (since(server), time.pauses) == (["t10", "t12", "t14"], [])


async def test_messages_are_given_in_the_order_in_which_they_came(server: ScriptedServer, client: Client) -> None:
    """Whoever saves the token of one has seen everything before it, in whichever order a server writes a page."""
    server.will(delta(13, 11, 12, token=13))
    assert versions(await take(client.follow("t10"), 3)) == [11, 12, 13]


async def test_from_a_token_within_an_answer_the_rest_of_it_comes(server: ScriptedServer, client: Client) -> None:
    answer = delta(10, 11, 12, token=15)
    server.will(full(9, token=9), answer, delta(16, token=16))
    _, *messages = await take(client.follow(), 5)
    assert [message.token for message in messages] == ["t9~10", "t9~11", "t15", "t16"]
    server.will(answer, answer)
    assert versions(await take(client.follow("t9~10"), 2)) == [11, 12]
    assert versions(await take(client.follow("t9~11"), 1)) == [12]
    assert since(server)[-2:] == ["t9", "t9"]


async def test_a_reset_shows_everything_also_what_was_seen_within_an_answer(
    server: ScriptedServer, client: Client
) -> None:
    """After the store was put back versions are given again: what one has seen of them says nothing."""
    server.will(full(5, token=5, resetReason="restored"), delta(6, token=6))
    reset, message = await take(client.follow("t9~10"), 2)
    assert isinstance(reset, Reset)
    assert (reset.reason, len(reset.messages)) == ("restored", 1)
    assert versions([message]) == [6]


def test_what_is_no_token_of_a_change_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="no token"):
        client.follow("t9~x")


async def test_the_token_moves_with_what_was_given(server: ScriptedServer, client: Client, time: Time) -> None:
    server.will(delta(11, 12, token=15), held(time, delta(token=17)), delta(18, token=18))
    follow = client.follow("t10")
    tokens = [follow.token]
    for _ in range(3):
        await anext(follow)
        tokens.append(follow.token)
    assert tokens == ["t10", "t10~11", "t15", "t18"]
    assert since(server) == ["t10", "t15", "t17"]


async def test_a_poll_that_ends_with_nothing_is_followed_by_the_next(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    server.will(held(time, delta(token=10)), held(time, delta(token=10)), delta(11, token=11))
    assert versions(await take(client.follow("t10"), 1)) == [11]
    assert time.pauses == []


async def test_a_poll_that_ends_at_once_with_nothing_makes_it_slower(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    """A ninth poll of a user ends the oldest: without pauses nine clients would end one another's for ever."""
    server.will(delta(token=10))
    server.will(*[delta(token=10)] * 3, held(time, delta(token=10)), delta(token=10), delta(11, token=11))
    await take(client.follow("t10"), 1)
    assert time.pauses == [1.0, 2.0, 4.0, 1.0]


async def test_a_token_that_is_not_served_gives_a_page_to_start_from(server: ScriptedServer, client: Client) -> None:
    server.will(
        full(90, 89, token=90, resetReason="expired", hasMore=True, nextCursor="older"),
        delta(91, token=91),
    )
    reset, message = await take(client.follow("t10"), 2)
    assert isinstance(reset, Reset)
    assert (reset.reason, reset.token, len(reset.messages)) == ("expired", "t90", 2)
    assert (message.token, since(server)) == ("t91", ["t10", "t90"])


async def test_a_reason_of_a_newer_server_is_passed_on(server: ScriptedServer, client: Client) -> None:
    server.will(full(token=90, resetReason="moved", more="than we know"))
    (reset,) = await take(client.follow("t10"), 1)
    assert isinstance(reset, Reset)
    assert reset.reason == "moved"


async def test_a_server_that_stops_says_when_to_come_back(server: ScriptedServer, client: Client, time: Time) -> None:
    """What it still had is given first."""
    server.will(delta(11, token=11, retryAfterMs=2500), delta(12, token=12))
    follow = client.follow("t10")
    assert versions(await take(follow, 1)) == [11]
    assert time.pauses == []
    assert versions(await take(follow, 1)) == [12]
    assert time.pauses == [2.5]


async def test_it_never_gives_up(server: ScriptedServer, client: Client, time: Time) -> None:
    away = problem(503, "handover_in_progress")
    server.will(*[HANG_UP] * 40)  # for 20 requests: aiohttp makes a GET again by itself, once
    server.will(*[away, Answer(502, b"<html>"), Answer(200, b"<html>")] * 20)
    server.will(delta(11, token=11), away, delta(12, token=12))
    assert versions(await take(client.follow("t10"), 2)) == [11, 12]
    assert time.pauses[:6] == [1.0, 2.0, 4.0, PAUSES.cap_s, PAUSES.cap_s, PAUSES.cap_s]
    assert (len(time.pauses), time.pauses[-1]) == (81, 1.0)  # after an answer the pauses begin anew
    assert set(since(server)[:-2]) == {"t10"}


async def test_it_waits_as_long_as_the_server_asks(server: ScriptedServer, client: Client, time: Time) -> None:
    server.will(problem(429, "rate_limited", retry_after_ms=700), delta(11, token=11))
    await take(client.follow("t10"), 1)
    assert time.pauses == [0.7 + 1.0]


async def test_a_proxy_that_asks_for_a_year_is_given_an_hour(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    server.will(Answer(503, b"<html>", {"Retry-After": "31536000"}), delta(11, token=11))
    await take(client.follow("t10"), 1)
    assert time.pauses == [3600.0 + 1.0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(401, "unauthenticated"), AccessDenied),
        (problem(401, "token_revoked"), AccessDenied),
        (problem(403, "forbidden"), AccessDenied),
        (problem(404, "unknown_conversation"), Refused),
        (problem(400, "bad_request"), Refused),
    ],
)
async def test_what_no_patience_cures_ends_it(
    server: ScriptedServer, client: Client, answer: Answer, kind: type[Refused]
) -> None:
    server.will(answer)
    with pytest.raises(kind):
        await anext(client.follow("t10"))


async def test_a_cancelled_wait_loses_nothing(server: ScriptedServer, client: Client) -> None:
    async def silent(asked: Asked) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    server.will(silent, delta(11, 12, token=12))
    follow = client.follow("t10")
    task = asyncio.ensure_future(anext(follow))
    await until(lambda: len(server.asked) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert versions(await take(follow, 2)) == [11, 12]
    assert since(server) == ["t10", "t10"]


async def test_an_answer_that_asks_for_less_than_nothing_is_no_reason_to_hurry(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    """A follower that believes it asks as fast as the network goes."""
    server.will(delta(10, token=10), *[delta(token=10, retryAfterMs=-5)] * 3, delta(11, token=11))
    follow = client.follow("t9")
    await anext(follow)
    await anext(follow)
    assert time.pauses == [1.0, 2.0, 4.0]
