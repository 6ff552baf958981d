"""Presence over a socket: `ping` with `active`, `watch`, and the frames that come of it."""

import asyncio
from typing import Any

import msgspec
import pytest

from rowbox.cacheserver.port import SIGNED_OUT, Lost
from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.settings.config import AuthSettings
from tests.http.api import SETTINGS, Api, serving, until
from tests.http.sockets.feed_port import FeedPort
from tests.http.sockets.talk import Talk, opened

ONLINE = {"online": True, "lastSeen": None}


async def presence(talk: Talk) -> Any:
    return (await talk.hears("presence"))["users"]


async def test_who_looks_at_the_page_is_online_for_who_watches(served: Api, feed: FeedPort) -> None:
    async with opened(served, "bob") as bob, opened(served) as alice:
        await alice.say(t="watch", users=["bob", "carol", "bob"])
        assert await presence(alice) == {"bob": None, "carol": None}
        await bob.say(t="ping")
        await bob.hears("pong")
        assert not served.presence.beats._active_s
        await bob.say(t="ping", active=True)
        await bob.hears("pong")
        served.presence.beats.loop.wake()
        await until(lambda: served.presence.beats.beats > 0)
        served.presence.watches.loop.wake()
        assert await presence(alice) == {"bob": ONLINE}


async def test_a_watch_is_asked_of_the_owner_and_replaced(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        await talk.say(t="watch", users=["bob"])
        assert await presence(talk) == {"bob": None}
        asked = feed.calls[-1]
        assert (asked.user_id, asked.users, asked.bearer.user_id) == ("alice", ("bob",), "alice")
        await talk.say(t="watch", users=["carol"])
        assert await presence(talk) == {"carol": None}
        await talk.say(t="watch", users=[])
        await until(lambda: not served.presence.watches._watches)


async def test_nothing_is_watched_behind_the_end_of_a_connection(served: Api, feed: FeedPort) -> None:
    async with opened(served) as talk:
        await talk.say(t="watch", users=["bob"])
        await presence(talk)
        assert len(served.presence.watches._watches) == 1
    await until(lambda: not served.presence.watches._watches)


async def test_one_question_at_a_time_and_the_newest_behind_it(served: Api, feed: FeedPort) -> None:
    asked: list[tuple[str, ...]] = []
    go_on = asyncio.Event()
    terms = feed.presence_terms

    async def slow(request: Any) -> Any:
        asked.append(request.users)
        await go_on.wait()
        return await terms(request)

    feed.presence_terms = slow  # type: ignore[method-assign]
    async with opened(served) as talk:
        await talk.say(t="watch", users=["bob"])
        await until(lambda: bool(asked))
        for user in ("carol", "dan", "eve"):
            await talk.say(t="watch", users=[user])
        await talk.say(t="ping")
        await talk.hears("pong")
        assert asked == [("bob",)]
        go_on.set()
        assert await presence(talk) == {"bob": None}
        assert await presence(talk) == {"eve": None}
        assert asked == [("bob",), ("eve",)]


async def test_an_owner_that_does_not_answer_ends_nothing(served: Api, feed: FeedPort) -> None:
    feed.error = HandoverInProgress("later")
    async with opened(served) as talk:
        feed.error = HandoverInProgress("later")
        await talk.say(t="watch", users=["bob"])
        await until(lambda: len(served.presence.watches._watches) == 1)
        feed.error = None
        await talk.say(t="watch", users=["bob"])
        assert await presence(talk) == {"bob": None}


async def test_a_watch_that_fails_as_nobody_expected_keeps_no_later_one_from_being_asked(
    served: Api, feed: FeedPort, caplog: pytest.LogCaptureFixture
) -> None:
    terms, failed = feed.presence_terms, asyncio.Event()

    async def broken(request: Any) -> Any:
        failed.set()
        raise ZeroDivisionError(request)

    async with opened(served) as talk:
        feed.presence_terms = broken  # type: ignore[method-assign]
        await talk.say(t="watch", users=["bob"])
        await failed.wait()
        feed.presence_terms = terms  # type: ignore[method-assign]
        await talk.say(t="ping")
        await talk.hears("pong")
        await talk.say(t="watch", users=["bob"])
        assert await presence(talk) == {"bob": None}
    assert "a watch of a socket failed" in caplog.text


async def test_a_device_that_is_signed_out_leaves_nothing_to_be_written(served: Api, feed: FeedPort) -> None:
    async with opened(served, "bob") as bob:
        await bob.say(t="ping", active=True)
        await bob.hears("pong")
        assert "bob" in served.presence.beats._active_s
        feed.lose(Lost(SIGNED_OUT))
        assert (await bob.ends())[0] == 4410
    await until(lambda: not served.presence.beats._active_s)


async def test_what_is_no_watch_ends_the_session(served: Api, feed: FeedPort) -> None:
    for users in ([""], ["a b"], "bob", None, [f"u{number}" for number in range(201)], [5]):
        async with opened(served) as talk:
            await talk.say(t="watch", users=users)
            assert (await talk.ends())[0] == 4400
    async with opened(served) as talk:
        await talk.say(t="watch", users=[f"u{number}" for number in range(200)])
        assert len(await presence(talk)) == 200


async def test_users_are_told_by_the_names_by_which_they_are_watched(feed: FeedPort) -> None:
    settings = msgspec.structs.replace(SETTINGS, auth=AuthSettings(escape_user_ids=True))
    async with serving(feed, settings) as served, opened(served) as alice:
        await alice.say(t="watch", users=["auth0|bob", "auth0@@7Cbob", "carol"])
        assert await presence(alice) == {"auth0|bob": None, "auth0@@7Cbob": None, "carol": None}
        assert feed.calls[-1].users == ("auth0@@7Cbob", "carol")
        await alice.say(t="watch", users=["ü" * 60])  # six characters each
        assert (await alice.ends())[0] == 4400
