"""The feed of an owner's users: what changed since a token, at once or after a wait for it.

Every answer is given only while the grant still holds under which its request began (docs/consistency.md, rule 5).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.cache.waiters import Waiter, Waiters, Woken
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.fetch.feed_pages import FeedPage, FeedPages
from rowbox.cacheserver.fetch.settling import Settling
from rowbox.cacheserver.fetch.waiting import Proven, no_news, until_an_end_s
from rowbox.cacheserver.port import Changes, FetchChanges, ProvenToken, Quota
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.pages.conversation_pages import ConversationPage
from rowbox.mailbox.pages.cursor import Bookmarker, Bookmarks, ListKind, ResetReason, reset_reason
from rowbox.mailbox.pages.feed import FIRST_CONVERSATIONS
from rowbox.mailbox.pages.page_request import PageRequest
from rowbox.mailbox.revocation import Bearer

FirstPage: TypeAlias = Callable[[str, PageRequest], Awaitable[tuple[Mailbox, ConversationPage]]]
"""A page of a user's conversations in which nothing has ended, and the mailbox as it was made of it."""


class Feed:
    """Answers FetchChanges of one owner's users."""

    def __init__(
        self,
        table: Table,
        pages: FeedPages,
        first_page: FirstPage,
        waiters: Waiters,
        settling: Settling,
        revocations: Revocations,
        seen_us: NowUs,
        latest_us: NowUs,
        limits: RateLimits,
        proven: Proven,
    ) -> None:
        """`latest_us` gives the latest time that it may be: what has expired by it may be gone from the log."""
        self._table = table
        self._pages = pages
        self._first_page = first_page
        self._waiters = waiters
        self._settling = settling
        self._revocations = revocations
        self._seen_us = seen_us
        self._latest_us = latest_us
        self._limits = limits
        self._proven = proven
        self._bookmarker = Bookmarker(b"")
        self._loop = asyncio.get_running_loop()
        self.begun = 0
        """Fetches that were asked for, long polls too, and were not refused for their rate."""

    def go_by(self, history: bytes) -> None:
        """Sets the history that the store is in. To be called before the first fetch."""
        self._bookmarker = Bookmarker(history)

    def bookmarks(self, user_id: str) -> Bookmarks:
        """Makes and reads the tokens of a user's feed."""
        return self._bookmarker.of(user_id, ListKind.CHANGES)

    async def changes(self, request: FetchChanges) -> Changes:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        self.begun += 1
        bookmarks = self.bookmarks(user_id)
        begun = since = None if request.token is None else bookmarks.read_token(request.token)
        grant = self._table.admitted(user_id).grant
        deadline = self._loop.time() + request.wait_ms / 1000
        while True:
            mailbox, since = await self._begun(user_id, bearer, since)
            if request.proves and isinstance(begun, int) and not isinstance(since, ResetReason):
                self._proven(mailbox, begun, None, bearer)
            if since is None or isinstance(since, ResetReason):
                answer = await self._beginning(user_id, bookmarks, since, quota)
                self._revocations.check_again(bearer)
                grant.check()
                return answer
            is_ended = mailbox.index.endings.first <= mailbox.horizon(self._seen_us())
            is_to_settle = is_ended and await self._settling.a_part(user_id)
            page, mailbox, quota = await self._page(request, since, quota)
            self._revocations.check_again(bearer)
            has_more = page.has_more or is_to_settle
            if page.messages or page.conversations or page.account or has_more or not request.wait_ms:
                break
            since = page.reached
            row = self._table.peek(user_id)
            if row is None or row.mailbox is None or row.mailbox.head > since:
                continue  # while the page was read something was written, or it may have been: look before the wait
            left_s = max(0.0, deadline - self._loop.time())
            look_s = until_an_end_s(mailbox, self._seen_us(), left_s)
            waiter = Waiter(user_id, grant, since, only_messages=False, conversation_id=None, bearer=bearer)
            grant.admit()
            del row, mailbox, page  # the mailbox may leave the memory meanwhile
            try:
                woken = await self._waiters.begin(waiter, look_s)
            finally:
                self._waiters.end(waiter)
            if woken is not Woken.CHANGE and (woken is not Woken.TIME or look_s == left_s):
                later_ms = no_news(waiter, woken)
                token = bookmarks.token(waiter.head)
                return Changes((), (), account=False, is_delta=True, token=token, retry_after_ms=later_ms, quota=quota)
        grant.check()
        if isinstance(begun, int):
            mailbox.proofs.gave_delta(begun, page.reached, has_messages=bool(page.messages))
        token = bookmarks.token(page.reached)
        return Changes(page.messages, page.conversations, page.account, True, token, has_more, quota=quota)

    async def prove(self, request: ProvenToken) -> None:
        """See MailboxPort. It costs the user nothing: a client says so at most once a second (api/realtime)."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        self._table.admitted(user_id)
        mailbox, since = await self._begun(user_id, bearer, self.bookmarks(user_id).read_token(request.token))
        if isinstance(since, int):
            self._proven(mailbox, since, None, bearer)

    async def _begun(
        self, user_id: str, bearer: Bearer | None, since: int | ResetReason | None
    ) -> tuple[Mailbox, int | ResetReason | None]:
        """The mailbox, and from where on its changes are given: `since`, or why that cannot be. TokenRevoked."""
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        self._revocations.check_again(bearer)
        if isinstance(since, int):
            life_ms = mailbox.limits.token_life_ms
            now_us = self._latest_us()
            return mailbox, (
                reset_reason(since, mailbox.head, born=mailbox.born, now_us=now_us, token_life_ms=life_ms) or since
            )
        return mailbox, since

    async def _beginning(
        self, user_id: str, bookmarks: Bookmarks, why: ResetReason | None, quota: Quota | None
    ) -> Changes:
        """The newest conversations, and the head as the token to go on with."""
        listed = self._bookmarker.of(user_id, ListKind.CONVERSATIONS)
        mailbox, page = await self._first_page(user_id, PageRequest(listed, None, 0, FIRST_CONVERSATIONS))
        mailbox.proofs.gave_page(mailbox.head)
        return Changes(
            (),
            page.items,
            account=False,
            is_delta=False,
            token=bookmarks.token(mailbox.head),
            reset_reason=why,
            quota=quota,
            next_cursor=page.next_cursor,
        )

    async def _page(
        self, request: FetchChanges, since: int, quota: Quota | None
    ) -> tuple[FeedPage, Mailbox, Quota | None]:
        """The page behind `since`, the mailbox of which it is, and the quota without what its reads have cost."""
        row, mailbox = await self._table.loaded(request.user_id)
        view = View(row.key, mailbox, self._seen_us())
        try:
            page = await self._pages.since(view, since, request.page_size, request.max_bytes)
        except HandoverInProgress:
            self._table.drop_replaced(row, mailbox)
            raise
        finally:
            quota = self._limits.charge("fetch", request.user_id, view.cost, quota)
        if row.mailbox is mailbox:
            self._table.account(row)
        return page, mailbox, quota
