"""The client: what a user may do, each as one method."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from rowbox.client.access import AccessToken, TokenSource
from rowbox.client.answers import Conversation, ConversationPage, Message, MessagePage, ReadMark, Sent
from rowbox.client.errors import CallFailed, ListReset, Refused
from rowbox.client.follow import Follow
from rowbox.client.retry import RetryPolicy, Sleep, retried
from rowbox.client.transport import Transport
from rowbox.client.turns import Turns

MAX_WAIT_S: Final = 55
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Client:
    """One user's way to a server, at `url`, with this access token or what gives one (access.py).

    Every call is tried again as `retry` says, then fails with an error of errors.py. `random`, `sleep` and `clock`
    are for tests.
    """

    def __init__(
        self,
        url: str,
        token: TokenSource,
        *,
        retry: RetryPolicy | None = None,
        random: Random | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = Transport(url, AccessToken(token))
        self._policy = retry if retry is not None else RetryPolicy()
        self._random = random if random is not None else Random()
        self._sleep = sleep
        self._clock = clock
        self._turns = Turns()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, traceback)

    async def send(self, recipient_id: str, content: str, *, client_message_id: str | None = None) -> Sent:
        """Sends a message once, however many tries that takes; returns when it is stored.

        Messages to one recipient go one after the other, in the order of the calls. An error carries the
        `client_message_id`: with Refused nothing was written, after OutcomeUnknown it may have been. To go on with that
        message, at any time within the server's dedupe life (a week by default), give the same content and that id.
        The same holds for a call that was cancelled, if its id was given.
        """
        message_id = uuid.uuid4().hex if client_message_id is None else client_message_id
        fields = {"recipientId": recipient_id, "messageContent": content, "clientMessageId": message_id}
        async with self._turns.of(recipient_id):
            try:
                return await self._retried(lambda: self._transport.post("sendMessage", fields, Sent))
            except CallFailed as error:
                error.client_message_id = message_id
                raise

    async def send_status(self, client_message_id: str) -> Sent | None:
        """What became of a send of one's own. None: not stored so far; while a try is under way it still may be."""
        query: dict[str, str | int | None] = {"clientMessageId": client_message_id}
        try:
            return await self._retried(lambda: self._transport.get("sendStatus", query, Sent))
        except Refused as refused:
            if refused.code == "unknown_client_message_id":
                return None
            raise

    async def mark_read(self, conversation_id: str, message_id: str) -> ReadMark:
        """Everything up to and including that message is read. The mark never moves back."""
        fields = {"conversationId": conversation_id, "messageId": message_id}
        return await self._retried(lambda: self._transport.post("markRead", fields, ReadMark))

    def follow(self, token: str | None = None, conversation_id: str | None = None, *, wait_s: int = 30) -> Follow:
        """Every new message, one's own too, from `token` on; without a token from now on, beginning with a Reset.

        Of all conversations or of one: a token is for the same choice. `wait_s`, 1 to 55, is how long one poll is held.
        """
        if not 1 <= wait_s <= MAX_WAIT_S:
            raise ValueError(f"wait_s is 1 to {MAX_WAIT_S}: {wait_s}")

        async def poll(since: str | None) -> MessagePage:
            query: dict[str, str | int | None] = {"conversationId": conversation_id, "lastUpdatedTimestamp": since}
            return await self._transport.get("fetchMessages", query, MessagePage, wait_s=wait_s)

        return Follow(poll, token, self._policy, self._random, self._sleep, self._clock)

    def messages(
        self, conversation_id: str | None = None, *, cursor: str | None = None, page_size: int = 100
    ) -> AsyncIterator[Message]:
        """A conversation's messages, newest first; without one those of all, as far back as the log reaches.

        `cursor` continues a list that a page began, a Reset's for example. Fetched page by page, as they are asked for.
        ListReset where the server's store was put back from a copy in the middle of it.
        """

        async def page(after: str | None) -> MessagePage:
            query = {"conversationId": conversation_id, "cursor": after, "pageSize": page_size}
            return await self._retried(lambda: self._transport.get("fetchMessages", query, MessagePage))

        return _items(page, cursor)

    def conversations(self, *, page_size: int = 100) -> AsyncIterator[Conversation]:
        """All conversations, the one with the newest message first. One that moves up between pages may be left out.

        ListReset as of `messages`.
        """

        async def page(after: str | None) -> ConversationPage:
            query = {"cursor": after, "pageSize": page_size}
            return await self._retried(lambda: self._transport.get("fetchConversation", query, ConversationPage))

        return _items(page, None)

    async def _retried(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await retried(call, self._policy, self._random, self._sleep)


class _PageOf(Protocol[_T_co]):
    @property
    def items(self) -> tuple[_T_co, ...]: ...
    @property
    def next_cursor(self) -> str | None: ...
    @property
    def reset_reason(self) -> str | None: ...


async def _items(page_after: Callable[[str | None], Awaitable[_PageOf[_T]]], cursor: str | None) -> AsyncIterator[_T]:
    """The items of all pages. A cursor keeps its place while the list moves, so none comes twice. ListReset."""
    while True:
        page = await page_after(cursor)
        if page.reset_reason is not None:
            raise ListReset(
                "the list begins anew: the cursor is of another time or user", code=page.reset_reason, status=200
            )
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
