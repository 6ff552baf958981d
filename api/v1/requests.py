"""Turns requests into values of the port. A request is parsed, validated and authorised here, once; code behind this
module trusts the values.
"""

import msgspec
from msgspec import UNSET, UnsetType

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.emoji import emoji_of
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import (
    ReadUserId,
    acting_user,
    check_client_id,
    decode,
    given,
    plain_user_id,
)
from rowbox.api.v1.request_types import (
    MAX_CONTENT_BYTES,
    MAX_CONVERSATIONS,
    MAX_CURSOR_CHARACTERS,
    MAX_FOUND,
    MAX_MESSAGES,
    MAX_RECEIPTS,
    MAX_SKIPPED,
    MAX_TOKEN_CHARACTERS,
    ConnectQuery,
    EditMessage,
    EventsQuery,
    FetchChangesQuery,
    FetchConversationQuery,
    FetchMessagesQuery,
    FetchReceiptsQuery,
    MarkReadUpTo,
    ReactToMessage,
    SearchQuery,
    SendMessage,
    SendStatusQuery,
    SetConversationTtl,
    UnsendMessage,
)
from rowbox.cacheserver.port import (
    ChangeMessage,
    FetchChanges,
    FetchConversations,
    FetchMessages,
    FetchReceipts,
    Locate,
    MarkRead,
    React,
    Search,
    Send,
    SetTtl,
)
from rowbox.mailbox.errors import BadRequest, MessageTooLarge
from rowbox.mailbox.expiry.ttl import MIN_TTL_MS
from rowbox.mailbox.ids import from_text
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.search.query import Query
from rowbox.mailbox.settings.config import PollSettings

_send_message = msgspec.json.Decoder(SendMessage)
_edit_message = msgspec.json.Decoder(EditMessage)
_unsend_message = msgspec.json.Decoder(UnsendMessage)
_react = msgspec.json.Decoder(ReactToMessage)
_mark_read = msgspec.json.Decoder(MarkReadUpTo)
_set_ttl = msgspec.json.Decoder(SetConversationTtl)
_send_status = QueryParser(SendStatusQuery)
_fetch_conversation = QueryParser(FetchConversationQuery)
_fetch_messages = QueryParser(FetchMessagesQuery)
_fetch_changes = QueryParser(FetchChangesQuery)
_events = QueryParser(EventsQuery)
_fetch_receipts = QueryParser(FetchReceiptsQuery)
_connect = QueryParser(ConnectQuery)
_search = QueryParser(SearchQuery)


