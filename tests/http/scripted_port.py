"""A port that answers what it is told to: for tests of the translation at the edge, never of a mailbox's behaviour."""

from collections.abc import Sequence
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
    DeviceShown,
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
    Quota,
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
from rowbox.mailbox.group import GroupSettings, Member
from rowbox.mailbox.groups.requests import GroupView
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.revocation import Bearer

ID = bytes(range(16))
SENT = SendResult(ID, ID[::-1], 1_700_000_000_000_001, 1_700_000_000_000_002, 0, duplicate=False)
MARKED = MarkReadResult(ID, 3, 1_700_000_000_000_003)
CHANGED = ChangeResult(ID, 1_700_000_000_000_005, changed=True)
GROUP = GroupResult(ID, 1_700_000_000_000_006, changed=True, pending=0)
VIEW = GroupView(1_700_000_000_000_006, "the five", GroupSettings(), (Member("alice", "owner", 1_700_000_000_000_001),))
DEVICE = DeviceShown("laptop", "Alice's", "web", 1_700_000_000_000_001, 1_700_000_000_000_002, is_asking=True)
ACCOUNT = AccountResult(1_700_000_000_000_007, changed=True)
PROFILE = Profile(
    1_700_000_000_000_007, 1, "Alice", "https://pictures.example/a", {"locale": "en"}, 1_700_000_000_000_006
)
EMPTY_PAGE = Page((), is_delta=True, token="1700000000000004.0123456789abcdef01234567")

NO_CHANGES = Changes((), (), account=False, is_delta=True, token="1700000000000004.0123456789abcdef01234567")


class ScriptedFollowing:
    """Is told what a test tells (ScriptedPort.followers)."""

    head = NO_CHANGES.token

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class ScriptedPort:
    """`error` is raised by every call, `not_admitted` before a body is read; else `sent`, `marked`, `changed`, `page`
    or `changes` is the answer, with `quota` where one is set.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.not_admitted: Exception | None = None
        self.sent = SENT
        self.marked = MARKED
        self.changed = CHANGED
        self.group = GROUP
        self.account = ACCOUNT
        self.blocks = BlocksShown((), has_more=False)
        self.contacts = ContactsShown((), has_more=False)
        self.requests = RequestsShown((), None)
        self.profiles: dict[str, Profile] = {"alice": PROFILE}
        self.sees: dict[str, bool | None] = {"bob": True}
        self.hidden: set[str] = set()
        self.hidden_page = HiddenPage(())
        self.devices_left = 1
        self.page = EMPTY_PAGE
        self.changes = NO_CHANGES
        self.followers: list[Notify] = []
        self.receipts = ReceiptsResult((), 0)
        self.located = Located("")
        self.found = Found((), complete=True, as_of=0)
        self.quota: Quota | None = None
        self.unready: list[str] = []
        self.calls: list[Any] = []
        self.has_drained = False

    def admit_write(self, user_id: str, bearer: Bearer | None = None) -> None:
        if self.not_admitted is not None:
            raise self.not_admitted

    async def send(self, request: Send) -> SendResult:
        self._called(request)
        return self.sent

    async def send_status(self, user_id: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        self._called((user_id, client_message_id))
        return self.sent

    async def mark_read(self, request: MarkRead) -> MarkReadResult:
        self._called(request)
        return self.marked

    async def change_message(self, request: ChangeMessage) -> ChangeResult:
        self._called(request)
        return self.changed

    async def react(self, request: React) -> ChangeResult:
        self._called(request)
        return self.changed

    async def set_ttl(self, request: SetTtl) -> TtlResult:
        self._called(request)
        return TtlResult(request.conversation_id, self.marked.last_updated_timestamp, changed=True, quota=self.quota)

    async def change_group(self, request: ChangeGroup) -> GroupResult:
        self._called(request)
        return self.group

    async def fetch_group(self, request: FetchGroup) -> GroupShown:
        self._called(request)
        return GroupShown(request.conversation_id, VIEW)

    async def change_account(self, request: ChangeAccount) -> AccountResult:
        self._called(request)
        return self.account

    async def fetch_blocks(self, request: FetchBlocks) -> BlocksShown:
        self._called(request)
        return self.blocks

    async def report(self, request: Report) -> ReportResult:
        self._called(request)
        return ReportResult(request.conversation_id, request.message_ids, duplicate=False, quota=self.quota)

    async def fetch_hidden(self, request: FetchHidden) -> HiddenPage:
        self._called(request)
        return self.hidden_page

    async def fetch_contacts(self, request: FetchContacts) -> ContactsShown:
        self._called(request)
        return self.contacts

    async def fetch_requests(self, request: FetchRequests) -> RequestsShown:
        self._called(request)
        return self.requests

    async def fetch_users(self, request: FetchUsers) -> UsersShown:
        self._called(request)
        return UsersShown(tuple(map(self.profiles.get, request.users)), self.quota)

    async def presence_terms(self, request: AskPresence) -> PresenceTerms:
        self._called(request)
        sees = tuple(self.sees.get(user_id, False) for user_id in request.users)
        return PresenceTerms(request.user_id in self.hidden, sees, self.quota)

    async def fetch_conversations(self, request: FetchConversations) -> Page:
        self._called(request)
        return self.page

    async def fetch_messages(self, request: FetchMessages) -> Page:
        self._called(request)
        return self.page

    async def fetch_changes(self, request: FetchChanges) -> Changes:
        self._called(request)
        return self.changes

    async def follow(self, request: Follow, notify: Notify) -> Following:
        self._called(request)
        self.followers.append(notify)
        return ScriptedFollowing()

    async def prove(self, request: ProvenToken) -> None:
        self._called(request)

    async def register_device(self, request: RegisterDevice) -> DevicesResult:
        self._called(request)
        return DevicesResult((DEVICE,))

    async def set_push(self, request: SetPush) -> DevicesResult:
        self._called(request)
        return DevicesResult((DEVICE,))

    async def sign_out(self, request: SignOut) -> SignOutResult:
        self._called(request)
        return SignOutResult((request.device_id,), left=self.devices_left)

    async def fetch_devices(self, request: FetchDevices) -> DevicesResult:
        self._called(request)
        return DevicesResult((DEVICE,))

    async def fetch_receipts(self, request: FetchReceipts) -> ReceiptsResult:
        self._called(request)
        return self.receipts

    async def locate(self, request: Locate) -> Located:
        self._called(request)
        return self.located

    async def search(self, request: Search) -> Found:
        self._called(request)
        return self.found

    def warnings(self) -> Sequence[str]:
        return ()

    def unready_reasons(self) -> Sequence[str]:
        return self.unready

    def begin_drain(self) -> None:
        self.has_drained = True

    def _called(self, request: object) -> None:
        self.calls.append(request)
        if self.error is not None:
            raise self.error
