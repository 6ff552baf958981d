"""The router: MailboxPort for every user of a cluster. It finds the owner, and asks again where that was not it.

    a request -> targets: who owns the user, by the newest map -> that owner: here, or over a link -> its answer
                    ^                                                  |
                    +---- a newer map, or a pause (refusal.py) <-------+ not the owner, lapsed, link lost, unknown

What it promises beside the port:

- A user's writes are begun by each owner in the order in which they came here (user_line.py, in_turn.py).
- A write is tried again under its own clientMessageId, so it is one message. A retry that meets the write's own first
  try is no duplicate to the client, who asked once: the bits that were drawn for its messageId tell.
- After a try that may have been written no answer says that nothing was (P7): it becomes StoreOutcomeUnknown.
- A wait goes on at the next owner, with the time that is left and the same token.
- What waits for an owner waits for `patience_s` at most, counted from when it came; a long poll from when it lost its
  owner. What an owner has begun to answer is not cut off by that.
"""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

import msgspec

from rowbox.cacheserver.background import background_samples
from rowbox.cacheserver.budget import text_bytes
from rowbox.cacheserver.features import check_deed, check_reports, check_ttls
from rowbox.cacheserver.port import (
    AccountResult,
    AskPresence,
    BlocksShown,
    ChangeAccount,
    ChangeGroup,
    ChangeMessage,
    ChangeResult,
    Changes,
    ContactsShown,
    DevicesResult,
    FetchBlocks,
    FetchChanges,
    FetchContacts,
    FetchConversations,
    FetchDevices,
    FetchGroup,
    FetchHidden,
    FetchMessages,
    FetchReceipts,
    FetchRequests,
    FetchUsers,
    Follow,
    Following,
    Found,
    GroupResult,
    GroupShown,
    HiddenPage,
    Locate,
    Located,
    MarkRead,
    MarkReadResult,
    Notify,
    Page,
    PresenceTerms,
    ProvenToken,
    React,
    ReceiptsResult,
    RegisterDevice,
    Report,
    ReportResult,
    RequestsShown,
    Routed,
    Search,
    Send,
    SendResult,
    SetPush,
    SetTtl,
    SignOut,
    SignOutResult,
    TtlResult,
    UsersShown,
)
from rowbox.cacheserver.routing.followings import Followings
from rowbox.cacheserver.routing.judges import Judges
from rowbox.cacheserver.routing.refusal import Now, Refusal, Until, refusal_of
from rowbox.cacheserver.routing.targets import Route, Target, Targets
from rowbox.cacheserver.routing.user_line import UserLine, UserLines, Write
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import (
    ClientMessageIdReused,
    HandoverInProgress,
    LinkLost,
    NotTheOwner,
    RowboxError,
    StoreOutcomeUnknown,
)
from rowbox.mailbox.ids import counted, entropy_of
from rowbox.mailbox.revocation import Bearer

MOST_WAITING: Final = 20_000
MOST_WAITING_BYTES: Final = 64 << 20
"""Writes that wait for an owner, or behind such a one, and their bytes."""
WRITE_BYTES: Final = 2_000
"""What a waiting write takes beside its text: its task, its request, its place."""
SLICE_MS: Final = 1_000
"""How long a wait with the token of another user lasts until that is judged anew."""
LEAST_WAIT_S: Final = 1.0
"""An owner that kept a request for so long was waiting for news, or was slow; only the former is given more time."""
NO_MAP: Final = "it is not known yet which servers own the mailboxes"
_REASONS: Final = {
    Until.NEWER_MAP: "not_the_owner",
    Until.APPLIED: "owner_behind",
    Until.LINK: "link",
    Until.PAUSE: "lease",
}

_Result = TypeVar("_Result")
_Fetch = TypeVar("_Fetch", FetchConversations, FetchMessages, FetchChanges)
_Fetched = TypeVar("_Fetched", Page, Changes)


