"""The client: what a user may do, each as one method."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self, TypeAlias, TypeVar

import msgspec

from rowbox.client.calls.access import TokenSource
from rowbox.client.calls.answers import (
    Admitted,
    BlocksPage,
    ChangedBlock,
    ChangedContact,
    ChangedConversation,
    ChangedGroup,
    ChangedMessage,
    ChangedUser,
    Changes,
    ContactsPage,
    Conversation,
    ConversationPage,
    ConversationTtl,
    DeletedUser,
    Device,
    Devices,
    FetchedPresence,
    FetchedReceipts,
    FetchedUsers,
    Found,
    Group,
    GroupSettings,
    HiddenPage,
    LastSeen,
    Message,
    MessagePage,
    Noted,
    ReadMark,
    Reported,
    RequestsPage,
    Role,
    Sent,
    SignedOutDevices,
    User,
)
from rowbox.client.calls.errors import CallFailed, ListReset, Refused
from rowbox.client.calls.faults import checked_duration
from rowbox.client.calls.retry import PATIENCE_S, Timing, retried
from rowbox.client.calls.sends import Attempt, new_client_message_id
from rowbox.client.calls.transport import CALL_S, DEDUPE_LIFE_S, Transport
from rowbox.client.calls.turns import Turns
from rowbox.client.following.feed import Feed, OnPresence
from rowbox.client.following.follow import Follow, place_of
from rowbox.client.following.follow_changes import FollowChanges
from rowbox.client.following.follow_conversations import FollowConversations
from rowbox.client.following.polls import OnConnection, Polls

MAX_WAIT_S: Final = 55
MOST_WATCHED: Final = 200
_PAGE_SIZE: Final = 100
Fields: TypeAlias = dict[str, Any]
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Client:
    """A client of the server at `url` for one user, with the user's access token or a token function (access.py).

    A call whose try fails is tried again for `patience_s` seconds where it may succeed later; with 0 there is one try.
    A try takes up to 15 s. Then the call fails with an error of errors.py. A follower tries for ever. A fault
    (faults.py) is raised at once, as it is. The rules are in docs/consistency.md, "What a client does".

    The `patience_s` of a call replaces the client's for that call. `timing` is for tests.
    """

    def __init__(
        self,
        url: str,
        token: TokenSource,
        *,
        device_id: str | None = None,
        patience_s: float = PATIENCE_S,
        dedupe_life_s: float = DEDUPE_LIFE_S,
        servers: Iterable[str] = (),
        timing: Timing | None = None,
    ) -> None:
        """ValueError or TypeError where `url`, `token`, an origin or a number of seconds cannot be one.

        `device_id` is what each request and socket says of where it comes from, 1 to 64 characters of
        A-Z a-z 0-9 . _ : -, so that the user can sign this client out (`register_device`).

        `dedupe_life_s` is for how many seconds the server knows a clientMessageId. What the server says of it, in its
        answer to a send, replaces this value.

        `servers` are the origins of the other servers of a cluster, to which the access token may go, too: as
        "https://chat-1.example.com" or "https://*.chat.example.com". Where there are any, `follow_changes` asks its
        server which one has the mailbox, and opens its socket there. Without them it goes to no other server.
        """
        self._patience_s = checked_duration("patience_s", patience_s)
        self._timing = timing if timing is not None else Timing()
        life_s = checked_duration("dedupe_life_s", dedupe_life_s)
        self._transport = Transport(url, token, device_id=device_id, dedupe_life_s=life_s, servers=servers)
        self._turns = Turns()
        self._feeds: dict[FollowChanges, Feed] = {}
        self._watched: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for follow in list(self._feeds):
            await follow.aclose()
        await self._transport.__aexit__(kind, error, traceback)

    async def send(
        self,
        recipient_id: str,
        content: str,
        *,
        client_message_id: str | None = None,
        first_tried_at: float | None = None,
        patience_s: float | None = None,
    ) -> Sent:
        """Sends a message once, however many tries that takes; returns when it is stored.

        Messages to one recipient go one after the other, in the order of the calls. The patience of a message counts
        from its call, or from the moment at which the last message before it was sent, if that is later.

        With Refused nothing was written; after OutcomeUnknown the message may have been. Either error carries the
        `client_message_id` and the time of the first try, `first_tried_at`. To go on with that message, call again with
        the same content and both values. Within the server's dedupe life (a week by default) it is still one message.
        Later nothing is tried, and OutcomeUnknown with the code DEDUPE_LIFE_OVER says so. A call that was cancelled can
        be gone on with too, if its `client_message_id` was given.
        """
        to = {"recipientId": recipient_id}
        return await self._send(to, recipient_id, content, client_message_id, first_tried_at, patience_s)

    async def send_to(
        self,
        conversation_id: str,
        content: str,
        *,
        client_message_id: str | None = None,
        first_tried_at: float | None = None,
        patience_s: float | None = None,
    ) -> Sent:
        """As `send`, to a conversation in which the user is: a group, or one of two.

        Refused with the code not_a_member where the user is not in the group any more.
        """
        to = {"conversationId": conversation_id}
        return await self._send(to, conversation_id, content, client_message_id, first_tried_at, patience_s)

    async def _send(
        self,
        to: dict[str, str],
        key: str,
        content: str,
        client_message_id: str | None,
        first_tried_at: float | None,
        patience_s: float | None,
    ) -> Sent:
        message_id = new_client_message_id() if client_message_id is None else client_message_id
        fields = {**to, "messageContent": content, "clientMessageId": message_id}
        if first_tried_at is not None:
            checked_duration("first_tried_at", first_tried_at)
        called_s, turn = self._timing.clock(), self._turns.of(key)
        async with turn:
            attempt = Attempt.beginning(message_id, first_tried_at, self._timing)

            async def one_try() -> Sent:
                attempt.next_try(self._timing, self._transport.dedupe_life_s, CALL_S)
                return await self._transport.post("sendMessage", fields, Sent)

            try:
                sent = await self._retried(one_try, patience_s, since_s=max(called_s, turn.answered_s))
            except CallFailed as error:
                attempt.marked(error)
                raise
            turn.answered_s = self._timing.clock()
            return sent

    async def send_status(self, client_message_id: str, *, patience_s: float | None = None) -> Sent | None:
        """The message that the user sent under this id. None where it is not stored so far; a try that is still under
        way may yet store it.
        """
        query: dict[str, str | int | None] = {"clientMessageId": client_message_id}
        try:
            return await self._retried(lambda: self._transport.get("sendStatus", query, Sent), patience_s)
        except Refused as refused:
            if refused.code == "unknown_client_message_id":
                return None
            raise

    async def edit_message(
        self, conversation_id: str, message_id: str, content: str, *, patience_s: float | None = None
    ) -> ChangedMessage:
        """Gives a message that the user sent another text. Refused with the code too_late_to_change, a day after its
        sending by default; with message_unsent where it was taken back.
        """
        fields = {"conversationId": conversation_id, "messageId": message_id, "messageContent": content}
        return await self._retried(lambda: self._transport.post("editMessage", fields, ChangedMessage), patience_s)

    async def unsend_message(
        self, conversation_id: str, message_id: str, *, patience_s: float | None = None
    ) -> ChangedMessage:
        """Takes a message that the user sent back, for everybody; in a group whose owner or admin he is, anybody's.
        Refused with the code too_late_to_change, two days after its sending by default, where he is neither.
        """
        fields = {"conversationId": conversation_id, "messageId": message_id}
        return await self._retried(lambda: self._transport.post("unsendMessage", fields, ChangedMessage), patience_s)

    async def react(
        self, conversation_id: str, message_id: str, emoji: str, *, patience_s: float | None = None
    ) -> ChangedMessage:
        """Reacts to a message, one's own or another's: with one emoji, in place of what the user had; "" takes that
        back.

        Refused with the code not_an_emoji, with message_unsent where its author took it back, with too_late_to_change
        30 days after its sending by default, and in a group with too_many_reactions beyond 20 kinds.
        """
        fields = {"conversationId": conversation_id, "messageId": message_id, "emoji": emoji}
        return await self._retried(lambda: self._transport.post("react", fields, ChangedMessage), patience_s)

    async def set_ttl(self, conversation_id: str, ttl_ms: int, *, patience_s: float | None = None) -> ConversationTtl:
        """Sets for how long messages of a conversation last that are sent from now on: an hour to a year; 0: for ever.

        Either side of a conversation of two sets it, of a group its owner and admins.
        """
        fields: Fields = {"conversationId": conversation_id, "ttlMs": ttl_ms}
        return await self._retried(lambda: self._transport.post("setTtl", fields, ConversationTtl), patience_s)

    async def create_group(
        self,
        client_group_id: str,
        members: Sequence[str],
        name: str = "",
        *,
        settings: GroupSettings | None = None,
        patience_s: float | None = None,
    ) -> ChangedGroup:
        """Makes a group of the user and of `members`, once for each `client_group_id` of the user's.

        Refused with the code client_group_id_reused where that names another group.
        """
        fields: Fields = {"clientGroupId": client_group_id, "members": list(members), "name": name}
        if settings is not None:
            fields["settings"] = msgspec.to_builtins(settings)
        return await self._change_group("createGroup", fields, patience_s)

    async def fetch_group(self, conversation_id: str, *, patience_s: float | None = None) -> Group:
        """What a group of the user's is called, who is in, and who may do what."""
        query: dict[str, str | int | None] = {"conversationId": conversation_id}
        return await self._retried(lambda: self._transport.get("fetchGroup", query, Group), patience_s)

    async def add_members(
        self, conversation_id: str, user_ids: Sequence[str], *, patience_s: float | None = None
    ) -> ChangedGroup:
        """Adds users to a group. Who is in already stays."""
        fields: Fields = {"conversationId": conversation_id, "userIds": list(user_ids)}
        return await self._change_group("addMembers", fields, patience_s)

    async def remove_member(
        self, conversation_id: str, user_id: str, *, patience_s: float | None = None
    ) -> ChangedGroup:
        """Removes a member of a group."""
        fields: Fields = {"conversationId": conversation_id, "userId": user_id}
        return await self._change_group("removeMember", fields, patience_s)

    async def leave_group(self, conversation_id: str, *, patience_s: float | None = None) -> ChangedGroup:
        """Leaves a group. Who has left it is out already: that is no change."""
        return await self._change_group("leaveGroup", {"conversationId": conversation_id}, patience_s)

    async def set_role(
        self, conversation_id: str, user_id: str, role: Role, *, patience_s: float | None = None
    ) -> ChangedGroup:
        """Gives a member of a group another role; "owner" gives the group to that member."""
        fields: Fields = {"conversationId": conversation_id, "userId": user_id, "role": role}
        return await self._change_group("setRole", fields, patience_s)

    async def update_group(
        self,
        conversation_id: str,
        *,
        name: str | None = None,
        settings: GroupSettings | None = None,
        patience_s: float | None = None,
    ) -> ChangedGroup:
        """Gives a group another name, other settings, or both; what is None stays."""
        fields: Fields = {"conversationId": conversation_id}
        if name is not None:
            fields["name"] = name
        if settings is not None:
            fields["settings"] = msgspec.to_builtins(settings)
        return await self._change_group("updateGroup", fields, patience_s)

    async def delete_group(self, conversation_id: str, *, patience_s: float | None = None) -> ChangedGroup:
        """Deletes a group, for all its members. Of one that was deleted that is no change."""
        return await self._change_group("deleteGroup", {"conversationId": conversation_id}, patience_s)

    async def _change_group(self, call: str, fields: Fields, patience_s: float | None) -> ChangedGroup:
        return await self._retried(lambda: self._transport.post(call, fields, ChangedGroup), patience_s)

    async def mark_read(self, conversation_id: str, message_id: str, *, patience_s: float | None = None) -> ReadMark:
        """Marks the conversation read up to and including that message. The mark never moves back."""
        fields = {"conversationId": conversation_id, "messageId": message_id}
        return await self._retried(lambda: self._transport.post("markRead", fields, ReadMark), patience_s)

    async def fetch_receipts(
        self, conversation_id: str, message_ids: Sequence[str], *, patience_s: float | None = None
    ) -> FetchedReceipts:
        """Who has got and read 1 to 50 of the user's own messages of a conversation; of a group 1 to 10.

        In a conversation of two `Conversation.receipts` says the same by marks, and comes by itself where conversations
        are followed.
        """
        query: dict[str, str | int | None] = {"conversationId": conversation_id, "messageIds": ",".join(message_ids)}
        return await self._retried(lambda: self._transport.get("fetchReceipts", query, FetchedReceipts), patience_s)

    async def register_device(self, name: str = "", platform: str = "", *, patience_s: float | None = None) -> Device:
        """Has this client's device listed as signed in: to be called at each start.

        ValueError where the client was made without a `device_id`.
        """
        if self._transport.device_id is None:
            raise ValueError("a client without a device_id has no device to register")
        fields = {"deviceId": self._transport.device_id, "name": name, "platform": platform}
        return await self._retried(lambda: self._transport.post("registerDevice", fields, Device), patience_s)

    async def fetch_devices(self, *, patience_s: float | None = None) -> list[Device]:
        """Where the user is signed in. `account` of a change says that it is time to ask again."""
        return (await self._retried(lambda: self._transport.get("fetchDevices", {}, Devices), patience_s)).devices

    async def fetch_push_key(self, *, patience_s: float | None = None) -> str | None:
        """What a browser subscribes to pushes with (applicationServerKey); None: the server does no Web Push."""
        return (await self._retried(lambda: self._transport.get("fetchDevices", {}, Devices), patience_s)).push_key

    async def set_push(self, push: Fields | None, *, patience_s: float | None = None) -> Device:
        """Has this client's device, which is registered, told of new messages while nobody is looking; None: nowhere.

        `push` is as setPush of the API has it: `{"kind": "web", "endpoint", "keys"}`, or
        `{"kind": "webhook", "url", "secret", "code"}`, where the code comes with the first request to the url.
        ValueError where the client was made without a `device_id`.
        """
        if self._transport.device_id is None:
            raise ValueError("a client without a device_id has no device to be told")
        fields: Fields = {"deviceId": self._transport.device_id, "push": push}
        return await self._retried(lambda: self._transport.post("setPush", fields, Device), patience_s)

    async def sign_out(self, device_id: str, *, patience_s: float | None = None) -> list[str]:
        """Signs out a device: what comes from it is refused from then on, with the code SIGNED_OUT.

        Returns the devices that this call has signed out: none where an earlier one had, or an earlier try.
        """
        return await self._sign_out({"deviceId": device_id}, patience_s)

    async def sign_out_all(self, *, except_device_id: str | None = None, patience_s: float | None = None) -> list[str]:
        """Signs out all devices, and ends all access tokens that were issued until now, this client's too.

        Those that name the device `except_device_id` themselves (the claim did) stay. Returns as `sign_out`.
        """
        spared = {} if except_device_id is None else {"exceptDeviceId": except_device_id}
        return await self._sign_out({"all": True, **spared}, patience_s)

    async def _sign_out(self, fields: Fields, patience_s: float | None) -> list[str]:
        done = await self._retried(lambda: self._transport.post("signOut", fields, SignedOutDevices), patience_s)
        return done.device_ids

    async def search(
        self,
        q: str,
        *,
        conversation_id: str | None = None,
        sender_id: str | None = None,
        after: int | None = None,
        before: int | None = None,
        page_size: int = 20,
        cursor: str | None = None,
        patience_s: float | None = None,
    ) -> Found:
        """Messages of the user's mailbox that have all words of `q`, the newest first: of a conversation, of a sender,
        sent after and before times in microseconds.

        The first search of a mailbox makes its index. While it is not `complete`, search again, once a second, say.
        """
        query: dict[str, str | int | None] = {
            "q": q,
            "conversationId": conversation_id,
            "senderId": sender_id,
            "after": after,
            "before": before,
            "pageSize": page_size,
            "cursor": cursor,
        }
        return await self._retried(lambda: self._transport.get("search", query, Found), patience_s)

    def follow(
        self,
        token: str | None = None,
        conversation_id: str | None = None,
        *,
        wait_s: int = 30,
        on_connection: OnConnection | None = None,
    ) -> Follow:
        """Every message that came or was changed after `token`, the user's own too. Without a token it begins with a
        Reset and goes on with what comes from now on.

        It follows all conversations, or `conversation_id` alone; a token counts for the same choice only. `wait_s`, 1
        to 55 seconds, is how long the server holds one poll. `on_connection` is called when the server does not answer,
        and when it answers again.
        """

        async def poll(since: str | None, held_s: int) -> MessagePage:
            query: dict[str, str | int | None] = {"conversationId": conversation_id, "lastUpdatedTimestamp": since}
            return await self._transport.get("fetchMessages", query, MessagePage, wait_s=held_s)

        start, _ = place_of(token)
        return Follow(Polls(poll, start, _sane_wait(wait_s), self._timing, on_connection), token)

    def follow_conversations(
        self, token: str | None = None, *, wait_s: int = 30, on_connection: OnConnection | None = None
    ) -> FollowConversations:
        """Every change of the list of conversations after `token`. Without a token it begins with a reset, which holds
        the newest page. `wait_s` and `on_connection` are as in `follow`.
        """

        async def poll(since: str | None, held_s: int) -> ConversationPage:
            query: dict[str, str | int | None] = {"pageSize": _PAGE_SIZE, "lastUpdatedTimestamp": since}
            return await self._transport.get("fetchConversation", query, ConversationPage, wait_s=held_s)

        return FollowConversations(Polls(poll, token, _sane_wait(wait_s), self._timing, on_connection))

    def follow_changes(
        self,
        token: str | None = None,
        *,
        wait_s: int = 30,
        on_connection: OnConnection | None = None,
        on_presence: OnPresence | None = None,
    ) -> FollowChanges:
        """Everything that changes in the mailbox after `token`, which an earlier change had: messages, conversations,
        the account. Without a token it begins with a beginning.

        It comes over a socket, and by long polls where there is none: where a proxy does not let one through, or cuts
        it. While the socket is open the client's other calls go over it, too. `wait_s` and `on_connection` are as in
        `follow`. What the program keeps is whole if it takes each message and conversation whose
        `last_updated_timestamp` is not less than that of the one it has, and reads its lists anew where
        `is_delta_update` is False.

        `on_presence` is told of the users whom `watch` names, over the socket only.
        """
        _sane_wait(wait_s)

        def begun(follow: FollowChanges) -> Feed:
            feed = Feed(self._transport, token, wait_s, self._timing, on_connection, on_presence)
            self._feeds[follow] = feed
            feed.watch(self._watched)
            return feed

        def ended(follow: FollowChanges) -> None:
            self._feeds.pop(follow, None)

        return FollowChanges(begun, ended, token)

    def watch(self, user_ids: Sequence[str]) -> None:
        """Has each `follow_changes` of this client tell its `on_presence` who of these users is online, and who comes
        and goes: 200 at most, with whom the user is in a conversation of two. It replaces those of the call before.

        When there has been no socket for 30 s, nothing is known of anybody, and that is told as well.
        """
        if len(user_ids) > MOST_WATCHED:
            raise ValueError(f"{MOST_WATCHED} users can be watched, and not {len(user_ids)}")
        self._watched = tuple(user_ids)
        for feed in self._feeds.values():
            feed.watch(self._watched)

    def active(self) -> None:
        """Says over the socket of `follow_changes`, where one is open, that somebody is looking: the user is online for
        30 s. To be called as often as somebody does something; it says so each 5 s at most.
        """
        for feed in self._feeds.values():
            feed.active()

    async def fetch_messages(
        self,
        conversation_id: str | None = None,
        *,
        cursor: str | None = None,
        token: str | None = None,
        page_size: int = _PAGE_SIZE,
        patience_s: float | None = None,
    ) -> MessagePage:
        """One page of messages: the newest page, the one behind `cursor`, or what came after `token`, which another
        page had. At most one of the two may be given.
        """
        query = {"conversationId": conversation_id, "cursor": cursor, "lastUpdatedTimestamp": token}
        sized = {**query, "pageSize": page_size}
        return await self._retried(lambda: self._transport.get("fetchMessages", sized, MessagePage), patience_s)

    async def fetch_conversation(
        self,
        *,
        cursor: str | None = None,
        token: str | None = None,
        page_size: int = _PAGE_SIZE,
        patience_s: float | None = None,
    ) -> ConversationPage:
        """One page of conversations: the newest page, the one behind `cursor`, or what changed after `token`, which
        another page had. At most one of the two may be given.
        """
        query = {"cursor": cursor, "lastUpdatedTimestamp": token, "pageSize": page_size}
        return await self._retried(
            lambda: self._transport.get("fetchConversation", query, ConversationPage), patience_s
        )

    async def create_user(
        self,
        name: str,
        *,
        avatar: str = "",
        attributes: dict[str, str] | None = None,
        last_seen: LastSeen | None = None,
        messages_from: Admitted | None = None,
        group_adds: Admitted | None = None,
        user_id: str | None = None,
        patience_s: float | None = None,
    ) -> ChangedUser:
        """Makes the user known, or with an administrator's token the one of `user_id`. Refused with the code
        user_exists where he is known with another profile.
        """
        fields: Fields = {"name": name, "avatar": avatar, "attributes": attributes or {}}
        fields |= {"lastSeen": last_seen, "messagesFrom": messages_from, "groupAdds": group_adds, "userId": user_id}
        return await self._change_user("createUser", fields, patience_s)

    async def update_user(
        self,
        *,
        name: str | None = None,
        avatar: str | None = None,
        attributes: dict[str, str] | None = None,
        last_seen: LastSeen | None = None,
        messages_from: Admitted | None = None,
        group_adds: Admitted | None = None,
        user_id: str | None = None,
        patience_s: float | None = None,
    ) -> ChangedUser:
        """Changes the user's profile, or with an administrator's token that of `user_id`. None: it stays."""
        fields: Fields = {"name": name, "avatar": avatar, "attributes": attributes}
        fields |= {"lastSeen": last_seen, "messagesFrom": messages_from, "groupAdds": group_adds, "userId": user_id}
        return await self._change_user("updateUser", fields, patience_s)

    async def delete_user(self, user_id: str | None = None, *, patience_s: float | None = None) -> DeletedUser:
        """Deletes the user, for ever; with an administrator's token the one of `user_id`. Asked again it says how far
        the erasure of his mailbox is. After this no token of the user's own counts any more.
        """
        fields: Fields = {} if user_id is None else {"userId": user_id}
        return await self._retried(lambda: self._transport.post("deleteUser", fields, DeletedUser), patience_s)

    async def set_conversation(
        self,
        conversation_id: str,
        *,
        muted_until: int | None = None,
        archived: bool | None = None,
        pinned: bool | None = None,
        marked_unread: bool | None = None,
        request: Literal[False] | None = None,
        patience_s: float | None = None,
    ) -> ChangedConversation:
        """Sets a conversation for the user alone; None: it stays. `muted_until` is in microseconds since the epoch.
        `request` False accepts one that a stranger began.

        Refused with the code too_many_pinned where 20 are pinned.
        """
        settings = {
            "mutedUntil": muted_until,
            "archived": archived,
            "pinned": pinned,
            "markedUnread": marked_unread,
            "request": request,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        fields: Fields = {"conversationId": conversation_id, **given}
        return await self._retried(
            lambda: self._transport.post("setConversation", fields, ChangedConversation), patience_s
        )

    async def fetch_requests(
        self, *, cursor: str | None = None, page_size: int | None = None, patience_s: float | None = None
    ) -> RequestsPage:
        """The conversations that wait to be accepted: the newest ones, or those that `next_cursor` of a page names."""
        query: dict[str, str | int | None] = {"cursor": cursor, "pageSize": page_size}
        return await self._retried(lambda: self._transport.get("fetchRequests", query, RequestsPage), patience_s)

    async def delete_conversation(
        self, conversation_id: str, *, patience_s: float | None = None
    ) -> ChangedConversation:
        """Deletes the user's own copy of a conversation. The next message brings it back, without what was before."""
        fields: Fields = {"conversationId": conversation_id}
        return await self._retried(
            lambda: self._transport.post("deleteConversation", fields, ChangedConversation), patience_s
        )

    async def _change_user(self, call: str, fields: Fields, patience_s: float | None) -> ChangedUser:
        given = {name: value for name, value in fields.items() if value is not None}
        return await self._retried(lambda: self._transport.post(call, given, ChangedUser), patience_s)

    async def fetch_user(self, user_id: str | None = None, *, patience_s: float | None = None) -> User:
        """Who somebody is; by default the user himself. Refused with the code unknown_user where nobody knows."""
        query: dict[str, str | int | None] = {"userId": user_id}
        return await self._retried(lambda: self._transport.get("fetchUser", query, User), patience_s)

    async def fetch_users(self, user_ids: Sequence[str], *, patience_s: float | None = None) -> FetchedUsers:
        """Who some users are, 1 to 50: those of them who are known."""
        query: dict[str, str | int | None] = {"userIds": ",".join(user_ids)}
        return await self._retried(lambda: self._transport.get("fetchUsers", query, FetchedUsers), patience_s)

    async def heartbeat(self, user_id: str | None = None, *, patience_s: float | None = None) -> None:
        """Says that the user is active, or with an administrator's token the one of `user_id`: he is online for 30 s.

        Where nothing follows the mailbox, it is to be said every 10 s while somebody is there.
        """
        fields: Fields = {} if user_id is None else {"userId": user_id}
        await self._retried(lambda: self._transport.post("heartbeat", fields, Noted), patience_s)

    async def fetch_presence(self, user_ids: Sequence[str], *, patience_s: float | None = None) -> FetchedPresence:
        """Who of some users is online, 1 to 200 with whom the user is in a conversation of two."""
        query: dict[str, str | int | None] = {"userIds": ",".join(user_ids)}
        return await self._retried(lambda: self._transport.get("fetchPresence", query, FetchedPresence), patience_s)

    async def set_contact(
        self,
        user_id: str,
        *,
        alias: str | None = None,
        favourite: bool | None = None,
        remove: bool | None = None,
        patience_s: float | None = None,
    ) -> ChangedContact:
        """Makes another user a contact, or changes what is kept of one: what is None stays.

        `remove`: he is to be none any more; nothing else is given then.
        """
        what = {"alias": alias, "favourite": favourite, "remove": remove}
        fields: Fields = {"userId": user_id, **{name: value for name, value in what.items() if value is not None}}
        return await self._retried(lambda: self._transport.post("setContact", fields, ChangedContact), patience_s)

    async def fetch_contacts(
        self, *, after: str | None = None, page_size: int | None = None, patience_s: float | None = None
    ) -> ContactsPage:
        """The user's contacts: the first page, or the one behind the user `after`."""
        query: dict[str, str | int | None] = {"after": after, "pageSize": page_size}
        return await self._retried(lambda: self._transport.get("fetchContacts", query, ContactsPage), patience_s)

    async def block(self, user_id: str, *, patience_s: float | None = None) -> ChangedBlock:
        """Hides from now on what comes of another user in the conversation with him. He is not told."""
        return await self._retried(lambda: self._transport.post("block", {"userId": user_id}, ChangedBlock), patience_s)

    async def unblock(self, user_id: str, *, patience_s: float | None = None) -> ChangedBlock:
        """Shows again what comes of another user from now on. What was hidden stays hidden."""
        return await self._retried(
            lambda: self._transport.post("unblock", {"userId": user_id}, ChangedBlock), patience_s
        )

    async def fetch_blocks(
        self, *, after: str | None = None, page_size: int | None = None, patience_s: float | None = None
    ) -> BlocksPage:
        """Whom the user blocks: the first page, or the one behind the user `after`."""
        query: dict[str, str | int | None] = {"after": after, "pageSize": page_size}
        return await self._retried(lambda: self._transport.get("fetchBlocks", query, BlocksPage), patience_s)

    async def report(
        self,
        conversation_id: str,
        reason: str,
        *,
        message_ids: Sequence[str] = (),
        comment: str | None = None,
        patience_s: float | None = None,
    ) -> Reported:
        """Reports messages of others in a conversation, or by none the conversation as a whole.

        Who wrote them is not told. Refused with the code reports_off where nobody takes reports.
        """
        fields: Fields = {"conversationId": conversation_id, "messageIds": list(message_ids), "reason": reason}
        if comment is not None:
            fields |= {"comment": comment}
        return await self._retried(lambda: self._transport.post("report", fields, Reported), patience_s)

    async def fetch_hidden(
        self,
        user_id: str,
        *,
        cursor: str | None = None,
        page_size: int | None = None,
        patience_s: float | None = None,
    ) -> HiddenPage:
        """What is hidden from a user of those whom he blocks: with an administrator's token.

        The server's log has each look.
        """
        query: dict[str, str | int | None] = {"userId": user_id, "cursor": cursor, "pageSize": page_size}
        return await self._retried(lambda: self._transport.get("fetchHidden", query, HiddenPage), patience_s)

    async def fetch_changes(
        self,
        token: str | None = None,
        *,
        page_size: int = _PAGE_SIZE,
        wait_s: int = 0,
        patience_s: float | None = None,
    ) -> Changes:
        """What changed after `token`, which an earlier answer of this call had: messages, `page_size` at most, and
        conversations. Without a token a beginning.

        `wait_s`, 0 to 55 seconds, is how long the server holds the call where nothing has changed.
        """
        if wait_s:
            _sane_wait(wait_s)
        query: dict[str, str | int | None] = {"lastUpdatedTimestamp": token, "pageSize": page_size}
        return await self._retried(
            lambda: self._transport.get("fetchChanges", query, Changes, wait_s=wait_s), patience_s
        )

    def messages(
        self, conversation_id: str | None = None, *, cursor: str | None = None, page_size: int = _PAGE_SIZE
    ) -> AsyncIterator[Message]:
        """A conversation's messages, the newest first. Without `conversation_id` those of all conversations, the newest
        change first, as far back as the log reaches.

        `cursor` continues a list that another page began, a Reset for example. A page is fetched when its first message
        is asked for. ListReset where the server's store was put back from a copy in the middle of the list.
        """

        async def page(after: str | None) -> MessagePage:
            return await self.fetch_messages(conversation_id, cursor=after, page_size=page_size)

        return _items(page, cursor)

    def conversations(self, *, cursor: str | None = None, page_size: int = _PAGE_SIZE) -> AsyncIterator[Conversation]:
        """All conversations, the one with the newest message first. A conversation that gets a message meanwhile moves
        up the list and may be left out.

        `cursor` and ListReset are as in `messages`.
        """

        async def page(after: str | None) -> ConversationPage:
            return await self.fetch_conversation(cursor=after, page_size=page_size)

        return _items(page, cursor)

    async def _retried(
        self, call: Callable[[], Awaitable[_T]], patience_s: float | None, *, since_s: float | None = None
    ) -> _T:
        patient_s = self._patience_s if patience_s is None else checked_duration("patience_s", patience_s)
        return await retried(call, patient_s, self._timing, since_s=since_s)


def _sane_wait(wait_s: int) -> int:
    if not 1 <= wait_s <= MAX_WAIT_S:
        raise ValueError(f"wait_s is 1 to {MAX_WAIT_S}: {wait_s}")
    return wait_s


class _PageOf(Protocol[_T_co]):
    @property
    def items(self) -> tuple[_T_co, ...]: ...
    @property
    def next_cursor(self) -> str | None: ...
    @property
    def reset_reason(self) -> str | None: ...


async def _items(page_after: Callable[[str | None], Awaitable[_PageOf[_T]]], cursor: str | None) -> AsyncIterator[_T]:
    """The items of all pages from `cursor` on. No item comes twice, because a cursor keeps its place while the list
    moves. ListReset.
    """
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
