"""The end of a test under load: is what everybody can see now what they were told? (P1 to P4)"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from rowbox.mailbox.representation import Conversation, Message
from tests.integration.conversations.changes import change_breaches
from tests.integration.conversations.receipts import like_fresh, receipt_breaches
from tests.integration.support.chat import Chat
from tests.integration.support.history import breaches, by_conversation, unread_count
from tests.integration.support.served import Served
from tests.integration.support.server_process import rowbox

_LATE_RETRIES: Final = 200
_AT_ONCE: Final = 4
"""Users whose mailboxes are fetched."""
_CHECK_S: Final = 300.0
"""`rowbox check` reads the whole store: after half an hour of chaos that takes longer than a start does."""


class Followed(NamedTuple):
    """What somebody who follows a mailbox has put together of deltas, and what should not have been on the way."""

    messages: Mapping[str, Message]
    conversations: Mapping[str, Conversation]
    resets: Sequence[str] = ()
    """Of tokens that were not served: each is young, and was given for what is on disk."""
    gaps: Sequence[str] = ()


@dataclass
class Mailboxes:
    """What a fresh client sees."""

    messages: dict[str, list[Message]] = field(default_factory=dict)
    conversations: dict[str, list[Conversation]] = field(default_factory=dict)


async def check_everything(
    server: Served,
    chat: Chat,
    random: Random,
    *,
    others_copies: int = 0,
    followed: Mapping[str, Mapping[str, Followed]] | None = None,
    beside: Sequence[Callable[[Mapping[str, Sequence[Conversation]]], Awaitable[int]]] = (),
) -> int:
    """Sends again, and reads all mailboxes from a cold start; stops the server, and has `rowbox check` look as well.

    `others_copies`: how many copies of messages the store holds of users of another chat. Returns how many of this one.
    `followed`: by way and user, what they have of their mailboxes who followed them by sockets and event streams.
    `beside`: what else is judged from the cold start, given the chat's lists; each says how many copies its users have.
    """
    await _send_again(server, chat, random)
    server.kill()
    await server.ended()
    await server.start()
    mailboxes = await _fetch_all(server, chat)
    await _check_groups(chat)
    _check_messages(chat, mailboxes)
    _check_followers(chat, mailboxes, followed or {})
    _check_conversations(chat, mailboxes)
    copies = sum(map(len, mailboxes.messages.values())) + _of_groups(chat, mailboxes)
    for judge in beside:
        copies += await judge(mailboxes.conversations)
    await server.stop()
    await check_finds_nothing(server, copies=others_copies + copies)
    return copies


async def check_finds_nothing(server: Served, *, copies: int) -> None:
    """Runs `rowbox check` on the store of a server that has stopped, and has it count the copies of messages."""
    checked = await rowbox(
        "check", "--json", "--data-dir", server.data_dir, settings=server.settings, within_s=_CHECK_S
    )
    assert checked.code == 0, checked
    assert json.loads(checked.out)["messages"] == copies


async def _send_again(server: Served, chat: Chat, random: Random) -> None:
    """P2, late: whatever was retried before, and some others, are still the messages they were."""
    retried = [record for record in chat.history.sends if record.unknown_outcomes]
    async with asyncio.TaskGroup() as tasks:
        for record in retried + random.sample(chat.history.sends, min(_LATE_RETRIES, len(chat.history.sends))):
            tasks.create_task(chat.settle(server.client(record.sender_id), record))
        if chat.groups is not None:
            tasks.create_task(chat.groups.send_again())


async def _fetch_all(server: Served, chat: Chat) -> Mailboxes:
    """Everything of everybody, conversation by conversation."""
    found, places = Mailboxes(), asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        for user_id in chat.users:
            tasks.create_task(_fetch(server, user_id, found, places))
    return found


async def _fetch(server: Served, user_id: str, found: Mailboxes, places: asyncio.Semaphore) -> None:
    client = server.client(user_id)
    async with places:
        found.conversations[user_id] = await client.all_conversations()
        found.messages[user_id] = [
            message
            for conversation in found.conversations[user_id]
            for message in await client.all_messages(conversation.conversation_id)
        ]
        assert await client.all_messages() == sorted(
            found.messages[user_id], key=lambda message: message.last_updated_timestamp, reverse=True
        )


async def _check_groups(chat: Chat) -> None:
    """Each member's part of a group is the group's log from his join to his leaving."""
    if chat.groups is not None:
        assert await chat.groups.breaches() == []


def _check_messages(chat: Chat, mailboxes: Mailboxes) -> None:
    """P1 to P3 of messages between two, and that what they were changed to is the same in both mailboxes."""
    groups = chat.groups.conversation_ids if chat.groups is not None else set()
    sent = {record.message_id: record.content for record in chat.history.sends}
    of_two = {
        user_id: [message for message in messages if message.conversation_id not in groups]
        for user_id, messages in mailboxes.messages.items()
    }
    if chat.changing is not None:
        assert change_breaches(chat.changing.history, of_two, sent) == []
        of_two = {user_id: [_as_sent(message, sent) for message in messages] for user_id, messages in of_two.items()}
    assert breaches(chat.history, of_two) == []


def _as_sent(message: Message, sent: Mapping[str, str]) -> Message:
    return replace(message, message_content=sent.get(message.message_id, message.message_content))


def _of_groups(chat: Chat, mailboxes: Mailboxes) -> int:
    """How many messages the rows of groups have: as many as their stewards."""
    if chat.groups is None:
        return 0
    held = {user_id: by_conversation(messages) for user_id, messages in mailboxes.messages.items()}
    return sum(len(held[one.steward][one.conversation_id]) for one in chat.groups.histories)


def _check_followers(chat: Chat, mailboxes: Mailboxes, followed: Mapping[str, Mapping[str, Followed]]) -> None:
    """P4: all deltas together are what a fresh fetch gives. Receipts came, and none went back."""
    assert chat.resets == []
    assert chat.went_back == []
    assert chat.undelivered == []
    for user_id in chat.users:
        fresh = mailboxes.messages[user_id], mailboxes.conversations[user_id]
        assert unlike(Followed(chat.messages[user_id], chat.conversations[user_id]), *fresh) == []
        for way, by_user in followed.items():
            if user_id in by_user:
                assert unlike(by_user[user_id], *fresh) == [], f"by {user_id}'s {way}"


def unlike(followed: Followed, messages: Sequence[Message], conversations: Sequence[Conversation]) -> list[object]:
    """In what a follower's copy is not what a fresh fetch gives, or came to be so by more than deltas.

    Receipts may have come since.
    """
    by_id = {message.message_id: message for message in messages}
    listed = {conversation.conversation_id: conversation for conversation in conversations}
    has = {
        name: like_fresh(one, listed[name]) if name in listed else one for name, one in followed.conversations.items()
    }
    differences = _unequal(followed.messages, by_id) | _unequal(has, listed)
    return [*followed.resets, *followed.gaps, *differences.items()]


def _unequal(followed: Mapping[str, object], fresh: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What differs, and nothing else: pytest's own comparison of thousands of messages takes longer than the test."""
    ids = sorted(followed.keys() | fresh.keys())
    return {one: (followed.get(one), fresh.get(one)) for one in ids if followed.get(one) != fresh.get(one)}


def _check_conversations(chat: Chat, mailboxes: Mailboxes) -> None:
    """The list's order, each one's newest message, unread count and receipts follow from the messages and the marks."""
    for user_id in chat.users:
        conversations, messages = mailboxes.conversations[user_id], by_conversation(mailboxes.messages[user_id])
        newest = [(conversation.last_sent_timestamp, conversation.last_message_id) for conversation in conversations]
        assert newest == sorted(newest, reverse=True)
        for conversation in conversations:
            held = messages[conversation.conversation_id]
            assert newest.count((held[-1].sent_timestamp, held[-1].message_id)) == 1
            assert conversation.last_message_id == held[-1].message_id
            assert conversation.snippet == (held[-1].message_content[:100] or None)
            assert conversation.last_message_unsent == held[-1].unsent
            assert conversation.unread_count == unread_count(user_id, held, chat.marked[user_id])
            assert list(receipt_breaches(user_id, conversation, held, chat.marked)) == []
