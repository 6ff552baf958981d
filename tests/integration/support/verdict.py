"""The end of a test under load: is what everybody can see now what they were told? (P1 to P4)"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from rowbox.mailbox.representation import Conversation, Message
from tests.integration.support.chat import Chat
from tests.integration.support.history import breaches, by_conversation, unread_count
from tests.integration.support.served import Served
from tests.integration.support.server_process import rowbox

_LATE_RETRIES: Final = 200


@dataclass
class Mailboxes:
    """What a fresh client sees."""

    messages: dict[str, list[Message]] = field(default_factory=dict)
    conversations: dict[str, list[Conversation]] = field(default_factory=dict)


async def check_everything(server: Served, chat: Chat, random: Random, *, others_copies: int = 0) -> int:
    """Sends again, and reads all mailboxes from a cold start; stops the server, and has `rowbox check` look as well.

    `others_copies`: how many copies of messages the store holds of users of another chat. Returns how many of this one.
    """
    await _send_again(server, chat, random)
    server.kill()
    await server.ended()
    await server.start()
    mailboxes = await _fetch_all(server, chat)
    assert breaches(chat.history, mailboxes.messages) == []
    _check_followers(chat, mailboxes)
    _check_conversations(chat, mailboxes)
    await server.stop()
    copies = sum(map(len, mailboxes.messages.values()))
    await check_finds_nothing(server, copies=others_copies + copies)
    return copies


async def check_finds_nothing(server: Served, *, copies: int) -> None:
    """Runs `rowbox check` on the store of a server that has stopped, and has it count the copies of messages."""
    checked = await rowbox("check", "--json", "--data-dir", server.data_dir, settings=server.settings)
    assert checked.code == 0, checked
    assert json.loads(checked.out)["messages"] == copies


async def _send_again(server: Served, chat: Chat, random: Random) -> None:
    """P2, late: whatever was retried before, and some others, are still the messages they were."""
    retried = [record for record in chat.history.sends if record.unknown_outcomes]
    async with asyncio.TaskGroup() as tasks:
        for record in retried + random.sample(chat.history.sends, min(_LATE_RETRIES, len(chat.history.sends))):
            tasks.create_task(chat.settle(server.client(record.sender_id), record))


async def _fetch_all(server: Served, chat: Chat) -> Mailboxes:
    """Everything of everybody, conversation by conversation."""
    found = Mailboxes()
    for user_id in chat.users:
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


def _check_followers(chat: Chat, mailboxes: Mailboxes) -> None:
    """P4: all deltas together are what a fresh fetch gives."""
    assert not chat.resets
    for user_id in chat.users:
        fresh_messages = {message.message_id: message for message in mailboxes.messages[user_id]}
        assert _unequal(chat.messages[user_id], fresh_messages) == {}
        fresh = {conversation.conversation_id: conversation for conversation in mailboxes.conversations[user_id]}
        assert _unequal(chat.conversations[user_id], fresh) == {}


def _unequal(followed: Mapping[str, object], fresh: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What differs, and nothing else: pytest's own comparison of thousands of messages takes longer than the test."""
    ids = sorted(followed.keys() | fresh.keys())
    return {one: (followed.get(one), fresh.get(one)) for one in ids if followed.get(one) != fresh.get(one)}


def _check_conversations(chat: Chat, mailboxes: Mailboxes) -> None:
    """The list's order, and each one's newest message and unread count, follow from the messages and the marks."""
    for user_id in chat.users:
        conversations, messages = mailboxes.conversations[user_id], by_conversation(mailboxes.messages[user_id])
        newest = [(conversation.last_sent_timestamp, conversation.last_message_id) for conversation in conversations]
        assert newest == sorted(newest, reverse=True)
        for conversation in conversations:
            held = messages[conversation.conversation_id]
            assert newest.count((held[-1].sent_timestamp, held[-1].message_id)) == 1
            assert conversation.last_message_id == held[-1].message_id
            assert conversation.snippet == held[-1].message_content[:100]
            assert conversation.unread_count == unread_count(user_id, held, chat.marked[user_id])