def parse_send(body: bytes, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> Send:
    """The send in a body. BadRequest, UnknownParameter, MessageTooLarge, Forbidden."""
    request = decode(_send_message, body)
    conversation_id = given(request.conversation_id)
    if conversation_id is None:
        recipient_id, to = read_user_id(*_recipient(request)), None
    else:
        if request.recipient_id is not UNSET or request.recepient_id is not UNSET:
            raise BadRequest("conversationId excludes recipientId")
        recipient_id, to = "", from_text(conversation_id, "conversationId")
    _check_content(request.message_content)
    check_client_id(request.client_message_id, "clientMessageId")
    sender_id = acting_user(request.sender_id, "senderId", claims, read_user_id)
    said = request.message_content, request.client_message_id
    return Send(sender_id, recipient_id, *said, claims.bearer, conversation_id=to)


def parse_mark_read(body: bytes, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> MarkRead:
    """The read mark in a body. BadRequest, UnknownParameter, Forbidden."""
    request = decode(_mark_read, body)
    conversation_id = from_text(request.conversation_id, "conversationId")
    message_id = from_text(request.message_id, "messageId")
    user_id = acting_user(request.user_id, "userId", claims, read_user_id)
    return MarkRead(user_id, conversation_id, message_id, claims.bearer)


def parse_edit(body: bytes, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> ChangeMessage:
    """The edit in a body. BadRequest, UnknownParameter, MessageTooLarge, Forbidden."""
    request = decode(_edit_message, body)
    _check_content(request.message_content)
    return _change(request, request.message_content, claims, read_user_id)


def parse_unsend(body: bytes, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> ChangeMessage:
    """The unsend in a body. BadRequest, UnknownParameter, Forbidden."""
    return _change(decode(_unsend_message, body), None, claims, read_user_id)


def parse_react(body: bytes, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> React:
    """The reaction in a body. BadRequest, UnknownParameter, NotAnEmoji, Forbidden."""
    request = decode(_react, body)
    emoji = emoji_of(request.emoji) if request.emoji else ""
    return React(*_message(request, claims, read_user_id), emoji, claims.bearer)


def parse_set_ttl(body: bytes, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> SetTtl:
    """The ttl in a body. BadRequest, UnknownParameter, Forbidden."""
    request = decode(_set_ttl, body)
    if 0 < request.ttl_ms < MIN_TTL_MS:
        raise BadRequest(f"ttlMs is 0 or {MIN_TTL_MS} at least")
    conversation_id = from_text(request.conversation_id, "conversationId")
    user_id = acting_user(request.user_id, "userId", claims, read_user_id)
    return SetTtl(user_id, conversation_id, request.ttl_ms, claims.bearer)


def _change(
    request: EditMessage | UnsendMessage, content: str | None, claims: Claims, read_user_id: ReadUserId
) -> ChangeMessage:
    return ChangeMessage(*_message(request, claims, read_user_id), content, claims.bearer)


def _message(
    request: EditMessage | UnsendMessage | ReactToMessage, claims: Claims, read_user_id: ReadUserId
) -> tuple[str, bytes, bytes]:
    """Who asks for something to be done to which message: user, conversation, message."""
    conversation_id = from_text(request.conversation_id, "conversationId")
    message_id = from_text(request.message_id, "messageId")
    return acting_user(request.user_id, "userId", claims, read_user_id), conversation_id, message_id


def parse_send_status(query: str, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> tuple[str, str]:
    """The user and the clientMessageId asked about. BadRequest, UnknownParameter, Forbidden."""
    request = _send_status.parse(query)
    check_client_id(request.client_message_id, "clientMessageId")
    return acting_user(request.user_id, "userId", claims, read_user_id), request.client_message_id


def parse_fetch_conversation(
    query: str, claims: Claims, poll: PollSettings, read_user_id: ReadUserId = plain_user_id
) -> FetchConversations:
    """The fetch in a query string. BadRequest, UnknownParameter, Forbidden."""
    request = _fetch_conversation.parse(query)
    page_size = min(max(1, request.page_size), MAX_CONVERSATIONS)
    _check_position(request, page_size)
    return FetchConversations(
        acting_user(request.user_id, "userId", claims, read_user_id),
        request.page_number or 0,
        page_size,
        given(request.last_updated_timestamp),
        given(request.cursor),
        _wait_ms(request, poll),
        claims.bearer,
    )


def parse_fetch_messages(
    query: str,
    claims: Claims,
    poll: PollSettings,
    read_user_id: ReadUserId = plain_user_id,
    page_bytes: int = PAGE_BYTES,
) -> FetchMessages:
    """The fetch in a query string, of a page of at most `page_bytes`. BadRequest, UnknownParameter, Forbidden."""
    request = _fetch_messages.parse(query)
    page_size = min(max(1, request.page_size), MAX_MESSAGES)
    _check_position(request, page_size)
    conversation_id = given(request.conversation_id)
    user_id = acting_user(request.user_id, "userId", claims, read_user_id)
    return FetchMessages(
        user_id,
        None if conversation_id is None else from_text(conversation_id, "conversationId"),
        given(request.page_number),
        page_size,
        given(request.last_updated_timestamp),
        given(request.cursor),
        _wait_ms(request, poll),
        claims.bearer,
        _is_own_client(claims, user_id),
        page_bytes,
    )


def parse_fetch_changes(
    query: str, claims: Claims, poll: PollSettings, read_user_id: ReadUserId = plain_user_id
) -> FetchChanges:
    """The fetch in a query string. BadRequest, UnknownParameter, Forbidden."""
    request = _fetch_changes.parse(query)
    _check_token(request.last_updated_timestamp)
    user_id = acting_user(request.user_id, "userId", claims, read_user_id)
    return FetchChanges(
        user_id,
        given(request.last_updated_timestamp),
        min(max(1, request.page_size), MAX_MESSAGES),
        wait_ms=_wait_ms(request, poll),
        bearer=claims.bearer,
        proves=_is_own_client(claims, user_id),
    )


def parse_events(query: str, last_event_id: str | None) -> str | None:
    """The token behind which a stream begins, None: none. What the client has read wins: `last_event_id`, the header of
    who comes back. BadRequest, UnknownParameter.
    """
    token = last_event_id or given(_events.parse(query).last_updated_timestamp)
    _check_token(UNSET if token is None else token)
    return token


def parse_fetch_receipts(query: str, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> FetchReceipts:
    """What is asked for in a query string. BadRequest, UnknownParameter, Forbidden."""
    request = _fetch_receipts.parse(query)
    texts = request.message_ids.split(",", MAX_RECEIPTS)
    if len(texts) > MAX_RECEIPTS:
        raise BadRequest(f"messageIds are 1 to {MAX_RECEIPTS}")
    return FetchReceipts(
        acting_user(request.user_id, "userId", claims, read_user_id),
        from_text(request.conversation_id, "conversationId"),
        tuple(from_text(text, "each of messageIds") for text in texts),
        claims.bearer,
    )


def parse_connect(query: str, claims: Claims, read_user_id: ReadUserId = plain_user_id) -> Locate:
    """What is asked for in a query string. BadRequest, UnknownParameter, Forbidden."""
    request = _connect.parse(query)
    return Locate(acting_user(request.user_id, "userId", claims, read_user_id), claims.bearer)


def parse_search(
    query: str, claims: Claims, read_user_id: ReadUserId = plain_user_id, page_bytes: int = PAGE_BYTES
) -> Search:
    """The search in a query string, for a page of at most `page_bytes`. BadRequest, UnknownParameter, Forbidden."""
    request = _search.parse(query)
    conversation_id, sender_id, cursor = map(given, (request.conversation_id, request.sender_id, request.cursor))
    Query(request.q)  # BadRequest, before anybody is asked
    if cursor is not None and not 1 <= len(cursor) <= MAX_CURSOR_CHARACTERS:
        raise BadRequest("cursor is not one that this server gave")
    return Search(
        acting_user(request.user_id, "userId", claims, read_user_id),
        request.q,
        None if conversation_id is None else from_text(conversation_id, "conversationId"),
        None if sender_id is None else read_user_id(sender_id, "senderId"),
        given(request.after),
        given(request.before),
        min(max(1, request.page_size), MAX_FOUND),
        cursor,
        claims.bearer,
        page_bytes,
    )


def _is_own_client(claims: Claims, user_id: str) -> bool:
    """Whether the user's own client asks, which has what it shows a token of. Not an operator, also of himself."""
    return claims.user_id == user_id and not claims.is_admin


def _recipient(request: SendMessage) -> tuple[str, str]:
    """The recipient as the request names it, and the name of the field. BadRequest where two fields differ."""
    recipient_id, historical = given(request.recipient_id), given(request.recepient_id)
    if recipient_id is not None and historical is not None and recipient_id != historical:
        raise BadRequest("recipientId and recepientId name different users")
    recipient_id = historical if recipient_id is None else recipient_id
    if recipient_id is None:
        raise BadRequest("recipientId or conversationId is missing")
    return recipient_id, "recipientId"


def _check_content(content: str) -> None:
    if not content:
        raise BadRequest("messageContent is empty")
    if len(content) * 4 > MAX_CONTENT_BYTES and len(content.encode()) > MAX_CONTENT_BYTES:
        raise MessageTooLarge(f"messageContent is more than {MAX_CONTENT_BYTES} bytes of UTF-8")


def _check_position(request: FetchConversationQuery | FetchMessagesQuery, page_size: int) -> None:
    """BadRequest where more than one of cursor, pageNumber and lastUpdatedTimestamp says where to begin.

    pageNumber 0 beside a lastUpdatedTimestamp is allowed and means nothing, because old clients always send it.
    """
    cursor = given(request.cursor)
    if cursor is not None:
        if request.page_number is not UNSET or request.last_updated_timestamp is not UNSET:
            raise BadRequest("cursor excludes pageNumber and lastUpdatedTimestamp")
        if not 1 <= len(cursor) <= MAX_CURSOR_CHARACTERS:
            raise BadRequest("cursor is not one that this server gave")
    _check_token(request.last_updated_timestamp)
    if request.page_number:
        if request.last_updated_timestamp is not UNSET:
            raise BadRequest("pageNumber above 0 excludes lastUpdatedTimestamp")
        if request.page_number * page_size > MAX_SKIPPED:
            raise BadRequest(f"pageNumber x pageSize is above {MAX_SKIPPED}: use nextCursor")


def _check_token(token: str | UnsetType) -> None:
    if token is not UNSET and len(token) > MAX_TOKEN_CHARACTERS:
        raise BadRequest("lastUpdatedTimestamp is not a token that this server gave")


def _wait_ms(request: FetchConversationQuery | FetchMessagesQuery | FetchChangesQuery, poll: PollSettings) -> int:
    """How long to wait, in milliseconds. 0 without lastUpdatedTimestamp, where nothing says what would be newer."""
    if not request.wait or request.last_updated_timestamp is UNSET:
        return 0
    return min(max(0, request.wait) * 1000, poll.max_wait_ms)
