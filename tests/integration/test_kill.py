"""kill -9 under load, over and over on one data directory: nothing confirmed is lost, doubled or misordered (P1-P4)."""

import asyncio
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from rowbox.api.responses import Conversation, Message
from tests.integration.support import mutants
from tests.integration.support.chat import Chat
from tests.integration.support.history import breaches, by_conversation, unread_count
from tests.integration.support.server_process import ServerProcess, rowbox

pytestmark = pytest.mark.integration

KILLS = 20
KILLED_STARTS = 3
LONGEST_LIFE_S = 0.8
LONGEST_START_S = 0.5
LATE_RETRIES = 200
USERS = ("ann", "ben", "cleo", "dan", "eve", "finn")
SENDERS_PER_USER = 2
SMALL = {
    "ROWBOX_STORE_MEMTABLE_BYTES": "1MiB",  # so that flushes, compactions and new logs are killed too
    "ROWBOX_STORE_BLOCK_CACHE_BYTES": "1MiB",
    "ROWBOX_CACHE_BYTES": "1MiB",  # so that mailboxes come and go
    "ROWBOX_CACHE_WINDOW_MESSAGES": "8",  # so that pages are read from the store
}


@dataclass
class Mailboxes:
    """What a fresh client sees at the end."""

    messages: dict[str, list[Message]] = field(default_factory=dict)
    conversations: dict[str, list[Conversation]] = field(default_factory=dict)


def seeded_random() -> Random:
    """ROWBOX_TEST_SEED repeats the choices (not the scheduling: that is the operating system's)."""
    seed = int(os.environ.get("ROWBOX_TEST_SEED") or secrets.randbits(32))
    print(f"ROWBOX_TEST_SEED={seed}")  # noqa: T201 - shown when the test fails
    return Random(seed)


async def kill_again_and_again(server: ServerProcess, chat: Chat, random: Random, kills: int) -> None:
    """Each time at a random moment; some starts are killed before they are ready."""
    killed_starts = set(random.sample(range(kills), min(kills, KILLED_STARTS)))
    chat.is_up.set()
    for number in range(kills):
        await server.stays_up(random.uniform(0, LONGEST_LIFE_S))
        chat.is_up.clear()
        server.kill()
        await server.ended()
        if number in killed_starts:
            await server.launch()
            await server.stays_up(random.uniform(0, LONGEST_START_S))
            server.kill()
            await server.ended()
        await server.start()
        chat.is_up.set()
    chat.finish()


async def fetch_all(server: ServerProcess) -> Mailboxes:
    """Everything of everybody, conversation by conversation."""
    found = Mailboxes()
    for user_id in USERS:
        client = server.client(user_id)
        found.conversations[user_id] = await client.all_conversations()
        found.messages[user_id] = [
            message
            for conversation in found.conversations[user_id]
            for message in await client.all_messages(conversation.conversation_id)
        ]
        assert await client.all_messages() == sorted(
            found.messages[user_id], key=lambda message: message.last_updated_timestamp, reverse=True
        )
    return found


def check_followers(chat: Chat, mailboxes: Mailboxes) -> None:
    """P4: all deltas together are what a fresh fetch gives."""
    assert not chat.resets
    for user_id in USERS:
        fresh_messages = {message.message_id: message for message in mailboxes.messages[user_id]}
        assert unequal(chat.messages[user_id], fresh_messages) == {}
        fresh = {conversation.conversation_id: conversation for conversation in mailboxes.conversations[user_id]}
        assert unequal(chat.conversations[user_id], fresh) == {}


def unequal(followed: Mapping[str, object], fresh: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What differs, and nothing else: pytest's own comparison of thousands of messages takes longer than the test."""
    ids = sorted(followed.keys() | fresh.keys())
    return {one: (followed.get(one), fresh.get(one)) for one in ids if followed.get(one) != fresh.get(one)}


def check_conversations(chat: Chat, mailboxes: Mailboxes) -> None:
    """The list's order, and each one's newest message and unread count, follow from the messages and the marks."""
    for user_id in USERS:
        conversations, messages = mailboxes.conversations[user_id], by_conversation(mailboxes.messages[user_id])
        newest = [(conversation.last_sent_timestamp, conversation.last_message_id) for conversation in conversations]
        assert newest == sorted(newest, reverse=True)
        for conversation in conversations:
            held = messages[conversation.conversation_id]
            assert newest.count((held[-1].sent_timestamp, held[-1].message_id)) == 1
            assert conversation.last_message_id == held[-1].message_id
            assert conversation.snippet == held[-1].message_content[:100]
            assert conversation.unread_count == unread_count(user_id, held, chat.marked[user_id])


async def send_again(server: ServerProcess, chat: Chat, random: Random) -> None:
    """P2, late: whatever was retried before, and some others, are still the messages they were."""
    retried = [record for record in chat.history.sends if record.unknown_outcomes]
    async with asyncio.TaskGroup() as tasks:
        for record in retried + random.sample(chat.history.sends, min(LATE_RETRIES, len(chat.history.sends))):
            tasks.create_task(chat.settle(server.client(record.sender_id), record))


async def test_nothing_confirmed_is_lost_doubled_or_misordered(tmp_path: Path) -> None:
    random = seeded_random()
    async with ServerProcess(tmp_path, SMALL) as server:
        chat = Chat(server, USERS, random)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chat.talk(SENDERS_PER_USER))
            tasks.create_task(kill_again_and_again(server, chat, random, KILLS))
        await send_again(server, chat, random)
        server.kill()
        await server.ended()
        await server.start()
        mailboxes = await fetch_all(server)
        assert breaches(chat.history, mailboxes.messages) == []
        check_followers(chat, mailboxes)
        check_conversations(chat, mailboxes)
        unknown = sum(record.unknown_outcomes for record in chat.history.sends)
        print(f"{KILLS} kills, {len(chat.history.sends)} sends, {unknown} unknown outcomes")  # noqa: T201
        assert unknown >= KILLS  # else the kills hit nobody
        await server.stop()
    checked = await rowbox("check", "--json", "--data-dir", tmp_path)
    assert checked.code == 0, checked
    assert json.loads(checked.out)["messages"] == sum(map(len, mailboxes.messages.values()))


async def test_a_store_that_confirms_before_it_writes_is_found_out(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path, command=mutants.command("confirming-early")) as server:
        chat = Chat(server, ("ann", "ben"), Random(0))
        chat.is_up.set()
        ann = server.client("ann")
        for number in range(20):
            await chat.settle(ann, chat.history.begin("ann", "ben", f"number {number}"))
        server.kill()
        await server.ended()
        await server.start()
        found = breaches(
            chat.history, {"ann": await ann.all_messages(), "ben": await server.client("ben").all_messages()}
        )
        assert any(finding.startswith("lost") for finding in found)
