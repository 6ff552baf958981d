"""The event stream: the same feed as the socket's, over one answer that does not end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest

from rowbox.api.http.connection import MAX_HEAD_BYTES, Connection
from rowbox.cacheserver.port import HANDED_OVER, REPLACED, REVOKED, SIGNED_OUT, Changes, FetchChanges, Lost
from rowbox.mailbox.errors import HandoverInProgress, Overloaded, StoreUnavailable
from rowbox.mailbox.settings.config import ServerSettings, SocketSettings
from tests.http.api import SETTINGS, Api, serving, until
from tests.http.api import token as access_token
from tests.http.sockets.feed_port import FeedPort, token
from tests.http.sockets.talk import opened

DEADLINE_S = 30


class Event(NamedTuple):
    """One event. `data` is its JSON."""

    name: str
    id: str | None
    data: Any


class Stream:
    """What a client reads of one stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> list[str]:
        """The lines up to the next empty one; none at the end."""
        lines: list[str] = []
        async with asyncio.timeout(DEADLINE_S):
            while line := (await self.response.content.readline()).decode():
                if line == "\n":
                    return lines
                lines.append(line.removesuffix("\n"))
        return lines

    async def hears(self, name: str = "delta") -> Event:
        """The next event, of this name."""
        fields = dict(line.split(": ", 1) for line in await self.block())
        event = Event(fields["event"], fields.get("id"), json.loads(fields["data"]))
        assert event.name == name
        return event


@asynccontextmanager
async def streamed(api: Api, query: str = "", user: str = "alice", **headers: str) -> AsyncIterator[Stream]:
    """A stream, behind its first line, which says when to come back after its end."""
    url = f"http://127.0.0.1:{api.server.port}/v1/events{query}"
    sent = {"Authorization": f"Bearer {access_token(user)}"} | {
        name.replace("_", "-"): of for name, of in headers.items()
    }
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=sent) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream"), await response.read()
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-store"
        stream = Stream(response)
        (retry,) = await stream.block()
        assert 2_000 <= int(retry.removeprefix("retry: ")) < 4_000
        yield stream


async def test_changes_come_as_events_whose_ids_are_tokens(served: Api, feed: FeedPort) -> None:
    async with streamed(served, f"?lastUpdatedTimestamp={token(10)}") as stream:
        assert (await stream.hears()).id == token(10)
        for number in range(10):
            version = feed.commit(b'{"n":%d}' % number, at_hand=number % 3 != 0)
            event = await stream.hears()
            assert (event.id, event.data["messages"]) == (token(version), [{"n": number}])


async def test_a_stream_without_a_token_begins_anew(served: Api) -> None:
    async with streamed(served) as stream:
        event = await stream.hears()
        assert (event.id, event.data["isDeltaUpdate"]) == (token(10), False)


async def test_what_was_missed_comes_first_and_the_last_event_id_wins(served: Api, feed: FeedPort) -> None:
    for _ in range(3):
        feed.commit(b'"%b"' % (b"x" * 40_000))
    async with streamed(served, f"?lastUpdatedTimestamp={token(10)}", Last_Event_ID=token(11)) as stream:
        assert [(await stream.hears()).id for _ in range(2)] == [token(12), token(13)]


async def test_the_socket_and_the_stream_say_the_same(served: Api, feed: FeedPort) -> None:
    for _ in range(30):
        feed.commit(b'"%b"' % (b"x" * 10_000))
    async with (
        opened(served, follow=token(14)) as talk,
        streamed(served, f"?lastUpdatedTimestamp={token(14)}") as stream,
    ):
        head = 0
        while head < feed.head:
            delta, event = await talk.hears("delta"), await stream.hears()
            await talk.say(t="ack", token=delta["token"])
            body = {name: value for name, value in delta.items() if name not in {"t", "prev", "token"}}
            assert (body, delta["token"]) == (event.data, event.id)
            head = int(event.id.partition(".")[0]) if event.id else 0


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?lastUpdatedTimestamp=nonsense", 400, "bad_request"),
        (f"?lastUpdatedTimestamp={'1' * 65}", 400, "bad_request"),
        ("?token=x", 400, "unknown_parameter"),
    ],
)
async def test_what_is_wrong_with_a_request_is_an_answer(served: Api, query: str, status: int, code: str) -> None:
    (await served.get(f"/v1/events{query}")).problem(status, code)
    await until(lambda: served.drain.in_flight == 0)


