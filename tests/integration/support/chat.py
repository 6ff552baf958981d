"""People who chat through a server that may go away at any moment: they send, retry, reply, follow and mark as read.

Each of them does what a client has to do: after an unknown outcome the same request again with the same
clientMessageId, and from token to token across every restart. What they were told stands in the History; what a
follower has put together from deltas is compared with the mailbox at the end. What else people do is in
tests/integration/conversations: they change messages, and have groups.
"""

import asyncio
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, TypeVar

from rowbox.api.v1.responses import FetchConversationResponse, FetchMessagesResponse
from rowbox.mailbox.representation import Conversation, Message
from tests.integration.conversations.changing import Changing
from tests.integration.conversations.group_chat import GroupChat
from tests.integration.conversations.insisting import Insisting
from tests.integration.conversations.receipts import undelivered, went_back
from tests.integration.support.client import Client
from tests.integration.support.history import History, SendRecord
from tests.integration.support.served import Served
from tests.integration.support.server_process import DEADLINE_S

_LATE_RETRIES: Final = 0.05
"""Part of the confirmed sends that are sent again, as clients do whose answer got lost."""
_REPLIES: Final = 0.1
_MARKS: Final = 0.3
_LARGE: Final = 0.02
_LOOKS: Final = 0.1
"""Part of what came, or was confirmed, after which the newest page is asked for and has to hold it."""
_PAGE: Final = 200
_WAIT_S: Final = 1
_T = TypeVar("_T")


def seeded_random() -> Random:
    """ROWBOX_TEST_SEED repeats the choices (not the scheduling: that is the operating system's)."""
    seed = int(os.environ.get("ROWBOX_TEST_SEED") or secrets.randbits(32))
    print(f"ROWBOX_TEST_SEED={seed}")  # noqa: T201 - shown when the test fails
    return Random(seed)


