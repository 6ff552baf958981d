"""Two people chat while their server is killed with -9 and started again: everything once, in order, for both."""

import asyncio
import itertools
from pathlib import Path

import pytest

from rowbox.client import Client, Message, OutcomeUnknown, Reset
from tests.client.steady_server import client_for, restart, steady_server
from tests.integration.support.server_process import DEADLINE_S, ServerProcess
from tests.integration.support.verdict import check_finds_nothing

pytestmark = pytest.mark.integration

MESSAGES = 150
"""From each of the two."""
KILLED_AFTER = (1, 60, 120, 180, 240)
"""Confirmed sends of both."""
CHANGES_BETWEEN_STARTS = 40
"""So often a follower starts anew from the token it saved, as a program does that is restarted."""


class Progress:
    """How many sends were confirmed, for who waits until it is so many."""

    def __init__(self) -> None:
        self.confirmed = 0
        self._news = asyncio.Condition()

    async def one_more(self) -> None:
        async with self._news:
            self.confirmed += 1
            self._news.notify_all()

    async def reaches(self, number: int) -> None:
        async with asyncio.timeout(2 * DEADLINE_S), self._news:
            await self._news.wait_for(lambda: self.confirmed >= number)


async def send_all_at_once(client: Client, recipient: str, progress: Progress) -> None:
    """Everything into the client's queue, which is patient."""

    async def send(number: int) -> None:
        await client.send(recipient, str(number))
        await progress.one_more()

    async with asyncio.TaskGroup() as tasks:
        for number in range(MESSAGES):
            tasks.create_task(send(number))


async def send_one_by_one(client: Client, recipient: str, progress: Progress) -> None:
    """Each until it is known to be stored, going on under its id where the client gave up."""
    for number in range(MESSAGES):
        message_id: str | None = None
        while True:
            try:
                await client.send(recipient, str(number), client_message_id=message_id)
            except OutcomeUnknown as error:
                message_id = error.client_message_id
            else:
                break
        await progress.one_more()


async def follow(client: Client, started: asyncio.Event) -> list[Message]:
    """Everything that two people send, in the order it came."""
    found: list[Message] = []
    token: str | None = None
    while True:
        async for change in client.follow(token):
            token = change.token
            started.set()
            if isinstance(change, Reset):
                assert (change.reason, len(change.messages)) == (None, 0)
                continue
            found.append(change)
            if len(found) == 2 * MESSAGES:
                return found
            if len(found) % CHANGES_BETWEEN_STARTS == 0:
                break


async def follow_changes(client: Client, started: asyncio.Event) -> list[Message]:
    """The same over a socket, for a program that keeps a copy: where a poll and a socket cross, changes come twice."""
    found: dict[str, Message] = {}
    token: str | None = None
    while True:
        async with client.follow_changes(token) as changes:
            for _ in range(CHANGES_BETWEEN_STARTS):
                change = await anext(changes)
                assert change.reset_reason is None
                started.set()
                token = changes.token
                for message in change.messages:
                    found.setdefault(message.message_id, message)
                if len(found) == 2 * MESSAGES:
                    return list(found.values())


async def kill_again_and_again(server: ServerProcess, progress: Progress) -> None:
    for number in KILLED_AFTER:
        await progress.reaches(number)
        await restart(server)


async def history(client: Client) -> list[str]:
    (conversation,) = [item async for item in client.conversations()]
    return [message.message_id async for message in client.messages(conversation.conversation_id)]


async def test_two_people_chat_while_the_server_is_killed(tmp_path: Path) -> None:
    progress, ready = Progress(), (asyncio.Event(), asyncio.Event())
    async with (
        steady_server(tmp_path) as server,
        await client_for(server, "alice") as alice,
        await client_for(server, "bob") as bob,
    ):
        async with asyncio.timeout(4 * DEADLINE_S), asyncio.TaskGroup() as tasks:
            followers = [
                tasks.create_task(following(client, event))
                for following, client, event in zip((follow_changes, follow), (alice, bob), ready, strict=True)
            ]
            for event in ready:
                await event.wait()
            tasks.create_task(send_all_at_once(alice, "bob", progress))
            tasks.create_task(send_one_by_one(bob, "alice", progress))
            tasks.create_task(kill_again_and_again(server, progress))
        of_alice, of_bob = (follower.result() for follower in followers)
        for seen, sender in itertools.product((of_alice, of_bob), ("alice", "bob")):
            texts = [message.message_content for message in seen if message.sender_id == sender]
            assert texts == [str(number) for number in range(MESSAGES)]
        assert [message.message_id for message in of_alice] == [message.message_id for message in of_bob]
        assert await history(alice) == await history(bob) == [message.message_id for message in reversed(of_alice)]
        await server.stop()
        await check_finds_nothing(server, copies=4 * MESSAGES)


async def restart_politely(server: ServerProcess) -> None:
    """As an operator does it: SIGTERM, its end, and the next start."""
    await server.stop()
    await server.start()


async def test_a_polite_restart_fails_no_call(tmp_path: Path) -> None:
    """At 80c87b5 6 of 29 sends across one raised, the first of them after 0.12 seconds."""
    failures: list[Exception] = []
    over = asyncio.Event()

    async def send_until_it_is_over(client: Client, recipient: str) -> int:
        number = 0
        while not over.is_set():
            await client.send(recipient, str(number))
            number += 1
        return number

    async def notice(impatient: Client) -> None:
        while not over.is_set():
            try:
                await impatient.send("noticer", "is it there?")
            except OutcomeUnknown as error:
                failures.append(error)

    async with (
        steady_server(tmp_path) as server,
        await client_for(server, "alice") as alice,
        await client_for(server, "bob", patience_s=0) as bob,
    ):
        recipients = [f"friend{number}" for number in range(8)]
        follow, list_follow = alice.follow(), alice.follow_conversations()
        await anext(follow)
        await anext(list_follow)
        async with asyncio.timeout(2 * DEADLINE_S), asyncio.TaskGroup() as tasks:
            senders = [tasks.create_task(send_until_it_is_over(alice, recipient)) for recipient in recipients]
            tasks.create_task(notice(bob))
            await restart_politely(server)
            await alice.send("friend0", "after it")
            over.set()
        assert failures, "nobody noticed a restart"
        expected = sum(sender.result() for sender in senders) + 1
        seen = [await anext(follow) for _ in range(expected)]
        assert len({message.message_id for message in seen if isinstance(message, Message)}) == expected
        assert not (await anext(list_follow)).is_reset
