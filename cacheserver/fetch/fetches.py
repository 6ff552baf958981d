"""The fetches of an owner: a page at once, or a wait for something new and then a page.

Every answer is given only while the grant still holds under which its request began (docs/consistency.md, rule 5).
"""

import asyncio

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.cache.waiters import Waiter, Waiters, Woken
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.fetch.message_pages import MessagePage, MessagePages
from rowbox.cacheserver.fetch.settling import Settling
from rowbox.cacheserver.fetch.waiting import Proven, no_news, until_an_end_s
from rowbox.cacheserver.ownership import Grant
from rowbox.cacheserver.port import FetchConversations, FetchMessages, Page, Quota
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.cacheserver.rows.view import TOKEN_COLUMNS, View
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.errors import HandoverInProgress, PageTooLarge, UnknownConversation
from rowbox.mailbox.pages.conversation_pages import ConversationPage, conversation_page
from rowbox.mailbox.pages.cursor import Bookmarker, Bookmarks, ListKind, ResetReason, Start
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.pages.page_request import PageRequest
from rowbox.mailbox.revocation import Bearer

MOST_TRIES = 3
"""For one page of messages, where one of them was changed while it was read."""
MOST_LOOKS = 3
"""How often a page is made anew after a settlement: conversations that have ended may move into it meanwhile."""