class Router:
    """The mailboxes of all users, by the maps of `view`. `random` names it, and draws the bits of messageIds."""

    def __init__(
        self,
        view: MapView,
        targets: Targets,
        *,
        patience_s: float,
        random: Random,
        most_waiting: int = MOST_WAITING,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        self._view = view
        self._targets = targets
        self._patience_s = patience_s
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._routed = Routed(random.getrandbits(63), 1)
        self._is_draining = False
        self.lines = UserLines(most_waiting, most_waiting_bytes)
        self.judges = Judges(self._ask_judge)
        self.followings = Followings(self, random.uniform)
        targets.on_adopted = self.followings.try_again
        self.sent_again: dict[Until, int] = {}
        """Tries that were not the last of their request, by why they were not."""

    # ------------------------------------------------------------------ writes

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """See MailboxPort. Where the owner is not known, the write itself will wait for that."""
        route = self._targets.of(user_id)
        if route is not None:
            try:
                route.target.admit_write(user_id, bearer)
            except HandoverInProgress:
                return

    async def send(self, request: Send) -> SendResult:
        """See MailboxPort."""
        sender_id, content, entropy = request.sender_id, request.content, self._random.getrandbits(62)
        if request.conversation_id is not None:
            entropy = counted(entropy)  # as it will be in a group's message
        asked = (sender_id, request.recipient_id, content, request.client_message_id, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[SendResult]:
            return target.send(Send(*asked, routed, entropy, request.conversation_id))

        result = await self._write(sender_id, request.bearer, WRITE_BYTES + text_bytes(content), ask)
        if result.duplicate and entropy_of(result.message_id) == entropy:
            return msgspec.structs.replace(result, duplicate=False)
        return result

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        """See MailboxPort."""
        asked = (request.user_id, request.conversation_id, request.message_id, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[MarkReadResult]:
            return target.mark_read(MarkRead(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        """See MailboxPort. `changed` is False too where it was an earlier try of this request whose answer was lost."""
        content = request.content
        asked = (request.user_id, request.conversation_id, request.message_id, content, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[ChangeResult]:
            return target.change_message(ChangeMessage(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES + text_bytes(content or ""), ask)

    async def react(self, request: React) -> ChangeResult:
        """See MailboxPort. `changed` as of `change_message`."""
        asked = (request.user_id, request.conversation_id, request.message_id, request.emoji, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[ChangeResult]:
            return target.react(React(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        """See MailboxPort. `changed` as of `change_message`."""
        check_ttls(self._view.features)
        asked = (request.user_id, request.conversation_id, request.ttl_ms, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[TtlResult]:
            return target.set_ttl(SetTtl(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        """See MailboxPort. `changed` is False too where it was an earlier try of this request whose answer was lost."""
        asked = (request.user_id, request.conversation_id, request.deed, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[GroupResult]:
            return target.change_group(ChangeGroup(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        """See MailboxPort."""
        asked = (request.user_id, request.device_id, request.name, request.platform, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[DevicesResult]:
            return target.register_device(RegisterDevice(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def set_push(self, request: SetPush) -> DevicesResult:
        """See MailboxPort."""
        asked = (request.user_id, request.device_id, request.target, request.code, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[DevicesResult]:
            return target.set_push(SetPush(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def sign_out(self, request: SignOut) -> SignOutResult:
        """See MailboxPort."""
        asked = (request.user_id, request.device_id, request.spared, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[SignOutResult]:
            return target.sign_out(SignOut(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        """See MailboxPort. `changed` is False too where it was an earlier try of this request whose answer was lost."""
        check_deed(request.deed, self._view.features)
        asked = (request.user_id, request.deed, request.bearer)

        def ask(target: Target, routed: Routed) -> Awaitable[AccountResult]:
            return target.change_account(ChangeAccount(*asked, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def report(self, request: Report) -> ReportResult:
        """See MailboxPort. `duplicate` is True too where an earlier try did it whose answer was lost."""
        check_reports(self._view.features)
        asked = (request.user_id, request.conversation_id, request.message_ids, request.reason, request.comment)

        def ask(target: Target, routed: Routed) -> Awaitable[ReportResult]:
            return target.report(Report(*asked, request.bearer, routed))

        return await self._write(request.user_id, request.bearer, WRITE_BYTES, ask)

    async def revoke_user(self, user_id: str) -> int:
        """See RevocationPort."""
        return await self._read(user_id, lambda target: target.revoke_user(user_id))

    async def revoke_id(self, token_id: str) -> None:
        """See RevocationPort. The list of single tokens is the store's: any owner may write it."""
        await self._read("", lambda target: target.revoke_id(token_id))

    async def _write(
        self,
        user_id: str,
        bearer: Bearer | None,
        size_bytes: int,
        ask: Callable[[Target, Routed], Awaitable[_Result]],
    ) -> _Result:
        """What the user's owner answers, in the user's line. Each call of `ask` is one try."""
        deadline_s = self._loop.time() + self._patience_s
        write = Write(next(self._numbers), size_bytes)
        line = self.lines.of(user_id)
        to_judge = bearer if bearer is not None and bearer.user_id != user_id else None
        try:
            route = self._free_route(line, write) if to_judge is None else None
            while True:
                if route is None:
                    route = await self._turn_of(line, write, deadline_s, to_judge)
                    to_judge = None
                version = self._view.version
                routed = line.began(write, route.incarnation, self._routed)
                try:
                    result = await ask(route.target, routed)
                    line.confirmed(write)
                    return result
                except RowboxError as error:
                    if not self._is_to_be_sent_again(write, error, route, version, deadline_s):
                        raise
                finally:
                    line.came_back()
                route = None
        except RowboxError as error:
            told = _told(write, error)
            if told is error:
                raise
            raise told from error
        finally:
            self.lines.done(line)

    def _free_route(self, line: UserLine, write: Write) -> Route | None:
        """The way that a new write may take at once, because nobody of its line waits; None: there is none."""
        if line.queue:
            return None
        route = self._targets.of(line.user_id)
        return route if route is not None and line.lets_through(write, route.incarnation) else None

    async def _turn_of(self, line: UserLine, write: Write, deadline_s: float, to_judge: Bearer | None) -> Route:
        """Waits in the line until the write may be sent; to whom. `to_judge`: whose token is judged first, in line."""
        self.lines.line_up(line, write)
        try:
            if to_judge is not None:
                await self.judges.judge(to_judge)
            while True:
                if write.refusal is not None and line.has_overtaken(write):
                    raise write.refusal.error
                route = self._targets.of(line.user_id) if line.queue[0] is write else None
                if line.queue[0] is not write or (
                    route is not None and not line.lets_through(write, route.incarnation)
                ):
                    await self._until_woken(write, deadline_s)
                elif route is None or not self._admits(write.refusal, route):
                    await self._until_stirred(write.refusal, route, deadline_s)
                else:
                    return route
        finally:
            self.lines.leave(line, write)

    def _is_to_be_sent_again(
        self, write: Write, error: RowboxError, route: Route, version: int, deadline_s: float
    ) -> bool:
        now_s = self._loop.time()
        refusal = refusal_of(error, route.incarnation, version, now_s, write.refusal, self._random.uniform)
        if refusal is None:
            return False
        self._routed = Routed(self._routed.router, self._routed.turn + 1)
        if not isinstance(error, LinkLost):
            write.may_be_written = True
        if now_s >= deadline_s:
            return False
        write.refusal = refusal
        self._count(refusal)
        return True

    # ------------------------------------------------------------------ reads

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        """See MailboxPort."""
        if bearer is not None and bearer.user_id != user_id:
            await self.judges.judge(bearer)
        return await self._read(user_id, lambda target: target.send_status(user_id, client_message_id, bearer))

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_group(request))

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_blocks(request))

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_hidden(request))

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_contacts(request))

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_requests(request))

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_users(request))

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.presence_terms(request))

    def fetch_conversations(self, request: FetchConversations) -> Coroutine[Any, Any, Page]:
        """See MailboxPort. No coroutine of its own: ten thousand may wait."""
        return self._fetch(request, lambda target, asked: target.fetch_conversations(asked))

    def fetch_messages(self, request: FetchMessages) -> Coroutine[Any, Any, Page]:
        """As `fetch_conversations`."""
        return self._fetch(request, lambda target, asked: target.fetch_messages(asked))

    def fetch_changes(self, request: FetchChanges) -> Coroutine[Any, Any, Changes]:
        """As `fetch_conversations`."""
        return self._fetch(request, lambda target, asked: target.fetch_changes(asked))

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """See MailboxPort. It goes on at the next owner by itself."""
        return await self.followings.follow(request, notify)

    async def follow_at(self, request: Follow, notify: Notify, *, is_patient: bool) -> tuple[str, Following]:
        """See Asking."""
        asked = ""

        def ask(target: Target) -> Awaitable[Following]:
            nonlocal asked
            asked = self.owner_now(request.user_id)
            return target.follow(request, notify)

        if is_patient:
            following = await self._read(request.user_id, ask)
        else:
            route = self._targets.of(request.user_id)
            if route is None:
                raise HandoverInProgress(self._why_nobody())
            try:
                following = await ask(route.target)
            except NotTheOwner as error:
                self._view.wanted(error.map_version)
                raise
        return asked, following

    def owner_now(self, user_id: str) -> str:
        """See Asking."""
        route = self._targets.of(user_id)
        return "" if route is None else route.incarnation

    async def judge(self, bearer: Bearer) -> None:
        """TokenRevoked, by the row of the bearer's own user."""
        await self.judges.judge(bearer)

    async def prove(self, request: ProvenToken) -> None:
        """See MailboxPort."""
        await self._read(request.user_id, lambda target: target.prove(request))

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_receipts(request))

    async def locate(self, request: Locate) -> Located:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.locate(request))

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.fetch_devices(request))

    async def search(self, request: Search) -> Found:
        """See MailboxPort."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            await self.judges.judge(bearer)
        return await self._read(request.user_id, lambda target: target.search(request))

    async def _read(self, user_id: str, ask: Callable[[Target], Awaitable[_Result]], ends_s: float = 0.0) -> _Result:
        """What the user's owner answers. Each call of `ask` is one try. `ends_s`: when a wait for news is over.

        Who was waiting for news waits for an owner as if the request had come when it lost the one that it had.
        """
        began_s = self._loop.time()
        deadline_s = began_s + self._patience_s
        refusal = None
        while True:
            route = self._targets.of(user_id)
            if route is None or not self._admits(refusal, route):
                await self._until_stirred(refusal, route, deadline_s)
                continue
            version, sent_s = self._view.version, self._loop.time()
            try:
                return await ask(route.target)
            except RowboxError as error:
                now_s = self._loop.time()
                refusal = refusal_of(error, route.incarnation, version, now_s, refusal, self._random.uniform)
                if refusal is None:
                    raise
                if now_s - sent_s >= LEAST_WAIT_S:
                    deadline_s = max(deadline_s, min(now_s, ends_s) + self._patience_s)
                if now_s >= deadline_s:
                    raise
                self._count(refusal)

    async def _fetch(self, request: _Fetch, ask: Callable[[Target, _Fetch], Awaitable[_Fetched]]) -> _Fetched:
        """A fetch that may wait, or whose token is another user's."""
        bearer = request.bearer
        if bearer is not None and bearer.user_id != request.user_id:
            return await self._fetch_for(bearer, request, ask)
        if not request.wait_ms:
            return await self._read(request.user_id, lambda target: ask(target, request))
        ends_s = self._loop.time() + request.wait_ms / 1000
        return await self._read(request.user_id, lambda target: ask(target, self._left_of(request, ends_s)), ends_s)

    async def _fetch_for(
        self, bearer: Bearer, request: _Fetch, ask: Callable[[Target, _Fetch], Awaitable[_Fetched]]
    ) -> _Fetched:
        """A fetch with the token of another user, whose owner judges it: before, and after each part of a wait."""
        ends_s = self._loop.time() + request.wait_ms / 1000
        await self.judges.judge(bearer)
        while True:
            part = self._left_of(request, ends_s, SLICE_MS)
            page = await self._read(request.user_id, partial(_asked_of, ask, part))
            if not request.wait_ms:
                return page
            await self.judges.judge(bearer)
            is_over = not page.is_empty or page.retry_after_ms is not None
            token: str | None = page.token
            if is_over or token is None or self._loop.time() >= ends_s:
                return page
            request = msgspec.structs.replace(request, token=token)

    def _left_of(self, request: _Fetch, ends_s: float, most_ms: int | None = None) -> _Fetch:
        """The same request, for what is left of its wait: no time only where that is over."""
        left_ms = max(0, math.ceil((ends_s - self._loop.time()) * 1000))
        return msgspec.structs.replace(request, wait_ms=left_ms if most_ms is None else min(left_ms, most_ms))

    async def _ask_judge(self, bearer: Bearer) -> None:
        await self._read(bearer.user_id, lambda target: target.judge(bearer))

    # ------------------------------------------------------------------ waiting for an owner

    def _admits(self, refusal: Refusal | None, route: Route) -> bool:
        if refusal is None:
            return True
        version, remote = self._view.version, route.remote
        is_up, applied = (True, version) if remote is None else (remote.is_up, remote.map_version)
        return refusal.admits(Now(route.incarnation, version, is_up, applied, self._loop.time()))

    async def _until_stirred(self, refusal: Refusal | None, route: Route | None, deadline_s: float) -> None:
        """Returns when the owner may be another one, or may answer. After the deadline raises why there is none."""
        now_s = self._loop.time()
        if now_s >= deadline_s:
            raise refusal.error if refusal is not None else HandoverInProgress(self._why_nobody(), retry_after_ms=1000)
        again_s = refusal.look_again_s(now_s) if refusal is not None and route is not None else None
        if refusal is not None:
            self._view.wanted(refusal.told)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline_s if again_s is None else min(again_s, deadline_s)):
                await self._targets.stirred()

    async def _until_woken(self, write: Write, deadline_s: float) -> None:
        """Returns when the write may have come to the front. After the deadline raises what ended its last try."""
        if self._loop.time() >= deadline_s:
            text = "an earlier write of this user is still under way"
            raise write.refusal.error if write.refusal is not None else HandoverInProgress(text, retry_after_ms=1000)
        write.wake = self._loop.create_future()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline_s):
                    await write.wake
        finally:
            write.wake = None

    def _why_nobody(self) -> str:
        if self._view.newest is None:
            return NO_MAP
        return "no server that can be reached owns this mailbox now"

    # ------------------------------------------------------------------ what operators see

    def unready_reasons(self) -> Sequence[str]:
        """See MailboxPort. Whoever can reach an owner can forward, and one that owns nothing is ready as well."""
        reasons = ["draining"] if self._is_draining else []
        local, newest = self._targets.local, self._view.newest
        if local is not None:
            reasons += local.standing()
        if newest is None:
            reasons.append(NO_MAP)
        elif not any(target.is_up for target in self._targets.remote.values()) and not self._owns(newest):
            reasons.append("no server that owns mailboxes can be reached")
        return tuple(reasons)

    def warnings(self) -> Sequence[str]:
        """See MailboxPort."""
        local, newest = self._targets.local, self._view.newest
        warnings = [] if local is None else [*local.target.warnings()]
        if newest is not None and newest.ownerless:
            warnings.append(f"{len(newest.ownerless)} of {newest.shards} shards have no owner")
        down = [name for name, target in self._targets.remote.items() if not target.is_up]
        if down:
            warnings.append(f"no link to {len(down)} of {len(self._targets.remote)} servers that own mailboxes")
        return tuple(warnings)

    def begin_drain(self) -> None:
        """See MailboxPort."""
        self._is_draining = True
        self._targets.begin_drain()

    def samples(self) -> Iterable[Sample]:
        """What the router counts."""
        targets = self._targets.remote.values()
        text = "Servers of the cluster that this server calls, as its map lists them."
        yield "rowbox_router_peers", "gauge", text, {}, len(targets)
        down = sum(not target.is_up for target in targets)
        yield "rowbox_router_peers_unreachable", "gauge", "Servers of the cluster to which there is no link.", {}, down
        text = "Writes that wait for the owner of their mailbox, or behind such a one."
        yield "rowbox_router_waiting_writes", "gauge", text, {}, self.lines.waiting.count
        text = "Tries that were not the last of their request, by why."
        for reason in _REASONS:
            count = self.sent_again.get(reason, 0)
            yield "rowbox_router_retries_total", "counter", text, {"reason": _REASONS[reason]}, count
        text = "Clients of this server that follow their mailboxes, wherever these are."
        yield "rowbox_router_followings", "gauge", text, {}, len(self.followings)
        text = "Of these, those that are told nothing now: their owner is not found, or was just lost."
        yield "rowbox_router_followings_lost", "gauge", text, {}, self.followings.lost
        yield from background_samples((self._targets.loop, self.followings.loop))

    def _owns(self, newest: ShardMap) -> bool:
        local = self._targets.local
        return local is not None and bool(newest.shards_of(local.incarnation()))

    def _count(self, refusal: Refusal) -> None:
        self.sent_again[refusal.until] = self.sent_again.get(refusal.until, 0) + 1


def _asked_of(
    ask: Callable[[Target, _Fetch], Awaitable[_Fetched]], request: _Fetch, target: Target
) -> Awaitable[_Fetched]:
    return ask(target, request)


def _told(write: Write, error: RowboxError) -> RowboxError:
    """What the client is told of a write whose last try ended with `error`."""
    is_true_of_all = isinstance(error, (ClientMessageIdReused, HandoverInProgress, StoreOutcomeUnknown))
    if is_true_of_all or not write.may_be_written:
        return error
    return StoreOutcomeUnknown(f"an earlier try of this write may have been written; the last one ended: {error}")