async def test_who_is_nobody_has_no_stream(served: Api, feed: FeedPort) -> None:
    (await served.get("/v1/events", None)).problem(401, "unauthenticated")
    feed.revoke("alice")
    (await served.get("/v1/events")).problem(401, "token_revoked")
    assert feed.followings == []


async def test_an_owner_that_does_not_answer_is_an_answer(served: Api, feed: FeedPort) -> None:
    feed.feed_error = HandoverInProgress("elsewhere", retry_after_ms=700)
    problem = (await served.get("/v1/events")).problem(503, "handover_in_progress")
    assert problem.retry_after_ms == 700
    assert len(served.connections) <= 1  # kept alive


async def test_a_head_has_no_body(served: Api) -> None:
    answer = await served.request("HEAD", "/v1/events")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")


async def test_an_owner_that_goes_away_meanwhile_is_waited_for(served: Api, feed: FeedPort) -> None:
    async with streamed(served, f"?lastUpdatedTimestamp={token(10)}") as stream:
        await stream.hears()
        feed.feed_error = StoreUnavailable("away", retry_after_ms=50)
        feed.commit(at_hand=False)
        await until(lambda: len(feed.pulls) >= 3)
        feed.feed_error = None
        assert (await stream.hears()).id == token(11)


async def test_a_revoked_token_ends_the_stream(served: Api, feed: FeedPort) -> None:
    async with streamed(served) as stream:
        await stream.hears()
        feed.revoke("alice")
        assert await stream.block() == []
    await until(lambda: served.drain.in_flight == 0)


async def test_a_sign_out_ends_the_stream_of_its_device(served: Api, feed: FeedPort) -> None:
    async with streamed(served, X_Device_Id="phone") as stream:
        await stream.hears()
        bearer = feed.followings[0].request.bearer
        assert bearer is not None
        assert bearer.device_id == "phone"
        feed.lose(Lost(SIGNED_OUT))
        assert await stream.block() == []
    feed.signed_out.add("alice")
    (await served.get("/v1/events")).problem(401, "signed_out")
    (await served.get("/v1/events", headers={"X-Device-Id": "no id"})).problem(400, "bad_request")


@pytest.mark.parametrize("reason", [HANDED_OVER, REPLACED])
async def test_a_stream_ends_where_nobody_tells_of_changes(served: Api, feed: FeedPort, reason: str) -> None:
    async with streamed(served) as stream:
        await stream.hears()
        feed.lose(Lost(reason, is_over=False))
        feed.commit()
        await stream.hears()
        feed.lose(Lost(reason))
        if reason == HANDED_OVER:
            await stream.hears("bye")
        assert await stream.block() == []


async def test_a_stream_ends_with_its_token(feed: FeedPort) -> None:
    settings = msgspec.structs.replace(SETTINGS, auth=msgspec.structs.replace(SETTINGS.auth, leeway_ms=0))
    async with serving(feed, settings) as api:
        headers = {"Authorization": f"Bearer {access_token('alice', ttl_s=1)}"}
        async with streamed(api, **headers) as stream:
            await stream.hears()
            assert await stream.block() == []


async def test_bye_when_the_server_stops(feed: FeedPort) -> None:
    async with serving(feed) as api, streamed(api) as stream:
        await stream.hears()
        api.server.drain()
        bye = await stream.hears("bye")
        assert 0 <= bye.data["retryAfterMs"] < 3_000
        assert await stream.block() == []


async def test_a_stream_that_begins_while_the_server_stops_ends_as_well(feed: FeedPort) -> None:
    feed.go_on = asyncio.Event()
    async with serving(feed) as api:
        coming = asyncio.create_task(api.get("/v1/events"))
        await until(lambda: len(feed.pulls) == 1)
        api.drain.begin()
        feed.go_on.set()
        assert b"event: bye" in (await coming).body


