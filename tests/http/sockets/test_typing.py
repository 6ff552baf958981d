"""Who types, over a socket: `view`, `typing`, and the frames that come of it."""

import asyncio
import math
from typing import Any

import pytest

from rowbox.cacheserver.port import FetchGroup, GroupShown
from rowbox.mailbox.errors import NotAMember
from rowbox.mailbox.ids import direct_conversation_id
from tests.http.api import Api, until
from tests.http.sockets.feed_port import FeedPort
from tests.http.sockets.talk import Talk, opened

GROUP = "ab" * 16
DIRECT = direct_conversation_id("alice", "bob").hex()


def views(served: Api) -> int:
    """How many connections are told who types."""
    return sum(map(len, served.presence.views._by_conversation.values()))


async def types(talk: Talk) -> None:
    await talk.say(t="typing")
    await talk.say(t="ping")
    await talk.hears("pong")


async def test_who_shows_the_conversation_is_told_who_types_there(served: Api, feed: FeedPort) -> None:
    feed.sees |= {"alice": True, "bob": True}
    async with opened(served, "bob") as bob, opened(served) as alice, opened(served, "carol") as carol:
        await bob.say(t="view", recipientId="alice")
        await alice.say(t="view", recipientId="bob")
        await carol.say(t="view", conversationId=GROUP)
        await until(lambda: views(served) == 3)
        await types(alice)
        assert await bob.hears("typing") == {
            "t": "typing",
            "conversationId": DIRECT,
            "userId": "alice",
            "untilMs": 6000,
        }
        await alice.say(t="view", conversationId=GROUP)
        await until(lambda: any(isinstance(call, FetchGroup) and call.user_id == "alice" for call in feed.calls))
        await until(lambda: views(served) == 3)
        await carol.say(t="typing")
        heard = await alice.hears("typing")
        assert (heard["conversationId"], heard["userId"]) == (GROUP, "carol")
        assert served.presence.views.told == 2
        await alice.say(t="view")
        await until(lambda: views(served) == 2)
    await until(lambda: views(served) == 0)


async def test_who_may_not_see_it_is_told_nothing_and_seen_by_nobody(served: Api, feed: FeedPort) -> None:
    feed.sees |= {"alice": True, "bob": False}  # one of the two blocks the other, or hides
    async with opened(served, "bob") as bob, opened(served) as alice:
        await bob.say(t="view", recipientId="alice")
        await alice.say(t="view", recipientId="bob")
        await until(lambda: len(served.presence.views._views) == 2 and views(served) == 1)
        await types(bob)
        await types(alice)
        assert (served.presence.views.said, served.presence.views.told) == (1, 0)


async def test_who_is_out_of_a_group_is_told_nothing_from_that_moment_on(served: Api, feed: FeedPort) -> None:
    is_in = True

    async def fetch_group(request: FetchGroup) -> GroupShown:
        if not is_in:
            raise NotAMember("not a member")
        return await FeedPort.fetch_group(feed, request)

    feed.fetch_group = fetch_group  # type: ignore[method-assign]
    async with opened(served) as alice, opened(served, "bob") as bob:
        for talk in (alice, bob):
            await talk.say(t="view", conversationId=GROUP)
        await until(lambda: views(served) == 2)
        feed.commit(b'{"membership":"in"}')  # of whatever group: he is in it
        assert views(served) == 2
        feed.commit(at_hand=False)  # whatever it is: it is asked again
        await until(lambda: views(served) < 2)
        served.presence.views.loop.wake()
        await until(lambda: views(served) == 2)
        is_in = False
        feed.commit(b'{"membership":"left"}')
        await until(lambda: views(served) == 0)
        await types(bob)
        served.presence.views.loop.wake()
        await until(lambda: not any(view.due_s < asyncio.get_running_loop().time() for view in _all(served)))
        assert (views(served), served.presence.views.told) == (0, 0)


async def test_who_may_be_out_while_that_is_asked_is_asked_about_once_more(served: Api, feed: FeedPort) -> None:
    go_on, asked, is_in = asyncio.Event(), 0, True

    async def fetch_group(request: FetchGroup) -> GroupShown:
        nonlocal asked
        asked += 1
        is_member = is_in
        await go_on.wait()
        if not is_member:
            raise NotAMember("not a member")
        return await FeedPort.fetch_group(feed, request)

    feed.fetch_group = fetch_group  # type: ignore[method-assign]
    async with opened(served) as alice:
        await alice.say(t="view", conversationId=GROUP)
        await until(lambda: asked == 1)
        feed.commit(at_hand=False)
        served.presence.views.loop.wake()  # who asks now is told to ask again, which he does not while he asks
        await until(lambda: all(math.isinf(view.due_s) for view in _all(served)))
        go_on.set()
        await until(lambda: any(not math.isinf(view.due_s) for view in _all(served)))
        assert views(served) == 0
        served.presence.views.loop.wake()
        await until(lambda: views(served) == 1)
        assert asked == 2


def _all(served: Api) -> list[Any]:
    return list(served.presence.views._views.values())


async def test_a_view_that_fails_as_nobody_expected_keeps_no_later_one_from_being_asked(
    served: Api, feed: FeedPort, caplog: pytest.LogCaptureFixture
) -> None:
    terms, failed = feed.presence_terms, asyncio.Event()

    async def broken(request: Any) -> Any:
        failed.set()
        raise ZeroDivisionError(request)

    async with opened(served) as talk:
        feed.presence_terms = broken  # type: ignore[method-assign]
        await talk.say(t="view", recipientId="bob")
        await failed.wait()
        feed.presence_terms = terms  # type: ignore[method-assign]
        feed.sees["bob"] = True
        await talk.say(t="ping")
        await talk.hears("pong")
        await talk.say(t="view", recipientId="bob")
        await until(lambda: views(served) == 1)
    assert "a view of a socket failed" in caplog.text
