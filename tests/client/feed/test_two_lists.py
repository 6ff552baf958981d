"""What stands in for the feed while a mailbox's owner is too old for it. Both clients are told two_lists.json."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from rowbox.client.calls.errors import CallFailed, OutcomeUnknown
from rowbox.client.following.two_lists import TwoLists
from tests.client.feed.test_follow_changes import Wire, body, client_of, running_wire
from tests.http.api import until

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("two_lists.json").read_text(encoding="utf-8"))


def answer_of(call: str, short: dict[str, Any]) -> dict[str, Any]:
    """An answer of the table as the server would give it."""
    answer: dict[str, Any] = {
        "isDeltaUpdate": short["isDelta"],
        "lastUpdatedTimestamp": short["token"],
        "hasMore": short.get("more", False),
        "nextCursor": short.get("next"),
        "resetReason": None,
    }
    if call != "fetchConversation":
        answer["messages"] = short.get("messages", [])
    if call != "fetchMessages":
        answer["conversations"] = short.get("conversations", [])
    return answer | ({"account": False} if call == "fetchChanges" else {})


def problem_of(short: Any) -> Any:
    """The problem, where an answer of the table is one."""
    problem = TABLE["old"] if short == "old" else short
    return problem if "code" in problem else None


@pytest.mark.parametrize("story", TABLE["stories"], ids=lambda story: story["story"])
async def test_a_story(story: dict[str, Any]) -> None:
    now_ms = 0.0
    expected: list[Any] = []

    async def get(call: str, query: dict[str, Any], kind: type[Any], *, wait_s: int = 0) -> Any:
        name, token, held, short = expected.pop(0)
        assert (call, query["lastUpdatedTimestamp"], wait_s) == (name, token, held)
        if (problem := problem_of(short)) is not None:
            raise OutcomeUnknown("no", code=problem["code"], status=503, retry_after_ms=problem["retryAfterMs"] or None)
        return kind(**_in_python(answer_of(call, short)))

    lists = TwoLists(get, lambda: now_ms / 1000)
    for fetch in story["fetches"]:
        now_ms, expected = fetch["at"], list(fetch["calls"])
        if "fails" in fetch:
            with pytest.raises(CallFailed) as raised:
                await lists.fetch(fetch["since"], fetch["held"])
            assert (raised.value.code, expected) == (fetch["fails"], [])
            continue
        page = await lists.fetch(fetch["since"], fetch["held"])
        found = [
            page.last_updated_timestamp,
            page.is_delta_update,
            list(page.messages),
            list(page.conversations),
            page.has_more,
            page.next_cursor,
        ]
        assert (found, expected) == (fetch["gives"], [])


def _in_python(answer: dict[str, Any]) -> dict[str, Any]:
    names = {
        "isDeltaUpdate": "is_delta_update",
        "lastUpdatedTimestamp": "last_updated_timestamp",
        "hasMore": "has_more",
        "nextCursor": "next_cursor",
        "resetReason": "reset_reason",
    }
    if "account" not in answer:
        names |= {"messages": "items", "conversations": "items"}
    return {names.get(key, key): tuple(value) if isinstance(value, list) else value for key, value in answer.items()}


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with running_wire() as wire:
        wire.handshake = lambda: web.Response(status=503)
        wire.refusal = {**TABLE["old"], "type": "/docs#peer_too_old", "title": "old", "status": 503, "retryable": True}
        wire.lists = [body("m.5", "one", is_delta=False), body("m.6", "two")]
        yield wire


async def test_a_program_has_messages_while_the_owner_is_too_old_and_goes_on_behind_that(wire: Wire) -> None:
    heard: list[bool] = []
    async with client_of(wire) as client:
        follow = client.follow_changes("5.h", on_connection=lambda connection: heard.append(connection.is_connected))
        async with aclosing(follow):
            texts = []
            for _ in range(2):
                change = await anext(follow)
                assert (change.last_updated_timestamp, change.is_delta_update) == ("5.h", True)
                texts += [message.message_content for message in change.messages]
            assert texts == ["one", "two"]
            assert heard == [True]
            assert wire.polls == 1, "not before it said so"


async def test_a_program_without_a_token_begins(wire: Wire) -> None:
    async with client_of(wire) as client:
        follow = client.follow_changes()
        async with aclosing(follow):
            first, second = await anext(follow), await anext(follow)
            assert (first.is_delta_update, first.last_updated_timestamp, first.messages) == (False, "", ())
            assert (second.is_delta_update, second.last_updated_timestamp) == (True, "")
        wire.refusal = None
        wire.pages = [body("9.h", is_delta=False)]
        again = client.follow_changes(follow.token)
        async with aclosing(again):
            assert (await anext(again)).last_updated_timestamp == "9.h", "from no token, not from an empty one"


async def test_over_a_socket_it_begins_as_well(wire: Wire) -> None:
    """From no token: an empty one would be refused."""
    async with client_of(wire) as client:
        follow = client.follow_changes()
        async with aclosing(follow):
            assert (await anext(follow)).last_updated_timestamp == ""
            wire.handshake = lambda: None
            await until(lambda: len(wire.heard) == 1)
        again = client.follow_changes("")
        waiting = asyncio.ensure_future(anext(again))
        await until(lambda: len(wire.heard) == 2)
        waiting.cancel()
        await again.aclose()
    assert [hello.get("follow", "nothing") for hello in wire.heard] == ["nothing", "nothing"]