class Fetches:
    """Answers the fetches of one owner's users."""

    def __init__(
        self,
        table: Table,
        pages: MessagePages,
        waiters: Waiters,
        settling: Settling,
        revocations: Revocations,
        now_us: NowUs,
        limits: RateLimits,
        proven: Proven,
    ) -> None:
        self._proven = proven
        self._table = table
        self._pages = pages
        self._waiters = waiters
        self._settling = settling
        self._revocations = revocations
        self._now_us = now_us
        self._limits = limits
        self.bookmarker = Bookmarker(b"")
        self._loop = asyncio.get_running_loop()
        self.begun = 0
        """Fetches that were asked for, long polls too, and were not refused for their rate."""

    def go_by(self, history: bytes) -> None:
        """Sets the history that the store is in. To be called before the first fetch."""
        self.bookmarker = Bookmarker(history)

    async def conversations(self, request: FetchConversations) -> Page:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and not self._revocations.is_admitted(request.user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", request.user_id)
        self.begun += 1
        bookmarks = self.bookmarker.of(request.user_id, ListKind.CONVERSATIONS)
        asked = _asked(bookmarks, request)
        row = self._table.admitted(request.user_id)
        grant, mailbox = row.grant, row.mailbox
        del row
        if mailbox is None or mailbox.is_erased:
            _, mailbox = await self._table.loaded(request.user_id)
            self._revocations.check(mailbox, bearer)
            self._revocations.check_again(bearer)
        horizon = mailbox.horizon(self._now_us())
        if mailbox.index.endings.first > horizon:
            page = conversation_page(mailbox, asked, horizon)
        else:
            mailbox, page = await self.settled_page(request.user_id, asked)
            self._revocations.check_again(bearer)
        deadline = self._loop.time() + request.wait_ms / 1000 if request.wait_ms else 0.0
        while page.is_delta and not page.items and request.wait_ms > 0:
            left_s = deadline - self._loop.time()
            look_s = until_an_end_s(mailbox, self._now_us(), left_s)
            waiter = Waiter(
                request.user_id, grant, mailbox.head, only_messages=False, conversation_id=None, bearer=bearer
            )
            grant.admit()
            del mailbox  # it may leave the memory meanwhile
            try:
                woken = await self._waiters.begin(waiter, look_s)
            finally:
                self._waiters.end(waiter)
            if woken is not Woken.CHANGE and (woken is not Woken.TIME or look_s == left_s):
                return self._empty(bookmarks, waiter, woken, quota)
            mailbox, page = await self.settled_page(request.user_id, asked)
            self._revocations.check(mailbox, bearer)
            self._revocations.check_again(bearer)
        grant.check()
        return _answer(bookmarks, page, quota, has_more=page.next_cursor is not None)

    async def messages(self, request: FetchMessages) -> Page:
        """See MailboxPort."""
        if request.bearer is not None and not self._revocations.is_admitted(request.user_id, request.bearer):
            await self._revocations.admit_other(request.bearer)
        skipped_cost = (request.page_number or 0) * request.page_size // TOKEN_COLUMNS
        quota = self._limits.take("fetch", request.user_id, 1 + skipped_cost)
        self.begun += 1
        bookmarks = self._bookmarks_of(request)
        asked = _asked(bookmarks, request)
        row = self._table.admitted(request.user_id)
        grant = row.grant
        at_once = self._in_memory(request, asked, row)
        if at_once is not None:  # nothing was awaited since the grant admitted it
            return _answer(bookmarks, at_once, quota, has_more=at_once.has_more)
        begun, deadline = asked.start, self._loop.time() + request.wait_ms / 1000
        tries_left = MOST_TRIES
        while True:
            row, mailbox = await self._table.loaded(request.user_id)
            self._revocations.check(mailbox, request.bearer)
            if not _is_known(mailbox, request.conversation_id):
                grant.check()
                raise UnknownConversation("no such conversation")
            self._prove(mailbox, request, begun)
            view = View(row.key, mailbox, self._now_us())
            try:
                page = await self._message_page(row, grant, view, asked, request.bearer)
            finally:
                quota = self._limits.charge("fetch", request.user_id, view.cost - skipped_cost, quota)
            if page.lacks and (tries_left := tries_left - 1):
                continue
            if not (page.is_delta and not page.items and not page.has_more and request.wait_ms > 0):
                break
            assert page.token is not None
            asked = asked.behind(page.token)
            if not self._is_newest(request.user_id, page.token):
                continue  # while the page was read something was written, or it may have been: look before the wait
            del row, mailbox, view  # the mailbox may leave the memory meanwhile
            grant.admit()
            waiter = Waiter(
                request.user_id,
                grant,
                page.token,
                only_messages=True,
                conversation_id=request.conversation_id,
                bearer=request.bearer,
            )
            try:
                woken = await self._waiters.begin(waiter, max(0.0, deadline - self._loop.time()))
            finally:
                self._waiters.end(waiter)
            if woken is not Woken.CHANGE:
                return self._empty(bookmarks, waiter, woken, quota)
        grant.check()
        self._gave(row, mailbox, begun, page)
        return _answer(bookmarks, page, quota, has_more=page.has_more)

    def _bookmarks_of(self, request: FetchMessages) -> Bookmarks:
        kind = ListKind.ALL_MESSAGES if request.conversation_id is None else ListKind.MESSAGES
        return self.bookmarker.of(request.user_id, kind, request.conversation_id)

    def _in_memory(self, request: FetchMessages, asked: PageRequest, row: Row) -> MessagePage | None:
        """What is asked for most, where memory says it and nothing is awaited: the first page of a conversation, and
        that nothing came since a token.
        """
        mailbox = row.mailbox
        if mailbox is None or mailbox.is_erased:
            return None
        self._prove(mailbox, request, asked.start)
        if asked.start == mailbox.head:
            if request.wait_ms or not _is_known(mailbox, request.conversation_id):
                return None
            return MessagePage((), True, mailbox.head)
        if request.conversation_id is None or asked.number or asked.start is not None:
            return None
        page = self._pages.in_memory(mailbox, asked, self._now_us())
        if page is not None:
            mailbox.proofs.gave_page(mailbox.head)
        return page

    async def settled_page(self, user_id: str, asked: PageRequest) -> tuple[Mailbox, ConversationPage]:
        """A page in which nothing has ended, if that is to be had now, and the mailbox as it was made of it."""
        if isinstance(asked.start, int):
            await self._settling.before_delta(user_id, asked.start)
        looks = 0
        while True:
            _, mailbox = await self._table.loaded(user_id)
            page = conversation_page(mailbox, asked, mailbox.horizon(self._now_us()))
            if not page.ended or looks == MOST_LOOKS:
                return mailbox, page
            is_settled = await self._settling.settle(user_id, page.ended)
            looks = looks + 1 if is_settled else MOST_LOOKS

    async def _message_page(
        self, row: Row, grant: Grant, view: View, asked: PageRequest, bearer: Bearer | None
    ) -> MessagePage:
        """What was read for a token that was revoked meanwhile is not told: TokenRevoked. Raises what `page` does."""
        try:
            page = await self._pages.page(view, asked)
        except HandoverInProgress:
            self._table.drop_replaced(row, view.mailbox)
            raise
        except PageTooLarge:
            grant.check()
            raise
        self._revocations.check_again(bearer)
        return page

    def _prove(self, mailbox: Mailbox, request: FetchMessages, start: Start | ResetReason) -> None:
        if request.proves and isinstance(start, int):
            self._proven(mailbox, start, request.conversation_id, request.bearer)

    def _empty(self, bookmarks: Bookmarks, waiter: Waiter, woken: Woken, quota: Quota | None) -> Page:
        """The answer to a wait that nothing came of. TokenRevoked, NotTheOwner where that is why it ended."""
        return Page((), True, bookmarks.token(waiter.head), retry_after_ms=no_news(waiter, woken), quota=quota)

    def _is_newest(self, user_id: str, token: int) -> bool:
        """Whether nothing came after `token`, by the mailbox in memory. Not known of one that has left it."""
        row = self._table.peek(user_id)
        return row is not None and row.mailbox is not None and row.mailbox.head <= token

    def _gave(self, row: Row, mailbox: Mailbox, start: Start | ResetReason, page: MessagePage) -> None:
        """Notes what the client will prove when it comes back with the page's token, and what memory holds now."""
        if page.is_delta and isinstance(start, int) and page.token is not None:
            mailbox.proofs.gave_delta(start, page.token, has_messages=bool(page.items))
        elif page.token is not None:
            mailbox.proofs.gave_page(page.token)
        if row.mailbox is mailbox:
            self._table.account(row)


def _is_known(mailbox: Mailbox, conversation_id: bytes | None) -> bool:
    """Whether the mailbox has the conversation that is asked for; None is all of them."""
    return conversation_id is None or conversation_id in mailbox.index


def _asked(bookmarks: Bookmarks, request: FetchConversations | FetchMessages) -> PageRequest:
    """The page that is asked for. BadRequest: its token or its cursor is none of this list."""
    start: Start | ResetReason = None
    number = None
    if request.token is not None:
        start = bookmarks.read_token(request.token)
    elif request.cursor is not None:
        start = bookmarks.read_cursor(request.cursor)
    else:
        number = request.page_number
    max_bytes = request.max_bytes if isinstance(request, FetchMessages) else PAGE_BYTES
    return PageRequest(bookmarks, start, number, request.page_size, max_bytes)


def _answer(bookmarks: Bookmarks, page: ConversationPage | MessagePage, quota: Quota | None, *, has_more: bool) -> Page:
    token = None if page.token is None else bookmarks.token(page.token)
    return Page(page.items, page.is_delta, token, has_more, page.next_cursor, page.reset, None, quota)