async def test_the_21st_connection_of_a_user_closes_the_oldest_stream(feed: FeedPort) -> None:
    settings = msgspec.structs.replace(SETTINGS, sockets=SocketSettings(max_per_user=1))
    async with serving(feed, settings) as api, streamed(api) as stream:
        await stream.hears()
        async with opened(api):
            assert await stream.block() == []


async def test_a_full_server_refuses(feed: FeedPort) -> None:
    settings = msgspec.structs.replace(SETTINGS, sockets=SocketSettings(max_per_server=1))
    async with serving(feed, settings) as api, opened(api):
        (await api.get("/v1/events")).problem(503, "overloaded")


async def test_a_client_that_reads_nothing_is_cut_and_holds_little(feed: FeedPort) -> None:
    settings = msgspec.structs.replace(SETTINGS, server=ServerSettings(port=0, admin_port=0, write_ms=600))
    async with serving(feed, settings) as api, opened(api, "bob") as other:
        _, writer = await asyncio.open_connection("127.0.0.1", api.server.port, limit=1_024)
        head = f"GET /v1/events?lastUpdatedTimestamp={token(10)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        writer.write(f"{head}{access_token('alice')}\r\n\r\n".encode())
        await until(lambda: len(feed.followings) == 2)
        most, loop = 0, asyncio.get_running_loop()
        began_s = loop.time()
        async with asyncio.timeout(DEADLINE_S):
            while len(feed.followings) == 2:
                if feed.head < 600:
                    feed.commit(b'"%b"' % (b"x" * 30_000))
                most = max(most, api.connections.held_bytes)
                await asyncio.sleep(0)
        assert loop.time() - began_s > 0.5
        assert 0 < most < 1 << 20
        await other.say(t="ping")
        await other.hears("pong")
        writer.close()


async def test_a_client_that_leaves_is_forgotten(served: Api, feed: FeedPort) -> None:
    async with streamed(served) as stream:
        await stream.hears()
    await until(lambda: served.drain.in_flight == 0)
    assert (feed.followings, len(served.connections)) == ([], 0)


async def test_a_stream_refused_by_its_owner_for_want_of_room(served: Api, feed: FeedPort) -> None:
    feed.feed_error = Overloaded("full")
    (await served.get("/v1/events")).problem(503, "overloaded")


@pytest.mark.parametrize("reason", [REVOKED, SIGNED_OUT, REPLACED, HANDED_OVER])
async def test_a_following_that_is_over_before_the_first_page_ends_the_stream(
    served: Api, feed: FeedPort, reason: str
) -> None:
    """Nobody would tell it of a change any more."""
    feed.go_on = asyncio.Event()
    reading = asyncio.ensure_future(served.get(f"/v1/events?lastUpdatedTimestamp={token(10)}", "alice"))
    await until(lambda: bool(feed.pulls))
    feed.lose(Lost(reason))
    feed.go_on.set()
    async with asyncio.timeout(DEADLINE_S):
        assert (await reading).status == 200


class CommitsBehind(FeedPort):
    """What changes while the first page is on its way, behind what it has, is told before the stream begins."""

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        changes = await super().fetch_changes(request)
        if len(self.pulls) == 1:
            self.commit()
        return changes


async def test_what_changes_behind_the_first_page_and_before_the_stream_begins_comes_next() -> None:
    feed = CommitsBehind()
    async with serving(feed) as api, streamed(api, f"?lastUpdatedTimestamp={token(10)}") as stream:
        assert [(await stream.hears()).id for _ in range(2)] == [token(10), token(11)]


async def test_requests_behind_a_stream_are_taken_in_up_to_a_bound(feed: FeedPort) -> None:
    """A client sent them without end into a connection that is never answered again."""
    async with serving(feed) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
        head = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {access_token('alice')}\r\n\r\n"
        writer.write(head.encode())
        await until(lambda: len(feed.followings) == 1)
        (connection,) = api.connections._open
        assert isinstance(connection, Connection)
        await until(lambda: connection._carried is not None)
        writer.write(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n" * 100_000)
        await until(lambda: connection._is_paused)
        assert MAX_HEAD_BYTES < api.connections.held_bytes <= 2 * MAX_HEAD_BYTES + 4_096 * 512
        taken = connection._request_count
        feed.commit()
        await asyncio.sleep(0)
        assert connection._request_count == taken < 1_000
        writer.close()