class Chat(Insisting):
    """All clients of one test."""

    def __init__(
        self,
        server: Served,
        users: Sequence[str],
        random: Random,
        *,
        may_pend: bool = False,
        patience_s: float = 2 * DEADLINE_S,
        lands_within_s: float = 0.0,
        changes: bool = False,
        groups: bool = False,
        receipts: bool = True,
    ) -> None:
        """`may_pend`: a confirmed send may still be on its way to its recipient, for `patience_s` at most.

        That is also how long one request may go without an answer. `lands_within_s` is Insisting's. `changes`: they
        edit, unsend and react, too. `groups`: they have groups, too. `receipts`:
        all servers know them, so that they come and never go back.
        """
        super().__init__(patience_s, lands_within_s)
        self.users = users
        self.history = History()
        self.changing = Changing(server, self, random) if changes else None
        self.groups = GroupChat(server, self, users, random) if groups else None
        self.marked: dict[str, set[str]] = defaultdict(set)
        """The messages up to which each user marked a conversation as read, and was told so."""
        self.resets: list[str] = []
        self.went_back: list[str] = []
        """Receipts of which a follower was shown less than before."""
        self.undelivered: list[str] = []
        """Receipts that did not come, though their message had."""
        self.looks = 0
        """How often the newest page was compared with what its reader knew."""
        self.messages: dict[str, dict[str, Message]] = {}
        self.conversations: dict[str, dict[str, Conversation]] = {}
        """What each user's followers made of the deltas they got."""
        self._server = server
        self._random = random
        self._may_pend = may_pend
        self._receipts = receipts
        self._no_more_sends = asyncio.Event()
        self._head = asyncio.Event()
        self._senders = asyncio.TaskGroup()

    async def talk(self, senders_per_user: int) -> None:
        """Runs until `finish` was called, every send is settled and delivered, and every follower is at the head."""
        async with asyncio.TaskGroup() as followers:
            for user_id in self.users:
                followers.create_task(self._follow_messages(self._server.client(user_id)))
                followers.create_task(self._follow_conversations(self._server.client(user_id)))
            async with self._senders:
                for user_id in (*self.users,) * senders_per_user:
                    self._senders.create_task(self._send(self._server.client(user_id)))
                if self.groups is not None:
                    self._senders.create_task(self.groups.talk())
            await self._say_last_words()
            await self._until_delivered()
            if self._receipts:
                await self._until_receipts_came()
            self._head.set()

    def __str__(self) -> str:
        """For the output of a test that fails, or that is timed."""
        changes = len(self.changing.history.changes) if self.changing is not None else 0
        of_groups, changed = (self.groups.asked, self.groups.changed) if self.groups is not None else (0, 0)
        return (
            f"{self.history}, {changes} changes of messages, {of_groups} messages and changes of groups, {changed} "
            "changes of their messages"
        )

    def finish(self) -> None:
        """No new sends; what is not settled goes on until it is."""
        self._no_more_sends.set()
        if self.groups is not None:
            self.groups.finish()

    async def settle(self, client: Client, record: SendRecord) -> None:
        """Sends until there is an answer, and enters it."""
        answer = await self.insist(
            lambda: client.send(record.recipient_id, record.content, record.client_message_id), record
        )
        record.pending_recipients = answer.pending_recipients
        if answer.pending_recipients and not self._may_pend:
            self.history.wrong_answers.append(f"{record.client_message_id}: {answer.pending_recipients} pending")
        if record.confirmed is not None and not answer.duplicate:
            self.history.wrong_answers.append(f"{record.client_message_id} was sent anew, long after its answer")
        self.history.confirm(record, answer.message_id, answer.conversation_id)
        await self._look(client, answer.message_id, answer.sent_timestamp)
        if not answer.pending_recipients:
            await self._look(self._server.client(record.recipient_id), answer.message_id, answer.sent_timestamp)

    async def exchange(self, sender_id: str, recipient_id: str) -> float:
        """One more send, and a fetch by its recipient: how long it took until both were answered, in seconds."""
        began_s = time.monotonic()
        record = self.history.begin(sender_id, recipient_id, self._text())
        await self.settle(self._server.client(sender_id), record)
        await self.insist(self._server.client(recipient_id).messages)
        return time.monotonic() - began_s

    # ------------------------------------------------------------------ what one client does

    async def _send(self, client: Client) -> None:
        """One message after the other, each when the one before is confirmed."""
        own: list[SendRecord] = []
        while not self._no_more_sends.is_set():
            record = self.history.begin(client.user_id, self._random.choice(self.users), self._text())
            await self.settle(client, record)
            own.append(record)
            if self.changing is not None:
                self._senders.create_task(self.changing.change(record))
            if self._random.random() < _LATE_RETRIES:
                await self.settle(client, self._random.choice(own))

    async def _say_last_words(self) -> None:
        """One more message from everybody to everybody: what it does not overtake, the changes, has arrived with it."""
        if self.changing is None:
            return
        await self.nothing_lands()
        async with asyncio.TaskGroup() as tasks:
            for sender_id in self.users:
                tasks.create_task(self._say_to_all(sender_id))

    async def _say_to_all(self, sender_id: str) -> None:
        for recipient_id in self.users:
            record = self.history.begin(sender_id, recipient_id, self._text())
            await self.settle(self._server.client(sender_id), record)

    async def _until_delivered(self) -> None:
        """Asks for every send that was pending, until nobody is without it any more."""
        async with asyncio.timeout(self.patience_s):
            for record in self.history.sends:
                while record.pending_recipients:
                    await self.settle(self._server.client(record.sender_id), record)

    async def _until_receipts_came(self) -> None:
        """Looks at all lists until each says that the other one's devices have the newest message: he follows."""
        newest: dict[str, dict[str, str]] = defaultdict(dict)
        for record in self.history.sends:
            if record.sender_id != record.recipient_id:
                known = newest[record.sender_id].get(record.conversation_id, "")
                newest[record.sender_id][record.conversation_id] = max(known, record.message_id)
        ends_s = time.monotonic() + self.patience_s
        while True:
            self.undelivered = []
            for sender_id, messages in newest.items():
                for conversation in await self.insist(self._server.client(sender_id).all_conversations):
                    if (message_id := messages.get(conversation.conversation_id)) is not None:
                        self.undelivered += undelivered(sender_id, conversation, message_id)
            if not self.undelivered or time.monotonic() > ends_s:
                return

    async def _follow_messages(self, client: Client) -> None:
        known = self.messages[client.user_id] = {}
        page, is_last = await self.insist(client.messages), False
        while True:
            known.update((message.message_id, message) for message in page.messages)
            if is_last and _is_empty(page, page.messages):
                return
            await self._react(client, page.messages)
            token, size = page.last_updated_timestamp, self._random.choice((1, 7, 200))
            is_last = self._head.is_set()  # as of before it is asked: what comes meanwhile may be behind its answer
            fetch = _fetch(client.messages, last_updated_timestamp=token, page_size=size, wait=_WAIT_S)
            page = await self.insist(fetch)
            self._note_reset(client.user_id, token, page)

    async def _follow_conversations(self, client: Client) -> None:
        known = self.conversations[client.user_id] = {}
        page, is_last = await self.insist(client.conversations), False
        while True:
            for conversation in page.conversations:
                if self._receipts and went_back(known.get(conversation.conversation_id), conversation):
                    self.went_back.append(f"{client.user_id} was shown {conversation} after {known}")
                known[conversation.conversation_id] = conversation
            if is_last and _is_empty(page, page.conversations):
                return
            token, is_last = page.last_updated_timestamp, self._head.is_set()
            page = await self.insist(_fetch(client.conversations, last_updated_timestamp=token, wait=_WAIT_S))
            self._note_reset(client.user_id, token, page)

    async def _look(self, client: Client, message_id: str, sent: int) -> None:
        """Now and then: does the newest page hold a message that somebody was told its reader has by now (P5)?

        `sent` is the message's time: a page that has others from before that has it, too.
        """
        if self._random.random() >= _LOOKS:
            return
        page = await self.insist(_fetch(client.messages, page_size=_PAGE))
        self.looks += 1
        is_held = message_id in {message.message_id for message in page.messages}
        reaches_back = not page.has_more or page.messages[-1].last_updated_timestamp < sent
        if not is_held and reaches_back:
            self.history.wrong_answers.append(
                f"{message_id} was in {client.user_id}'s mailbox, and a page of {len(page.messages)} was without it"
            )

    async def _react(self, client: Client, news: Sequence[Message]) -> None:
        """Marks something of what came as read, and now and then replies to it."""
        if not news:
            return
        newest = max(news, key=lambda message: message.last_updated_timestamp)
        await self._look(client, newest.message_id, newest.last_updated_timestamp)
        if self.changing is not None and not self._no_more_sends.is_set():
            message = self._random.choice(news)
            if message.participants:
                self._senders.create_task(self.changing.react(client.user_id, message))
            elif self.groups is not None:
                self._senders.create_task(self.groups.react(client.user_id, message))
        if self._random.random() < _MARKS:
            message = self._random.choice(news)
            await self.insist(lambda: client.mark_read(message.conversation_id, message.message_id))
            self.marked[client.user_id].add(message.message_id)
        if self._random.random() < _REPLIES and not self._no_more_sends.is_set():
            asked = news[-1]
            reply = self.history.begin(client.user_id, asked.sender_id, f"re: {asked.message_id}")
            self._senders.create_task(self.settle(client, reply))

    def _note_reset(
        self, user_id: str, token: str | None, page: FetchMessagesResponse | FetchConversationResponse
    ) -> None:
        """Every token here is young and was given for what is on disk: there is no reason to refuse one."""
        if page.reset_reason is not None:
            self.resets.append(f"{user_id}'s token {token} was not served: {page.reset_reason}")

    def _text(self) -> str:
        size = self._random.randrange(20_000, 65_000) if self._random.random() < _LARGE else self._random.randrange(200)
        return f"{self._random.getrandbits(32):08x} " + "x" * size


def _fetch(fetch: Callable[..., Awaitable[_T]], **query: str | int | None) -> Callable[[], Awaitable[_T]]:
    return lambda: fetch(**query)


def _is_empty(page: FetchMessagesResponse | FetchConversationResponse, items: Sequence[object]) -> bool:
    return page.is_delta_update and not items and not page.has_more
