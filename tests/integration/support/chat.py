"""People who chat through a server that may go away at any moment: they send, retry, reply, follow and mark as read.

Each of them does what a client has to do: after an unknown outcome the same request again with the same
clientMessageId, and from token to token across every restart. What they were told stands in the History; what a
follower has put together from deltas is compared with the mailbox at the end.
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
from tests.integration.support.client import UNKNOWN_OUTCOME, Client, Refused
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
_RETRY_S: Final = 0.1
"""After a refusal a client comes back a little later: less than Retry-After asks for, so that no recovery is missed."""
_T = TypeVar("_T")


def seeded_random() -> Random:
    """ROWBOX_TEST_SEED repeats the choices (not the scheduling: that is the operating system's)."""
    seed = int(os.environ.get("ROWBOX_TEST_SEED") or secrets.randbits(32))
    print(f"ROWBOX_TEST_SEED={seed}")  # noqa: T201 - shown when the test fails
    return Random(seed)


class Chat:
    """All clients of one test."""

    def __init__(
        self,
        server: Served,
        users: Sequence[str],
        random: Random,
        *,
        may_pend: bool = False,
        patience_s: float = 2 * DEADLINE_S,
    ) -> None:
        """`may_pend`: a confirmed send may still be on its way to its recipient, for `patience_s` at most.

        That is also how long one request may go without an answer.
        """
        self.users = users
        self.history = History()
        self.is_up = asyncio.Event()
        """Set while the server runs; whoever kills it clears it before."""
        self.marked: dict[str, set[str]] = defaultdict(set)
        """The messages up to which each user marked a conversation as read, and was told so."""
        self.resets: list[str] = []
        self.failures: list[str] = []
        """Requests that were not answered, and were made again."""
        self.looks = 0
        """How often the newest page was compared with what its reader knew."""
        self.messages: dict[str, dict[str, Message]] = {}
        self.conversations: dict[str, dict[str, Conversation]] = {}
        """What each user's followers made of the deltas they got."""
        self._server = server
        self._random = random
        self._may_pend = may_pend
        self._patience_s = patience_s
        self._in_flight: set[asyncio.Future[None]] = set()
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
            await self._until_delivered()
            self._head.set()

    def finish(self) -> None:
        """No new sends; what is not settled goes on until it is."""
        self._no_more_sends.set()

    async def has_answers(self) -> None:
        """Returns when each request that is in flight now has been answered, or has failed."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def settle(self, client: Client, record: SendRecord) -> None:
        """Sends until there is an answer, and enters it."""
        answer = await self._insist(
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
        await self._insist(self._server.client(recipient_id).messages)
        return time.monotonic() - began_s

    # ------------------------------------------------------------------ what one client does

    async def _send(self, client: Client) -> None:
        """One message after the other, each when the one before is confirmed."""
        own: list[SendRecord] = []
        while not self._no_more_sends.is_set():
            record = self.history.begin(client.user_id, self._random.choice(self.users), self._text())
            await self.settle(client, record)
            own.append(record)
            if self._random.random() < _LATE_RETRIES:
                await self.settle(client, self._random.choice(own))

    async def _until_delivered(self) -> None:
        """Asks for every send that was pending, until nobody is without it any more."""
        async with asyncio.timeout(self._patience_s):
            for record in self.history.sends:
                while record.pending_recipients:
                    await self.settle(self._server.client(record.sender_id), record)

    async def _follow_messages(self, client: Client) -> None:
        known = self.messages[client.user_id] = {}
        page, is_last = await self._insist(client.messages), False
        while True:
            known.update((message.message_id, message) for message in page.messages)
            if is_last and _is_empty(page, page.messages):
                return
            await self._react(client, page.messages)
            token, size = page.last_updated_timestamp, self._random.choice((1, 7, 200))
            is_last = self._head.is_set()  # as of before it is asked: what comes meanwhile may be behind its answer
            fetch = _fetch(client.messages, last_updated_timestamp=token, page_size=size, wait=_WAIT_S)
            page = await self._insist(fetch)
            self._note_reset(client.user_id, token, page)

    async def _follow_conversations(self, client: Client) -> None:
        known = self.conversations[client.user_id] = {}
        page, is_last = await self._insist(client.conversations), False
        while True:
            known.update((conversation.conversation_id, conversation) for conversation in page.conversations)
            if is_last and _is_empty(page, page.conversations):
                return
            token, is_last = page.last_updated_timestamp, self._head.is_set()
            page = await self._insist(_fetch(client.conversations, last_updated_timestamp=token, wait=_WAIT_S))
            self._note_reset(client.user_id, token, page)

    async def _look(self, client: Client, message_id: str, sent: int) -> None:
        """Now and then: does the newest page hold a message that somebody was told its reader has by now (P5)?

        `sent` is the message's time: 200 newer ones leave no room for it.
        """
        if self._random.random() >= _LOOKS:
            return
        page = await self._insist(_fetch(client.messages, page_size=_PAGE))
        self.looks += 1
        is_held = message_id in {message.message_id for message in page.messages}
        if not is_held and (len(page.messages) < _PAGE or page.messages[0].last_updated_timestamp <= sent):
            self.history.wrong_answers.append(
                f"{message_id} was in {client.user_id}'s mailbox, and a page of {len(page.messages)} was without it"
            )

    async def _react(self, client: Client, news: Sequence[Message]) -> None:
        """Marks something of what came as read, and now and then replies to it."""
        if not news:
            return
        newest = max(news, key=lambda message: message.last_updated_timestamp)
        await self._look(client, newest.message_id, newest.last_updated_timestamp)
        if self._random.random() < _MARKS:
            message = self._random.choice(news)
            await self._insist(lambda: client.mark_read(message.conversation_id, message.message_id))
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

    # ------------------------------------------------------------------ the way to a server that comes and goes

    async def _insist(self, call: Callable[[], Awaitable[_T]], record: SendRecord | None = None) -> _T:
        """The call's answer, from whichever start of the server gives one."""
        async with asyncio.timeout(self._patience_s):
            while True:
                await self.is_up.wait()
                try:
                    return await self._counted(call)
                except UNKNOWN_OUTCOME as error:
                    self.failures.append(repr(error))
                except Refused as refused:
                    if not refused.problem.retryable:
                        raise
                    self.failures.append(str(refused))
                    await asyncio.sleep(_RETRY_S)
                if record is not None:
                    record.unknown_outcomes += 1

    async def _counted(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """One request, in flight meanwhile."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._in_flight.add(ended)
        try:
            return await call()
        finally:
            self._in_flight.remove(ended)
            ended.set_result(None)


def _fetch(fetch: Callable[..., Awaitable[_T]], **query: str | int | None) -> Callable[[], Awaitable[_T]]:
    return lambda: fetch(**query)


def _is_empty(page: FetchMessagesResponse | FetchConversationResponse, items: Sequence[object]) -> bool:
    return page.is_delta_update and not items and not page.has_more
