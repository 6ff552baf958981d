"""The owner's side of the order of a user's writes: what a router sent behind a write that was refused is refused, too.

A router sends a user's writes one behind the other. Suppose that the owner refuses the first one because it is about
to give the shard away, gives that up, and then gets the second one. If it began that one, the first, which comes again,
would come too late.

So each write says its turn. A router counts turns: a higher one with each refusal that it hears of. What it sends of
one user while it waits for answers has one turn, and when all has come back and some was refused, it begins again with
a higher one. Here the turn of each write that was refused is remembered by its user, whoever refused it, also where
there is no Owner (refused_turns.py). The Owner does the same with what waits in its queues (commit/pipeline.py): a
refusal is heard here a turn of the loop later than there.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

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
from rowbox.cacheserver.refused_turns import COMES_AGAIN, RefusedTurns
from rowbox.cacheserver.routing.targets import Target
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer

_Result = TypeVar("_Result")
_Ordered: TypeAlias = (
    Send
    | MarkRead
    | ChangeMessage
    | React
    | SetTtl
    | ChangeGroup
    | RegisterDevice
    | SetPush
    | SignOut
    | ChangeAccount
    | Report
)


class InTurn:
    """An owner as other processes see it: `target`, with the writes of each user of each router in their order."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._refused = RefusedTurns()

    def send(self, request: Send) -> Coroutine[Any, Any, SendResult]:
        """See MailboxPort. NotTheOwner of no version of the map: an earlier write of the user was refused."""
        if request.routed is None:
            return self._target.send(request)
        return self._in_turn(request.sender_id, request.routed, self._target.send, request)

    def mark_read(self, request: MarkRead) -> Coroutine[Any, Any, MarkReadResult]:
        """As `send`."""
        if request.routed is None:
            return self._target.mark_read(request)
        return self._in_turn(request.user_id, request.routed, self._target.mark_read, request)

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.change_message(request)
        return await self._in_turn(request.user_id, request.routed, self._target.change_message, request)

    async def react(self, request: React) -> ChangeResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.react(request)
        return await self._in_turn(request.user_id, request.routed, self._target.react, request)

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.set_ttl(request)
        return await self._in_turn(request.user_id, request.routed, self._target.set_ttl, request)

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.change_group(request)
        return await self._in_turn(request.user_id, request.routed, self._target.change_group, request)

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.register_device(request)
        return await self._in_turn(request.user_id, request.routed, self._target.register_device, request)

    async def set_push(self, request: SetPush) -> DevicesResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.set_push(request)
        return await self._in_turn(request.user_id, request.routed, self._target.set_push, request)

    async def sign_out(self, request: SignOut) -> SignOutResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.sign_out(request)
        return await self._in_turn(request.user_id, request.routed, self._target.sign_out, request)

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.change_account(request)
        return await self._in_turn(request.user_id, request.routed, self._target.change_account, request)

    async def report(self, request: Report) -> ReportResult:
        """As `send`."""
        if request.routed is None:
            return await self._target.report(request)
        return await self._in_turn(request.user_id, request.routed, self._target.report, request)

    async def _in_turn(
        self,
        user_id: str,
        routed: Routed,
        ask: Callable[[Any], Awaitable[_Result]],
        request: _Ordered,
    ) -> _Result:
        self._refused.admit(user_id, routed)
        try:
            return await ask(request)
        except COMES_AGAIN:
            self._refused.refuse(user_id, routed)
            raise

    # ------------------------------------------------------------------ what has no order, passed on

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        """See MailboxPort."""
        self._target.admit_write(user_id, bearer)

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        """See MailboxPort."""
        return await self._target.send_status(user_id, client_message_id, bearer)

    def fetch_conversations(self, request: FetchConversations) -> Coroutine[Any, Any, Page]:
        """See MailboxPort. No coroutine of its own: ten thousand may wait."""
        return self._target.fetch_conversations(request)

    def fetch_messages(self, request: FetchMessages) -> Coroutine[Any, Any, Page]:
        """As `fetch_conversations`."""
        return self._target.fetch_messages(request)

    def fetch_changes(self, request: FetchChanges) -> Coroutine[Any, Any, Changes]:
        """As `fetch_conversations`."""
        return self._target.fetch_changes(request)

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """See MailboxPort."""
        return await self._target.follow(request, notify)

    async def prove(self, request: ProvenToken) -> None:
        """See MailboxPort."""
        await self._target.prove(request)

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        """See MailboxPort."""
        return await self._target.fetch_receipts(request)

    async def locate(self, request: Locate) -> Located:
        """See MailboxPort."""
        return await self._target.locate(request)

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        """See MailboxPort."""
        return await self._target.fetch_devices(request)

    async def search(self, request: Search) -> Found:
        """See MailboxPort."""
        return await self._target.search(request)

    async def revoke_user(self, user_id: str) -> int:
        """See RevocationPort."""
        return await self._target.revoke_user(user_id)

    async def revoke_id(self, token_id: str) -> None:
        """See RevocationPort."""
        await self._target.revoke_id(token_id)

    def deliver(self, user_id: str, messages: Sequence[Message]) -> Awaitable[int]:
        """See Target. One delivery of a recipient is under way at a time, so these need no order."""
        return self._target.deliver(user_id, messages)

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        """See MailboxPort."""
        return await self._target.fetch_blocks(request)

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        """See MailboxPort."""
        return await self._target.fetch_hidden(request)

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        """See MailboxPort."""
        return await self._target.fetch_contacts(request)

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        """See MailboxPort."""
        return await self._target.fetch_requests(request)

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        """See MailboxPort."""
        return await self._target.fetch_users(request)

    def profile_of(self, user_id: str) -> Awaitable[Profile | None]:
        """See UserPort."""
        return self._target.profile_of(user_id)

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        """See MailboxPort."""
        return await self._target.presence_terms(request)

    def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Awaitable[Sequence[bool | None]]:
        """See UserPort."""
        return self._target.shows_presence(watcher_id, users)

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        """See MailboxPort."""
        return await self._target.fetch_group(request)

    def ask_group(self, asked: GroupRequest) -> Awaitable[GroupAnswer]:
        """See GroupPort. Each user's requests to a group come one by one (cacheserver/lines.py)."""
        return self._target.ask_group(asked)

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> Awaitable[int]:
        """See Target. They need no order."""
        return self._target.take_receipts(user_id, receipts)

    def judge(self, bearer: Bearer) -> Awaitable[None]:
        """See Target."""
        return self._target.judge(bearer)

    def unready_reasons(self) -> Sequence[str]:
        """See MailboxPort."""
        return self._target.unready_reasons()

    def warnings(self) -> Sequence[str]:
        """See MailboxPort."""
        return self._target.warnings()

    def begin_drain(self) -> None:
        """See MailboxPort."""
        self._target.begin_drain()
