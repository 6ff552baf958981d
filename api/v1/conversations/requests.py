"""Turns requests about one's own conversations into values of the port, as api/v1/requests.py does with all others."""

import re
from typing import Final

import msgspec

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.conversations.types import CURSOR_PATTERN, DeleteConversation, FetchRequestsQuery, SetConversation
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import ReadUserId, acting_user, decode, given, plain_user_id
from rowbox.cacheserver.port import ChangeAccount, FetchRequests
from rowbox.mailbox.account import deeds
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import from_text

_set: Final = msgspec.json.Decoder(SetConversation)
_delete: Final = msgspec.json.Decoder(DeleteConversation)
_fetch: Final = QueryParser(FetchRequestsQuery)
_CURSOR: Final = re.compile(CURSOR_PATTERN[1:-1])


class ConversationRequests:
    """Parses these requests. Every method raises BadRequest, UnknownParameter, Forbidden."""

    def __init__(self, read_user_id: ReadUserId = plain_user_id) -> None:
        self._read_user_id = read_user_id

    def set(self, body: bytes, claims: Claims) -> tuple[bytes, ChangeAccount]:
        """The conversation in a body, and what is to be set of it."""
        request = decode(_set, body)
        conversation_id = from_text(request.conversation_id, "conversationId")
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        if request.request is True:
            raise BadRequest("request may be false: what was accepted stays so")
        deed = deeds.SetConversation(
            conversation_id,
            given(request.muted_until),
            given(request.archived),
            given(request.pinned),
            given(request.marked_unread),
            accepts=request.request is False,
        )
        return conversation_id, ChangeAccount(user_id, deed, claims.bearer)

    def delete(self, body: bytes, claims: Claims) -> tuple[bytes, ChangeAccount]:
        """The conversation in a body, of which the user's copy is to be deleted."""
        request = decode(_delete, body)
        conversation_id = from_text(request.conversation_id, "conversationId")
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        return conversation_id, ChangeAccount(user_id, deeds.DeleteConversation(conversation_id), claims.bearer)

    def fetch(self, query: str, claims: Claims) -> FetchRequests:
        """Which of the conversations that wait to be accepted a query asks for."""
        request = _fetch.parse(query)
        user_id = acting_user(request.user_id, "userId", claims, self._read_user_id)
        cursor = given(request.cursor)
        if cursor is not None and _CURSOR.fullmatch(cursor) is None:
            raise BadRequest("cursor is not one that this call has given")
        below = bytes.fromhex(cursor) if cursor is not None else None
        return FetchRequests(user_id, below, request.page_size, claims.bearer)
