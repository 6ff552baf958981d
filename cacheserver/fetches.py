"""The fetches of an owner: a page at once, or a wait for something new and then a page.

Every answer is given only while the user is still owned (docs/consistency.md, rule 5).
"""

import asyncio

from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.message_pages import MessagePage, MessagePages
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import FetchConversations, FetchMessages, Page, Quota
from rowbox.cacheserver.rate_limit import RateLimit
from rowbox.cacheserver.reading import TOKEN_COLUMNS, Reading
from rowbox.cacheserver.table import Row, Table
from rowbox.cacheserver.waiters import Waiter, Waiters, Woken, retry_after_ms
from rowbox.mailbox.conversation_pages import ConversationPage, changes_since, numbered_page, page_after
from rowbox.mailbox.errors import HandoverInProgress, UnknownConversation
from rowbox.mailbox.mailbox import Mailbox


class Fetches:
    """See the module's text."""

    def __init__(
        self,
        table: Table,
        pages: MessagePages,
        waiters: Waiters,
        ownership: Ownership,
        now_us: NowUs,
        limit: RateLimit | None,
    ) -> None:
        self._table = table
        self._pages = pages
        self._waiters = waiters
        self._ownership = ownership
        self._now_us = now_us
        self._limit = limit
        self._loop = asyncio.get_running_loop()

    def take(self, user_id: str, cost: int = 1) -> Quota | None:
        """Takes a fetch from the user's bucket; None where fetches are not limited. RateLimited."""
        return self._limit.take(user_id, cost) if self._limit is not None else None

    async def conversations(self, request: FetchConversations) -> Page:
        """See MailboxPort."""
        quota = self.take(request.user_id)
        mailbox = self._table.row(request.user_id).mailbox
        if mailbox is None:
            _, mailbox = await self._table.loaded(request.user_id)
        page = self._conversation_page(mailbox, request)
        if page.is_delta and not page.items and self._waits(request):
            waiter = Waiter(request.user_id, mailbox.head, only_messages=False, conversation_id=None)
            try:
                woken = await self._waiters.begin(waiter, request.wait_ms / 1000)
            finally:
                self._waiters.end(waiter)
            if woken is not Woken.CHANGE:
                return self._empty(request.user_id, waiter, woken, quota)
            _, mailbox = await self._table.loaded(request.user_id)
            page = self._conversation_page(mailbox, request)
        self._ownership.check(request.user_id)
        return Page(
            page.items,
            page.is_delta,
            page.token,
            page.next_cursor is not None,
            page.next_cursor,
            page.reset,
            None,
            quota,
        )

    async def messages(self, request: FetchMessages) -> Page:
        """See MailboxPort."""
        skipped_cost = (request.page_number or 0) * request.page_size // TOKEN_COLUMNS
        quota = self.take(request.user_id, 1 + skipped_cost)
        at_once = self._newest_in_memory(request)
        if at_once is not None:
            self._ownership.check(request.user_id)
            return _answer(at_once, quota)
        deadline = self._loop.time() + request.wait_ms / 1000
        token = request.token
        while True:
            row, mailbox = await self._table.loaded(request.user_id)
            if request.conversation_id is not None and mailbox.index.get(request.conversation_id) is None:
                self._ownership.check(request.user_id)
                raise UnknownConversation("no such conversation")
            reading = Reading(row.key, mailbox)
            try:
                page = await self._message_page(reading, request, token)
            except HandoverInProgress:
                self._table.drop_replaced(row, mailbox)
                raise
            finally:
                quota = self._charge(request.user_id, reading.cost - skipped_cost, quota)
            if not (page.is_delta and not page.items and not page.has_more and self._waits(request)):
                break
            assert page.token is not None
            token = page.token
            if self._head_of(request.user_id, mailbox) > token:
                continue  # something was written while the page was read: look again before waiting for it
            waiter = Waiter(request.user_id, token, only_messages=True, conversation_id=request.conversation_id)
            try:
                woken = await self._waiters.begin(waiter, max(0.0, deadline - self._loop.time()))
            finally:
                self._waiters.end(waiter)
            if woken is not Woken.CHANGE:
                return self._empty(request.user_id, waiter, woken, quota)
        self._ownership.check(request.user_id)
        self._account(row, mailbox)
        return _answer(page, quota)

    def _newest_in_memory(self, request: FetchMessages) -> MessagePage | None:
        """The first page of a conversation where memory holds it: what is asked for most, and nothing is awaited."""
        conversation_id = request.conversation_id
        if conversation_id is None or request.page_number or request.token is not None or request.cursor is not None:
            return None
        mailbox = self._table.row(request.user_id).mailbox
        if mailbox is None:
            return None
        return self._pages.in_memory(mailbox, conversation_id, request.page_number, request.page_size, self._now_us())

    def _conversation_page(self, mailbox: Mailbox, request: FetchConversations) -> ConversationPage:
        now_us = self._now_us()
        if request.cursor is not None:
            return page_after(mailbox, request.cursor, request.page_size, now_us)
        if request.token is not None:
            return changes_since(mailbox, request.token, request.page_size, now_us)
        return numbered_page(mailbox, request.page_number, request.page_size, now_us)

    async def _message_page(self, reading: Reading, request: FetchMessages, token: int | None) -> MessagePage:
        now_us, size = self._now_us(), request.page_size
        if request.cursor is not None:
            return await self._pages.after(reading, request.conversation_id, request.cursor, size, now_us)
        if token is not None:
            return await self._pages.since(reading, request.conversation_id, token, size, now_us)
        return await self._pages.first(reading, request.conversation_id, request.page_number, size, now_us)

    def _charge(self, user_id: str, cost: int, quota: Quota | None) -> Quota | None:
        """Takes what a page has cost beyond what was taken for it at first."""
        return self._limit.charge(user_id, cost) if self._limit is not None and cost > 0 else quota

    def _waits(self, request: FetchConversations | FetchMessages) -> bool:
        return request.wait_ms > 0 and request.token is not None

    def _empty(self, user_id: str, waiter: Waiter, woken: Woken, quota: Quota | None) -> Page:
        """The answer to a wait that nothing came of."""
        self._ownership.check(user_id)
        later = retry_after_ms() if woken is Woken.DRAIN else None
        return Page((), True, waiter.head, retry_after_ms=later, quota=quota)

    def _head_of(self, user_id: str, known: Mailbox) -> int:
        row = self._table.peek(user_id)
        return row.mailbox.head if row is not None and row.mailbox is not None else known.head

    def _account(self, row: Row, mailbox: Mailbox) -> None:
        if row.mailbox is mailbox:
            self._table.account(row)


def _answer(page: MessagePage, quota: Quota | None) -> Page:
    return Page(page.items, page.is_delta, page.token, page.has_more, page.next_cursor, page.reset, None, quota)
