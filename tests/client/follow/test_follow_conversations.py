"""Following the list of conversations: over the scripted server, and over the real owner."""

import pytest

from rowbox.client import AccessDenied, Client, Connection, ConversationChange
from tests.client.scripted_server import HANG_UP, ScriptedServer, Time, conversations, problem
from tests.client.test_rowbox import client_for
from tests.http.api import Api


def ids(change: ConversationChange) -> list[str]:
    return [conversation.conversation_id for conversation in change.conversations]


async def test_it_begins_with_the_newest_page_and_then_gives_what_changed(
    server: ScriptedServer, client: Client
) -> None:
    server.will(
        conversations(9, 8, token=9, is_delta=False, nextCursor="older", hasMore=True),
        conversations(token=10, is_delta=True),  # much happened that changed none
        conversations(12, 11, token=12, is_delta=True),
    )
    follow = client.follow_conversations(wait_s=20)
    reset, change = [await anext(follow) for _ in range(2)]
    assert (reset.is_reset, reset.reason, reset.next_cursor, reset.token) == (True, None, "older", "t9")
    assert (change.is_reset, change.next_cursor, change.token, follow.token) == (False, None, "t12", "t12")
    assert (ids(reset), ids(change)) == (["c9", "c8"], ["c12", "c11"])
    assert {asked.path for asked in server.asked} == {"/v1/fetchConversation"}
    assert [asked.query for asked in server.asked] == [
        {"pageSize": "100"},
        {"pageSize": "100", "lastUpdatedTimestamp": "t9", "wait": "20"},
        {"pageSize": "100", "lastUpdatedTimestamp": "t10", "wait": "20"},
    ]


async def test_a_token_that_is_not_served_resets(server: ScriptedServer, client: Client) -> None:
    server.will(conversations(9, token=9, is_delta=False, resetReason="too_many"))
    reset = await anext(client.follow_conversations("t1"))
    assert (reset.is_reset, reset.reason, ids(reset)) == (True, "too_many", ["c9"])


async def test_a_mailbox_that_is_empty_is_a_change_to_begin_with(server: ScriptedServer, client: Client) -> None:
    server.will(conversations(token=0, is_delta=False), conversations(1, token=1, is_delta=True))
    follow = client.follow_conversations()
    assert [ids(await anext(follow)) for _ in range(2)] == [[], ["c1"]]


async def test_it_never_gives_up_and_goes_on_behind_its_token(
    server: ScriptedServer, client: Client, time: Time
) -> None:
    server.will(conversations(9, token=9, is_delta=True), *[HANG_UP, problem(503, "overloaded")] * 20)
    server.otherwise = conversations(10, token=10, is_delta=True)
    told: list[Connection] = []
    follow = client.follow_conversations("t8", on_connection=told.append)
    assert [ids(await anext(follow)) for _ in range(2)] == [["c9"], ["c10"]]
    assert [connection.is_connected for connection in told] == [True, *[False] * (len(told) - 2), True]
    assert {asked.query["lastUpdatedTimestamp"] for asked in server.asked[1:]} == {"t9"}
    assert time.pauses[:3] == [1.0, 2.0, 4.0]


async def test_a_refusal_ends_it(server: ScriptedServer, client: Client) -> None:
    server.will(problem(401, "unauthenticated"))
    with pytest.raises(AccessDenied):
        await anext(client.follow_conversations("t8"))


@pytest.mark.parametrize("wait_s", [0, 56])
def test_a_wait_that_the_server_would_change_is_refused(client: Client, wait_s: int) -> None:
    with pytest.raises(ValueError, match="1 to 55"):
        client.follow_conversations(wait_s=wait_s)


async def test_a_list_is_kept_by_its_changes(rowbox: Api) -> None:
    """What a list view does: every answer replaces what it names, and the order is that of the newest message."""
    async with (
        client_for(rowbox, "alice") as alice,
        client_for(rowbox, "bob") as bob,
        client_for(rowbox, "cleo") as cleo,
    ):
        follow = bob.follow_conversations()
        start = await anext(follow)
        assert (start.is_reset, start.conversations, start.next_cursor) == (True, (), None)
        first = await alice.send("bob", "one")
        (seen,) = (await anext(follow)).conversations
        assert (seen.snippet, seen.unread_count, seen.participants) == ("one", 1, ("alice", "bob"))
        await bob.mark_read(first.conversation_id, first.message_id)
        (read,) = (await anext(follow)).conversations
        assert (read.conversation_id, read.unread_count) == (first.conversation_id, 0)
        saved = follow.token
        await cleo.send("bob", "two")
        await alice.send("bob", "three")
        change = await anext(bob.follow_conversations(saved))
        assert [conversation.snippet for conversation in change.conversations] == ["three", "two"]
        again = await anext(bob.follow_conversations(f"{1 << 52}.{'0' * 24}"))
        assert again.is_reset
        assert again.reason is not None
        assert [conversation.snippet for conversation in again.conversations] == ["three", "two"]


async def test_older_ones_continue_behind_a_reset(rowbox: Api) -> None:
    async with client_for(rowbox, "alice") as alice:
        for number in range(101):
            await alice.send(f"friend{number}", str(number))
        reset = await anext(alice.follow_conversations())
        older = [conversation async for conversation in alice.conversations(cursor=reset.next_cursor)]
        texts = [conversation.snippet for conversation in (*reset.conversations, *older)]
        assert texts == [str(number) for number in reversed(range(101))]
