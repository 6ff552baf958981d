"""A router over targets that answer when and as the test says."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

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
from rowbox.cacheserver.routing.router import Router
from rowbox.cacheserver.routing.targets import Local, Targets
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import HandoverInProgress, RowboxError
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.ids import ID_BYTES, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer

PATIENCE_S = 5.0


class Asked:
    """One try that a target got: what was asked, and what it is answered with."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.at_s = asyncio.get_running_loop().time()
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def says(self, answer: Any) -> None:
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class ScriptedTarget:
    """Keeps each try until the test answers it; `error` is the answer to all while it is set."""

    def __init__(self, incarnation: str = "") -> None:
        self.incarnation = incarnation
        self.asked: list[Asked] = []
        self.error: Exception | None = None
        self.is_up = True
        self.map_version = 1
        self.is_closed = False
        self.has_drained = False
        self.not_admitted: Exception | None = None

    @property
    def names(self) -> list[str]:
        """The clientMessageIds that were sent here, in order."""
        return [one.request.client_message_id for one in self.asked if isinstance(one.request, Send)]

    def _ask(self, request: Any) -> "asyncio.Future[Any]":
        asked = Asked(request)
        self.asked.append(asked)
        if self.error is not None:
            asked.says(self.error)
        return asked.answer

    async def send(self, request: Send) -> SendResult:
        answer: SendResult = await self._ask(request)
        return answer

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        answer: MarkReadResult = await self._ask(request)
        return answer

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        answer: ChangeResult = await self._ask(request)
        return answer

    async def react(self, request: React) -> ChangeResult:
        answer: ChangeResult = await self._ask(request)
        return answer

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        answer: TtlResult = await self._ask(request)
        return answer

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        answer: GroupResult = await self._ask(request)
        return answer

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        answer: GroupShown = await self._ask(request)
        return answer

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        answer: AccountResult = await self._ask(request)
        return answer

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        answer: BlocksShown = await self._ask(request)
        return answer

    async def report(self, request: Report) -> ReportResult:
        answer: ReportResult = await self._ask(request)
        return answer

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        answer: HiddenPage = await self._ask(request)
        return answer

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        answer: ContactsShown = await self._ask(request)
        return answer

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        answer: RequestsShown = await self._ask(request)
        return answer

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        answer: UsersShown = await self._ask(request)
        return answer

    def profile_of(self, user_id: str) -> "asyncio.Future[Profile | None]":
        return self._ask(user_id)

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        answer: PresenceTerms = await self._ask(request)
        return answer

    def shows_presence(self, watcher_id: str, users: Sequence[str]) -> "asyncio.Future[Sequence[bool | None]]":
        return self._ask((watcher_id, *users))

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        answer: SendResult = await self._ask((user_id, client_message_id))
        return answer

    async def fetch_conversations(self, request: FetchConversations) -> Page:
        answer: Page = await self._ask(request)
        return answer

    async def fetch_messages(self, request: FetchMessages) -> Page:
        answer: Page = await self._ask(request)
        return answer

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        answer: Changes = await self._ask(request)
        return answer

    async def follow(self, request: Follow, notify: Notify) -> Following:
        self.notify = notify
        answer: Following = await self._ask(request)
        return answer

    async def prove(self, request: ProvenToken) -> None:
        await self._ask(request)

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        answer: DevicesResult = await self._ask(request)
        return answer

    async def set_push(self, request: SetPush) -> DevicesResult:
        answer: DevicesResult = await self._ask(request)
        return answer

    async def sign_out(self, request: SignOut) -> SignOutResult:
        answer: SignOutResult = await self._ask(request)
        return answer

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        answer: DevicesResult = await self._ask(request)
        return answer

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        answer: ReceiptsResult = await self._ask(request)
        return answer

    async def locate(self, request: Locate) -> Located:
        answer: Located = await self._ask(request)
        return answer

    async def search(self, request: Search) -> Found:
        answer: Found = await self._ask(request)
        return answer

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        return self._ask((user_id, receipts))

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        return self._ask((user_id, messages))

    def deliver_to_many(
        self, users: Sequence[str], messages: Sequence[Message]
    ) -> "asyncio.Future[Sequence[int | RowboxError]]":
        return self._ask((tuple(users), messages))

    def ask_group(self, asked: GroupRequest) -> "asyncio.Future[GroupAnswer]":
        return self._ask(asked)

    def judge(self, bearer: Bearer) -> "asyncio.Future[None]":
        return self._ask(bearer)

    async def revoke_user(self, user_id: str) -> int:
        answer: int = await self._ask(user_id)
        return answer

    async def revoke_id(self, token_id: str) -> None:
        await self._ask(token_id)

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        if self.not_admitted is not None:
            raise self.not_admitted

    def unready_reasons(self) -> Sequence[str]:
        return ()

    def warnings(self) -> Sequence[str]:
        return ("a warning",)

    def begin_drain(self) -> None:
        self.has_drained = True

    async def close(self) -> None:
        self.is_closed = True


class Routed:
    """A router, a map of one shard that the incarnations of `names` own in turn, and their targets."""

    def __init__(self, *names: str, local: str | None = None, **limits: int) -> None:
        self.view = MapView()
        self.targets_of: dict[str, ScriptedTarget] = {}
        self.own = ScriptedTarget(local) if local is not None else None
        self.own_name = local or ""
        self.standing_reasons: list[str] = []
        own = None
        if self.own is not None:
            target = self.own
            self.targets_of[target.incarnation] = target
            own = Local(lambda: self.own_name, target, lambda: self.standing_reasons)
        self.targets = Targets(self.view, self._connect, own)
        self.router = Router(self.view, self.targets, patience_s=PATIENCE_S, random=Random(7), **limits)
        self.targets.start()
        self.standing = empty_map(1).next().listing(ListedNode(name, name, f"{name}:1") for name in names)

    def __getitem__(self, name: str) -> ScriptedTarget:
        return self.targets_of.setdefault(name, ScriptedTarget(name))

    def gives(self, name: str | None) -> ShardMap:
        """The router knows a newer map, by which the incarnation owns everything; None: the same one does."""
        newer = self.standing.next()
        self.standing = newer if name is None else newer.giving([0], name)
        self.view.show(self.standing)
        return self.standing

    def send(self, name: str, sender: str = "ann", bearer: Bearer | None = None) -> "asyncio.Task[SendResult]":
        return asyncio.ensure_future(self.router.send(Send(sender, "bob", "hello", name, bearer)))

    def _connect(self, node: ListedNode) -> ScriptedTarget:
        return self.targets_of.setdefault(node.incarnation, ScriptedTarget(node.incarnation))


def sent(entropy: int = 0, *, duplicate: bool = False) -> SendResult:
    return SendResult(message_id(1_800_000_000_000_000, entropy), bytes(ID_BYTES), 0, 0, 0, duplicate=duplicate)


async def turns(number: int = 20) -> None:
    """Everybody who can go on does."""
    for _ in range(number):
        await asyncio.sleep(0)


async def comes_to(what: Callable[[], bool]) -> None:
    """Waits, in virtual time, until it is so."""
    for _ in range(60_000):
        if what():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to that")


async def fails(waiting: Awaitable[Any]) -> Exception:
    """The error that it ends with."""
    try:
        await waiting
    except Exception as error:  # noqa: BLE001 - the test looks which one it is
        return error
    raise AssertionError("it did not fail")


LAPSED = HandoverInProgress("lapsed", retry_after_ms=1000)
