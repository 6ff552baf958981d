"""The handlers of the calls: each turns a Call into a value of the port, and the port's answer into a CallResult.
They know nothing of HTTP.

editMessage, unsendMessage, react, markRead, setTtl and what changes conversations, groups, devices, profiles, contacts
or blocks count against the send limit, because they write; sendStatus, fetchGroup, fetchDevices, fetchUser, fetchUsers,
fetchRequests, fetchContacts, fetchBlocks, fetchHidden, fetchPresence, heartbeat and connect against the fetch limit,
because they do not. search and report have limits of their own.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from rowbox.api.auth.claims import Claims
from rowbox.api.http.operation import Call, CallResult, Operation
from rowbox.api.v1.conversations.requests import ConversationRequests
from rowbox.api.v1.conversations.types import encode_requests, encode_set
from rowbox.api.v1.devices.requests import DeviceRequests
from rowbox.api.v1.devices.types import encode_device, encode_devices, encode_sign_out
from rowbox.api.v1.groups.requests import GroupRequests
from rowbox.api.v1.groups.types import encode_group, encode_group_shown
from rowbox.api.v1.presence.requests import parse_fetch_presence, parse_heartbeat
from rowbox.api.v1.presence.types import encode_heartbeat, encode_presence
from rowbox.api.v1.reading.request import user_id_reader
from rowbox.api.v1.requests import (
    parse_connect,
    parse_edit,
    parse_fetch_changes,
    parse_fetch_conversation,
    parse_fetch_messages,
    parse_fetch_receipts,
    parse_mark_read,
    parse_react,
    parse_search,
    parse_send,
    parse_send_status,
    parse_set_ttl,
    parse_unsend,
)
from rowbox.api.v1.responses import (
    encode_change,
    encode_connect,
    encode_feed,
    encode_found,
    encode_mark_read,
    encode_page,
    encode_receipts,
    encode_send,
    encode_set_ttl,
)
from rowbox.api.v1.users.blocks import BlockRequests, encode_block, encode_blocks
from rowbox.api.v1.users.contacts import ContactRequests, encode_contact, encode_contacts
from rowbox.api.v1.users.hidden import encode_hidden, parse_fetch_hidden
from rowbox.api.v1.users.reports import encode_report, parse_report
from rowbox.api.v1.users.requests import UserRequests
from rowbox.api.v1.users.types import encode_account, encode_deleted, encode_user, encode_users
from rowbox.cacheserver.ephemeral.port import PresencePort
from rowbox.cacheserver.port import (
    ChangeAccount,
    ChangeGroup,
    FetchChanges,
    FetchConversations,
    FetchMessages,
    Locate,
    Located,
    MailboxPort,
)
from rowbox.mailbox.account.deeds import BlockUser, CreateProfile, SetContact, UnblockUser, UpdateProfile
from rowbox.mailbox.errors import BadRequest, PeerTooOld, SignedOut, UnknownUser
from rowbox.mailbox.people.profile import ErasureStep, hides
from rowbox.mailbox.settings.config import GroupsSettings, PollSettings, UsersSettings

_Poll = FetchConversations | FetchMessages | FetchChanges
_NOT_HELD: Final = nullcontext()
POLL_MARGIN_S: Final = 15
"""Seconds that a client should listen beyond its `wait`, because the answer may be on its way when that is over."""


class Handlers:
    """The calls over one port."""

    def __init__(
        self,
        port: MailboxPort,
        poll: PollSettings,
        groups: GroupsSettings,
        users: UsersSettings,
        presence: PresencePort,
        *,
        escapes_user_ids: bool = False,
        public_url: str = "",
    ) -> None:
        """`public_url`: where clients reach the server that these handlers are in; "": where its requests say."""
        self._port = port
        self._presence = presence
        self._poll = poll
        self._public_url = public_url
        self._read_user_id = user_id_reader(escapes=escapes_user_ids)
        self._groups = GroupRequests(groups, self._read_user_id)
        self._conversations = ConversationRequests(self._read_user_id)
        self._devices = DeviceRequests(self._read_user_id)
        self._users = UserRequests(users, self._read_user_id)
        self._blocks = BlockRequests(self._read_user_id)
        self._contacts = ContactRequests(self._read_user_id)

    def operations(self) -> list[Operation]:
        """All calls of the API."""
        return [
            Operation("sendMessage", "POST", "/v1/sendMessage", "send", self.send_message, names_a_send=True),
            Operation("sendStatus", "GET", "/v1/sendStatus", "fetch", self.send_status, names_a_send=True),
            Operation("editMessage", "POST", "/v1/editMessage", "send", self.edit_message),
            Operation("unsendMessage", "POST", "/v1/unsendMessage", "send", self.unsend_message),
            Operation("react", "POST", "/v1/react", "send", self.react),
            Operation("markRead", "POST", "/v1/markRead", "send", self.mark_read),
            Operation("setTtl", "POST", "/v1/setTtl", "send", self.set_ttl),
            Operation("fetchConversation", "GET", "/v1/fetchConversation", "fetch", self.fetch_conversation),
            Operation("fetchMessages", "GET", "/v1/fetchMessages", "fetch", self.fetch_messages),
            Operation("fetchChanges", "GET", "/v1/fetchChanges", "fetch", self.fetch_changes),
            Operation("fetchReceipts", "GET", "/v1/fetchReceipts", "fetch", self.fetch_receipts),
            Operation("connect", "GET", "/v1/connect", "fetch", self.connect, asks_where=True),
            Operation("setConversation", "POST", "/v1/setConversation", "send", self.set_conversation),
            Operation("deleteConversation", "POST", "/v1/deleteConversation", "send", self.delete_conversation),
            Operation("fetchRequests", "GET", "/v1/fetchRequests", "fetch", self.fetch_requests),
            Operation("registerDevice", "POST", "/v1/registerDevice", "send", self.register_device),
            Operation("fetchDevices", "GET", "/v1/fetchDevices", "fetch", self.fetch_devices),
            Operation("setPush", "POST", "/v1/setPush", "send", self.set_push),
            Operation("signOut", "POST", "/v1/signOut", "send", self.sign_out),
            Operation("search", "GET", "/v1/search", "search", self.search),
            Operation("createGroup", "POST", "/v1/createGroup", "send", self.create_group),
            Operation("fetchGroup", "GET", "/v1/fetchGroup", "fetch", self.fetch_group),
            *(
                Operation(name, "POST", f"/v1/{name}", "send", self._changing(parse))
                for name, parse in (
                    ("addMembers", self._groups.add),
                    ("removeMember", self._groups.remove),
                    ("leaveGroup", self._groups.leave),
                    ("setRole", self._groups.set_role),
                    ("updateGroup", self._groups.update),
                    ("deleteGroup", self._groups.delete),
                )
            ),
            Operation("createUser", "POST", "/v1/createUser", "send", self.create_user),
            Operation("updateUser", "POST", "/v1/updateUser", "send", self.update_user),
            Operation("deleteUser", "POST", "/v1/deleteUser", "send", self.delete_user),
            Operation("fetchUser", "GET", "/v1/fetchUser", "fetch", self.fetch_user),
            Operation("fetchUsers", "GET", "/v1/fetchUsers", "fetch", self.fetch_users),
            Operation("heartbeat", "POST", "/v1/heartbeat", "fetch", self.heartbeat),
            Operation("fetchPresence", "GET", "/v1/fetchPresence", "fetch", self.fetch_presence),
            Operation("setContact", "POST", "/v1/setContact", "send", self.set_contact),
            Operation("fetchContacts", "GET", "/v1/fetchContacts", "fetch", self.fetch_contacts),
            Operation("block", "POST", "/v1/block", "send", self._blocking(self._blocks.block)),
            Operation("unblock", "POST", "/v1/unblock", "send", self._blocking(self._blocks.unblock)),
            Operation("fetchBlocks", "GET", "/v1/fetchBlocks", "fetch", self.fetch_blocks),
            Operation("report", "POST", "/v1/report", "report", self.report),
            Operation("fetchHidden", "GET", "/v1/fetchHidden", "fetch", self.fetch_hidden),
        ]

    async def send_message(self, call: Call) -> CallResult:
        result = await self._port.send(parse_send(call.take_body(), call.claims, self._read_user_id))
        return CallResult(200 if result.duplicate else 201, encode_send(result), result.quota)

    async def send_status(self, call: Call) -> CallResult:
        user_id, client_message_id = parse_send_status(call.query, call.claims, self._read_user_id)
        result = await self._port.send_status(user_id, client_message_id, call.claims.bearer)
        return CallResult(200, encode_send(result), result.quota)

    async def edit_message(self, call: Call) -> CallResult:
        result = await self._port.change_message(parse_edit(call.take_body(), call.claims, self._read_user_id))
        return CallResult(200, encode_change(result), result.quota)

    async def unsend_message(self, call: Call) -> CallResult:
        result = await self._port.change_message(parse_unsend(call.take_body(), call.claims, self._read_user_id))
        return CallResult(200, encode_change(result), result.quota)

    async def react(self, call: Call) -> CallResult:
        result = await self._port.react(parse_react(call.take_body(), call.claims, self._read_user_id))
        return CallResult(200, encode_change(result), result.quota)

    async def mark_read(self, call: Call) -> CallResult:
        result = await self._port.mark_read(parse_mark_read(call.take_body(), call.claims, self._read_user_id))
        return CallResult(200, encode_mark_read(result), result.quota)

    async def set_ttl(self, call: Call) -> CallResult:
        result = await self._port.set_ttl(parse_set_ttl(call.take_body(), call.claims, self._read_user_id))
        return CallResult(200, encode_set_ttl(result), result.quota)

    async def fetch_conversation(self, call: Call) -> CallResult:
        request = parse_fetch_conversation(call.query, call.claims, self._poll, self._read_user_id)
        with self._while_held(request, call.claims):
            page = await self._port.fetch_conversations(request)
        return CallResult(200, encode_page("conversations", page), page.quota, _poll_timeout_s(request.wait_ms))

    async def fetch_messages(self, call: Call) -> CallResult:
        request = parse_fetch_messages(call.query, call.claims, self._poll, self._read_user_id, call.page_bytes)
        with self._while_held(request, call.claims):
            page = await self._port.fetch_messages(request)
        return CallResult(200, encode_page("messages", page), page.quota, _poll_timeout_s(request.wait_ms))

    async def fetch_changes(self, call: Call) -> CallResult:
        request = parse_fetch_changes(call.query, call.claims, self._poll, self._read_user_id)
        with self._while_held(request, call.claims):
            changes = await self._port.fetch_changes(request)
        return CallResult(200, encode_feed(changes), changes.quota, _poll_timeout_s(request.wait_ms))

    async def fetch_receipts(self, call: Call) -> CallResult:
        result = await self._port.fetch_receipts(parse_fetch_receipts(call.query, call.claims, self._read_user_id))
        return CallResult(200, encode_receipts(result), result.quota)

    async def connect(self, call: Call) -> CallResult:
        located = await self._located(parse_connect(call.query, call.claims, self._read_user_id))
        address = located.url or self._public_url or call.address
        if not address:
            raise BadRequest("the request names no host (RFC 9110, 7.2)")
        return CallResult(200, encode_connect(address), located.quota)

    async def _located(self, request: Locate) -> Located:
        """The owner's answer; "" where that is a server of an earlier version, which knows no address of its own."""
        try:
            return await self._port.locate(request)
        except PeerTooOld:
            return Located("")

    async def set_conversation(self, call: Call) -> CallResult:
        conversation_id, request = self._conversations.set(call.take_body(), call.claims)
        result = await self._port.change_account(request)
        return CallResult(200, encode_set(conversation_id, result), result.quota)

    async def fetch_requests(self, call: Call) -> CallResult:
        shown = await self._port.fetch_requests(self._conversations.fetch(call.query, call.claims))
        return CallResult(200, encode_requests(shown), shown.quota)

    async def delete_conversation(self, call: Call) -> CallResult:
        conversation_id, request = self._conversations.delete(call.take_body(), call.claims)
        result = await self._port.change_account(request)
        return CallResult(200, encode_set(conversation_id, result), result.quota)

    async def register_device(self, call: Call) -> CallResult:
        result = await self._port.register_device(self._devices.register(call.take_body(), call.claims))
        return CallResult(200, encode_device(result), result.quota)

    async def fetch_devices(self, call: Call) -> CallResult:
        result = await self._port.fetch_devices(self._devices.fetch(call.query, call.claims))
        return CallResult(200, encode_devices(result), result.quota)

    async def set_push(self, call: Call) -> CallResult:
        result = await self._port.set_push(self._devices.set_push(call.take_body(), call.claims))
        return CallResult(200, encode_device(result), result.quota)

    async def sign_out(self, call: Call) -> CallResult:
        request = self._devices.sign_out(call.take_body(), call.claims)
        result = await self._port.sign_out(request)
        if not result.left:
            self._presence.leave(request.user_id)
        return CallResult(200, encode_sign_out(result), result.quota)

    async def search(self, call: Call) -> CallResult:
        found = await self._port.search(parse_search(call.query, call.claims, self._read_user_id, call.page_bytes))
        return CallResult(200, encode_found(found), found.quota)

    async def create_group(self, call: Call) -> CallResult:
        result = await self._port.change_group(self._groups.create(call.take_body(), call.claims))
        return CallResult(201 if result.changed else 200, encode_group(result), result.quota)

    async def fetch_group(self, call: Call) -> CallResult:
        shown = await self._port.fetch_group(self._groups.fetch(call.query, call.claims))
        return CallResult(200, encode_group_shown(shown), shown.quota)

    async def create_user(self, call: Call) -> CallResult:
        request = self._users.create(call.take_body(), call.claims)
        result = await self._port.change_account(request)
        self._has_chosen(request)
        return CallResult(201 if result.changed else 200, encode_account(request.user_id, result), result.quota)

    async def update_user(self, call: Call) -> CallResult:
        request = self._users.update(call.take_body(), call.claims)
        result = await self._port.change_account(request)
        self._has_chosen(request)
        return CallResult(200, encode_account(request.user_id, result), result.quota)

    async def delete_user(self, call: Call) -> CallResult:
        request = self._users.delete(call.take_body(), call.claims)
        result = await self._port.change_account(request)
        self._presence.leave(request.user_id)
        status = 200 if result.step == ErasureStep.DONE else 202
        return CallResult(status, encode_deleted(request.user_id, result), result.quota)

    async def fetch_user(self, call: Call) -> CallResult:
        request = self._users.fetch(call.query, call.claims)
        shown = await self._port.fetch_users(request)
        (user_id,), (profile,) = request.users, shown.profiles
        if profile is None:
            raise UnknownUser("nobody has made this user known")
        is_whole = call.claims.is_admin or user_id == call.claims.user_id
        return CallResult(200, encode_user(user_id, profile, is_whole=is_whole), shown.quota)

    async def fetch_users(self, call: Call) -> CallResult:
        request = self._users.fetch_some(call.query, call.claims)
        shown = await self._port.fetch_users(request)
        return CallResult(200, encode_users(request.users, shown.profiles), shown.quota)

    async def heartbeat(self, call: Call) -> CallResult:
        user_id = parse_heartbeat(call.take_body(), call.claims, self._read_user_id)
        quota = await self._presence.heartbeat(user_id, call.claims.bearer)
        return CallResult(200, encode_heartbeat(user_id), quota)

    async def fetch_presence(self, call: Call) -> CallResult:
        names, request = parse_fetch_presence(call.query, call.claims, self._read_user_id)
        shown = await self._presence.fetch(request)
        return CallResult(200, encode_presence(names, dict(zip(request.users, shown.seen, strict=True))), shown.quota)

    def _has_chosen(self, request: ChangeAccount) -> None:
        """A change of a profile was carried out: the user may have chosen whether he is shown."""
        deed = request.deed
        if isinstance(deed, (CreateProfile, UpdateProfile)) and deed.last_seen is not None:
            self._presence.choose(request.user_id, hides=hides(deed.last_seen))

    def _while_held(self, request: _Poll, claims: Claims) -> AbstractContextManager[None]:
        """A long poll of the user's own makes him active for as long as it is held."""
        if not request.wait_ms or request.user_id != claims.user_id:
            return _NOT_HELD
        return _Held(self._presence, request.user_id)

    async def set_contact(self, call: Call) -> CallResult:
        request = self._contacts.set(call.take_body(), call.claims)
        assert isinstance(request.deed, SetContact)
        result = await self._port.change_account(request)
        return CallResult(200, encode_contact(request.deed.user_id, result), result.quota)

    async def fetch_contacts(self, call: Call) -> CallResult:
        shown = await self._port.fetch_contacts(self._contacts.fetch(call.query, call.claims))
        return CallResult(200, encode_contacts(shown), shown.quota)

    async def fetch_blocks(self, call: Call) -> CallResult:
        shown = await self._port.fetch_blocks(self._blocks.fetch(call.query, call.claims))
        return CallResult(200, encode_blocks(shown), shown.quota)

    async def report(self, call: Call) -> CallResult:
        result = await self._port.report(parse_report(call.take_body(), call.claims))
        return CallResult(200 if result.duplicate else 201, encode_report(result), result.quota)

    async def fetch_hidden(self, call: Call) -> CallResult:
        request = parse_fetch_hidden(call.query, call.claims, call.page_bytes, self._read_user_id)
        page = await self._port.fetch_hidden(request)
        return CallResult(200, encode_hidden(request.user_id, page), page.quota)

    def _blocking(self, parse: Callable[[bytes, Claims], ChangeAccount]) -> Callable[[Call], Awaitable[CallResult]]:
        """The handler of a call that blocks somebody or ends that, as `parse` reads it."""

        async def change_block(call: Call) -> CallResult:
            request = parse(call.take_body(), call.claims)
            assert isinstance(request.deed, BlockUser | UnblockUser)
            result = await self._port.change_account(request)
            if isinstance(request.deed, BlockUser):
                self._presence.part(request.user_id, request.deed.user_id)
            return CallResult(200, encode_block(request.deed.user_id, result), result.quota)

        return change_block

    def _changing(self, parse: Callable[[bytes, Claims], ChangeGroup]) -> Callable[[Call], Awaitable[CallResult]]:
        """The handler of a call that changes a group, as `parse` reads it."""

        async def change_group(call: Call) -> CallResult:
            result = await self._port.change_group(parse(call.take_body(), call.claims))
            return CallResult(200, encode_group(result), result.quota)

        return change_group


class _Held:
    """The time of a long poll."""

    __slots__ = ("_presence", "_user_id")

    def __init__(self, presence: PresencePort, user_id: str) -> None:
        self._presence = presence
        self._user_id = user_id

    def __enter__(self) -> None:
        self._presence.begin(self._user_id)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._presence.end(self._user_id)
        if isinstance(error, SignedOut):
            self._presence.silence(self._user_id)


def _poll_timeout_s(wait_ms: int) -> int | None:
    return -(-wait_ms // 1000) + POLL_MARGIN_S if wait_ms else None
