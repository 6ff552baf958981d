"""One user's calls over HTTP, typed: every answer is decoded strictly, and its status is looked at."""

import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import aiohttp
import msgspec

from rowbox.api.auth.authenticator import issue_token
from rowbox.api.http.problems import Problem
from rowbox.api.v1.conversations.types import SetConversationResponse
from rowbox.api.v1.devices.types import Device, SignOutResponse
from rowbox.api.v1.groups.types import FetchGroupResponse, GroupResponse
from rowbox.api.v1.presence.types import FetchPresenceResponse, HeartbeatResponse, PresenceShown
from rowbox.api.v1.responses import (
    ChangeMessageResponse,
    FetchConversationResponse,
    FetchMessagesResponse,
    MarkReadResponse,
    SendMessageResponse,
)
from rowbox.api.v1.users.blocks import BlockResponse
from rowbox.mailbox.representation import Conversation, Message

UNKNOWN_OUTCOME: Final = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""What a client sees when the server goes away: the write may have happened or not."""
_TOKEN_LIFE_S: Final = 3600
_T = TypeVar("_T")


class Refused(Exception):
    """The server answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem


class Client:
    """`base_url` is asked at each call: a server that is started again has another port."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: Callable[[], str], secret: bytes, user_id: str
    ) -> None:
        self.user_id = user_id
        self._session = session
        self._base_url = base_url
        token = issue_token(secret, user_id, _TOKEN_LIFE_S, admin=False, now=time.time())
        self.headers = {"Authorization": f"Bearer {token}"}

    async def send(self, recipient_id: str, content: str, client_message_id: str) -> SendMessageResponse:
        """201, or 200 for a duplicate; Refused for anything else."""
        body = {"recipientId": recipient_id, "messageContent": content, "clientMessageId": client_message_id}
        status, answer = await self._post("sendMessage", body, SendMessageResponse)
        assert status == (200 if answer.duplicate else 201)
        return answer

    async def send_to(self, conversation_id: str, content: str, client_message_id: str) -> SendMessageResponse:
        """As `send`, into a group."""
        body = {"conversationId": conversation_id, "messageContent": content, "clientMessageId": client_message_id}
        status, answer = await self._post("sendMessage", body, SendMessageResponse)
        assert status == (200 if answer.duplicate else 201)
        return answer

    async def create_group(self, name: str, *members: str) -> str:
        """Its conversationId. Its clientGroupId is its name, without spaces."""
        body = {"clientGroupId": name.replace(" ", "-") or "-", "name": name, "members": members}
        return (await self.ask_of_group("createGroup", body)).conversation_id

    async def group(self, conversation_id: str) -> FetchGroupResponse:
        return await self._get("fetchGroup", {"conversationId": conversation_id}, FetchGroupResponse)

    async def change_group(self, call: str, conversation_id: str, **fields: object) -> GroupResponse:
        """One of the calls that change a group; fields in the API's spelling."""
        return await self.ask_of_group(call, {"conversationId": conversation_id, **fields})

    async def ask_of_group(self, call: str, body: Mapping[str, object]) -> GroupResponse:
        """One of the calls that make or change a group."""
        return (await self._post(call, body, GroupResponse))[1]

    async def mark_read(self, conversation_id: str, message_id: str) -> MarkReadResponse:
        body = {"conversationId": conversation_id, "messageId": message_id}
        return (await self._post("markRead", body, MarkReadResponse))[1]

    async def set_conversation(self, conversation_id: str, **fields: object) -> SetConversationResponse:
        """Sets it for the user alone; fields in the API's spelling."""
        body = {"conversationId": conversation_id, **fields}
        return (await self._post("setConversation", body, SetConversationResponse))[1]

    async def block(self, user_id: str) -> BlockResponse:
        return (await self._post("block", {"userId": user_id}, BlockResponse))[1]

    async def unblock(self, user_id: str) -> BlockResponse:
        return (await self._post("unblock", {"userId": user_id}, BlockResponse))[1]

    async def register_device(self, device_id: str) -> Device:
        return (await self._post("registerDevice", {"deviceId": device_id}, Device))[1]

    async def set_push(self, device_id: str, target: Mapping[str, object]) -> Device:
        """A target as the API describes it."""
        return (await self._post("setPush", {"deviceId": device_id, "push": target}, Device))[1]

    async def sign_out(self, device_id: str | None) -> SignOutResponse:
        """None: all that has one of the user's tokens, this client as well."""
        which = {"all": True} if device_id is None else {"deviceId": device_id}
        return (await self._post("signOut", which, SignOutResponse))[1]

    async def heartbeat(self) -> HeartbeatResponse:
        return (await self._post("heartbeat", {}, HeartbeatResponse))[1]

    async def presence(self, *users: str) -> Mapping[str, PresenceShown | None]:
        return (await self._get("fetchPresence", {"user_ids": ",".join(users)}, FetchPresenceResponse)).users

    async def delete_conversation(self, conversation_id: str) -> SetConversationResponse:
        """The user's own copy of it."""
        body = {"conversationId": conversation_id}
        return (await self._post("deleteConversation", body, SetConversationResponse))[1]

    async def edit(self, conversation_id: str, message_id: str, content: str) -> ChangeMessageResponse:
        body = {"conversationId": conversation_id, "messageId": message_id, "messageContent": content}
        return (await self._post("editMessage", body, ChangeMessageResponse))[1]

    async def unsend(self, conversation_id: str, message_id: str) -> ChangeMessageResponse:
        body = {"conversationId": conversation_id, "messageId": message_id}
        return (await self._post("unsendMessage", body, ChangeMessageResponse))[1]

    async def react(self, conversation_id: str, message_id: str, emoji: str) -> ChangeMessageResponse:
        """An empty `emoji` takes the reaction back."""
        body = {"conversationId": conversation_id, "messageId": message_id, "emoji": emoji}
        return (await self._post("react", body, ChangeMessageResponse))[1]

    async def send_status(self, client_message_id: str) -> SendMessageResponse:
        return await self._get("sendStatus", {"clientMessageId": client_message_id}, SendMessageResponse)

    async def messages(self, **query: str | int | None) -> FetchMessagesResponse:
        """One fetchMessages; parameters in Python's spelling, those that are None are left out."""
        return await self._get("fetchMessages", query, FetchMessagesResponse)

    async def conversations(self, **query: str | int | None) -> FetchConversationResponse:
        """One fetchConversation, the same way."""
        return await self._get("fetchConversation", query, FetchConversationResponse)

    async def all_messages(self, conversation_id: str | None = None) -> list[Message]:
        """All of them by cursor, in the order of the API: the newest first."""
        page = await self.messages(conversation_id=conversation_id, page_size=200)
        found = list(page.messages)
        while page.next_cursor is not None:
            page = await self.messages(conversation_id=conversation_id, page_size=200, cursor=page.next_cursor)
            found += page.messages
        return found

    async def all_conversations(self) -> list[Conversation]:
        page = await self.conversations(page_size=100)
        found = list(page.conversations)
        while page.next_cursor is not None:
            page = await self.conversations(page_size=100, cursor=page.next_cursor)
            found += page.conversations
        return found

    async def _post(self, call: str, body: Mapping[str, object], kind: type[_T]) -> tuple[int, _T]:
        async with self._session.post(f"{self._base_url()}/v1/{call}", json=body, headers=self.headers) as response:
            return response.status, decoded(response.status, await response.read(), kind)

    async def _get(self, call: str, query: Mapping[str, str | int | None], kind: type[_T]) -> _T:
        given = {_camel(name): str(value) for name, value in query.items() if value is not None}
        url = f"{self._base_url()}/v1/{call}"
        async with self._session.get(url, params=given, headers=self.headers) as response:
            return decoded(response.status, await response.read(), kind)


def decoded(status: int, body: bytes, kind: type[_T]) -> _T:
    """An answer. Refused."""
    if status >= 400:
        raise Refused(msgspec.json.decode(body, type=Problem))
    return msgspec.json.decode(body, type=kind)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
